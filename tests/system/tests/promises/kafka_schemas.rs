//! The schema registry: down, refusing, denying.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use jackfield_exchange::Speed;
use jackfield_system_tests::{Jackfield, Site, http, read_topic, shared_cluster};
use jackfield_test_registry::ApicurioRegistry;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::{COMMITTED, assert_landed, exchange};

/// A registry that is not there at the start is waited for; once schemas are known it may go.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_is_waited_for_and_known_schemas_go_on() {
    let mut cluster = shared_cluster().await;
    let mut registry = spawn_blocking(ApicurioRegistry::start).await.unwrap();
    registry.kill();
    cluster.registry = registry.url();
    let exchange = exchange(Speed::PerSecond(800.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "5s"]);
    let said = jackfield.line("the schema registry is not available").await;
    assert!(said.contains("trades-source"), "{said}");
    let mut registry = spawn_blocking(move || {
        registry.restart();
        registry
    })
    .await
    .unwrap();
    jackfield.line(COMMITTED).await;
    registry.kill();
    assert_eq!(jackfield.wait().await, 0);
    exchange.finished().await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_schema_stops_the_source_with_the_registrys_own_message() {
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::PerSecond(1000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    let subject = format!("{}-value", site.topic("trade"));
    let url = format!("{}/subjects/{subject}/versions", cluster.registry);
    let post = async |schema: &Value| -> Value {
        let body = json!({ "schema": schema.to_string() });
        let answer = http().post(&url).json(&body).send().await.unwrap();
        answer.json().await.unwrap()
    };
    let record = |kind: &str| {
        json!({ "type": "record", "name": "Trade", "fields": [
            { "name": "symbol", "type": kind }
        ] })
    };
    assert!(post(&record("int")).await["id"].is_number());
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "2s"]);
    assert_eq!(jackfield.wait().await, 1);
    // What the registry itself says of another schema that is as wrong.
    let own = post(&record("string")).await["message"].to_string();
    let word = own.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let word = word.max_by_key(|word| word.len()).unwrap().to_owned();
    let log = jackfield.log();
    let failed = log.lines().find(|line| line.contains("FAILED")).unwrap();
    assert!(
        failed.contains(&format!("the new schema of {subject} can't read")),
        "{failed}"
    );
    assert!(failed.contains(&word), "{word}: {failed}");
    let records = read_topic(&cluster, &site.topic("trade"), "bytes").await;
    assert!(records.is_empty(), "registered before the first record");
}

/// Wrong credentials are for a person to mend: nothing is gained by asking on.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_denies_us_fails_the_source_at_once() {
    let mut cluster = shared_cluster().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            assert!(read > 0);
            let body = r#"{"error_code":401,"message":"who is this"}"#;
            let answer = format!(
                "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    cluster.registry = format!("http://me:hunter2@127.0.0.1:{port}");
    let exchange = exchange(Speed::PerSecond(1000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "2s"]);
    assert_eq!(jackfield.wait().await, 1);
    let log = jackfield.log();
    let failed = log.lines().find(|line| line.contains("FAILED")).unwrap();
    assert!(
        failed.contains("the schema registry does not let us"),
        "{failed}"
    );
    assert!(failed.contains("who is this"), "{failed}");
    assert!(!log.contains("hunter2"));
}
