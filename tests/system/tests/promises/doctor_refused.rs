//! `jackfield doctor` tells a service that does not let us in, or has nothing of that name, from one
//! that is not running.

use jackfield_exchange::Speed;
use jackfield_system_tests::{Cluster, Site, shared_cluster};
use jackfield_test_kafka::Broker;
use jackfield_test_lakes::{Fault, Front, PostgresServer, RestServer, S3Server};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use url::Url;

use crate::doctor::{PATIENT, Told, dead_port};
use crate::exchange;
use crate::lakes::in_s3;

/// The remedy names what to mend, and the service is not said to be down.
fn mended_by(told: &Told, line: &Value, word: &str) {
    let remedy = line["remedy"].as_str().unwrap();
    assert!(remedy.contains(word), "no `{word}`: {line}");
    assert_eq!(line["not-running"], Value::Null, "{line}");
    let down = told.report["not-running"].as_array().unwrap();
    let others: Vec<&Value> = down.iter().filter(|it| *it != "jackfield").collect();
    assert!(others.is_empty(), "{others:?}");
}

fn hides(told: &Told, secret: &str) {
    assert!(!told.report.to_string().contains(secret), "it is a secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_looked_at_and_what_is_wrong_with_it_is_told() {
    let server = S3Server::start().await;
    let front = Front::before(server.url()).await;
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set("/lakes/local", in_s3(&front.url()));
    site.set("/lakes/local/s3/secret-access-key", json!("hush-hush"));
    let told = Told::of(&site, &[]).await;
    assert_eq!(told.code, Some(0), "{:#}", told.report);
    let message = told.line("stores", "ok")["message"].as_str().unwrap();
    assert!(message.contains("can be listed"), "{message}");
    let told = Told::of(&site, &["--write"]).await;
    assert_eq!(told.code, Some(0), "{:#}", told.report);
    let message = told.line("stores", "ok")["message"].as_str().unwrap();
    assert!(
        message.contains("written, read back and removed"),
        "{message}"
    );

    // As S3 answers whose keys are wrong.
    front.decide(|_| {
        let words = "<Error><Code>InvalidAccessKeyId</Code></Error>";
        Some(Fault::Status(403, words.to_owned()))
    });
    for args in [&[][..], &["--write"]] {
        let told = Told::of(&site, args).await;
        let line = told.fails("stores", "answers, and does not let us in");
        let message = line["message"].as_str().unwrap();
        assert!(message.contains("InvalidAccessKeyId"), "{message}");
        mended_by(&told, line, "the keys in `lakes.local.s3`");
        hides(&told, "hush-hush");
    }
    front.mend();

    site.set("/lakes/local/warehouse", json!("s3://nowhere/w"));
    for args in [&[][..], &["--write"]] {
        let told = Told::of(&site, args).await;
        let line = told.fails("stores", "answers, and has no such bucket");
        mended_by(&told, line, "`lakes.local.warehouse`");
    }

    let down = format!("http://127.0.0.1:{}", dead_port());
    site.set("/lakes/local/s3/endpoint", json!(down));
    let told = Told::of(&site, &[]).await;
    let line = told.fails("stores", "the object store is not running");
    let remedy = line["remedy"].as_str().unwrap();
    assert!(remedy.contains("`lakes.local.s3`"), "{remedy}");
    told.is_down(&down);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_refuses_a_token_or_has_no_such_name_is_told() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let server = spawn_blocking(RestServer::start).await.unwrap();
    let front = Front::before(server.url()).await;
    front.decide(|seen| {
        let token = seen.headers.get("authorization");
        let known = token.is_some_and(|it| it == "Bearer right-one");
        (!known).then(|| Fault::Status(401, String::new()))
    });
    let catalog = |token: &str| json!({ "rest": { "uri": front.url(), "token": token } });
    site.set("/lakes/local/catalog", catalog("right-one"));
    let told = Told::of(&site, &PATIENT).await;
    assert_eq!(told.code, Some(0), "{:#}", told.report);
    told.line("catalogs", "ok");
    site.set("/lakes/local/catalog", catalog("wrong-one"));
    let told = Told::of(&site, &PATIENT).await;
    let line = told.fails("catalogs", "answers 401");
    mended_by(
        &told,
        line,
        "its password or token in `lakes.local.catalog`",
    );
    hides(&told, "wrong-one");
    front.decide(|_| Some(Fault::Status(404, "<html>nothing here</html>".to_owned())));
    let told = Told::of(&site, &PATIENT).await;
    let line = told.fails("catalogs", "answers 404");
    mended_by(&told, line, "right name");

    let server = spawn_blocking(PostgresServer::start).await.unwrap();
    let mut uri = Url::parse(&server.uri()).unwrap();
    uri.set_path("/nowhere");
    site.set("/lakes/local/catalog", json!({ "sql": uri.as_str() }));
    let told = Told::of(&site, &[]).await;
    let line = told.fails("catalogs", "\"nowhere\" does not exist");
    mended_by(&told, line, "right name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_refuses_our_credentials_or_is_none_is_told() {
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let registry = Url::parse(&cluster.registry).unwrap();
    let front = Front::before(registry.origin().ascii_serialization()).await;
    front.decide(|seen| {
        let given = seen.headers.get("authorization");
        // me:right-one
        let known = given.is_some_and(|it| it == "Basic bWU6cmlnaHQtb25l");
        let words = r#"{"error_code":401,"message":"who is this"}"#;
        (!known).then(|| Fault::Status(401, words.to_owned()))
    });
    site.on_kafka(&cluster);
    let key = "/log/kafka/schema.registry.url";
    let with = |password: &str| {
        let mut url = Url::parse(&front.url()).unwrap();
        url.set_path(registry.path());
        url.set_username("me").unwrap();
        url.set_password(Some(password)).unwrap();
        json!(url.as_str())
    };
    site.set(key, with("right-one"));
    let told = Told::of(&site, &PATIENT).await;
    assert_eq!(told.code, Some(0), "{:#}", told.report);
    told.line("registry", "ok");
    site.set(key, with("wrong-one"));
    let told = Told::of(&site, &PATIENT).await;
    let line = told.fails("registry", "it refuses our credentials");
    let message = line["message"].as_str().unwrap();
    assert!(message.contains("who is this"), "{message}");
    mended_by(
        &told,
        line,
        "password or token of `log.kafka.schema-registry`",
    );
    hides(&told, "wrong-one");

    front.decide(|_| Some(Fault::Status(404, "<html>nothing here</html>".to_owned())));
    let told = Told::of(&site, &PATIENT).await;
    let line = told.fails("registry", "no schema registry is there");
    mended_by(&told, line, "`log.kafka.schema.registry.url`");
}

/// A broker that wants to know who it is, beside its open listener.
fn secured() -> Broker {
    let login = "org.apache.kafka.common.security.plain.PlainLoginModule";
    let users = format!(r#"{login} required user_alice="right-one";"#);
    Broker::with(&[
        ("listeners", "{listeners},SECURE://127.0.0.1:{secure}"),
        (
            "advertised.listeners",
            "PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure}",
        ),
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_PLAINTEXT",
        ),
        ("inter.broker.listener.name", "PLAINTEXT"),
        ("listener.name.secure.sasl.enabled.mechanisms", "PLAIN"),
        ("listener.name.secure.plain.sasl.jaas.config", &users),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_refuses_our_credentials_is_told() {
    let broker = spawn_blocking(secured).await.unwrap();
    let registry = shared_cluster().await.registry;
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&Cluster {
        servers: broker.secure_address(),
        registry,
    });
    let as_alice = |password: &str| {
        json!({
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "alice",
            "sasl.password": password
        })
    };
    site.set("/log/kafka/properties", as_alice("right-one"));
    let told = Told::of(&site, &PATIENT).await;
    assert_eq!(told.code, Some(0), "{:#}", told.report);
    let lines = told.report["checks"].as_array().unwrap();
    let in_it = |line: &Value| line["message"].as_str().unwrap().starts_with("lets us in");
    assert!(lines.iter().any(in_it), "{:#}", told.report);

    site.set("/log/kafka/properties", as_alice("wrong-one"));
    let told = Told::of(&site, &PATIENT).await;
    let line = told.fails("log", "the cluster refuses our credentials");
    mended_by(&told, line, "`sasl.password`");
    hides(&told, "wrong-one");

    // Whoever says nothing of itself is not let in either.
    site.set("/log/kafka/properties", json!({}));
    let told = Told::of(&site, &PATIENT).await;
    let line = told.fails("log", "the cluster does not let us in");
    mended_by(&told, line, "security.protocol");
}
