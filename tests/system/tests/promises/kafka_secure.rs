//! A broker that asks who it is, from the file on: TLS with client certificates, and SCRAM.

use jackfield_exchange::Speed;
use jackfield_system_tests::{Cluster, Jackfield, Site, shared_cluster};
use jackfield_test_kafka::SecureBroker;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::kafka::assert_topic;
use crate::{assert_landed, exchange};

#[tokio::test(flavor = "multi_thread")]
async fn the_example_runs_on_a_broker_that_asks_who_it_is() {
    let broker = spawn_blocking(SecureBroker::start).await.unwrap();
    let shared = shared_cluster().await;
    let exchange = exchange(Speed::Realtime(60.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&Cluster {
        servers: broker.address(),
        ..shared.clone()
    });
    let (user, password) = SecureBroker::SCRAM_USER;
    let kept = site.path().join("password");
    std::fs::write(&kept, password).unwrap();
    site.set(
        "/log/kafka/properties",
        json!({
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": format!("${{file:{}}}", kept.display()),
            "ssl.ca.location": broker.file("ca.pem"),
            "ssl.certificate.location": broker.file("client.crt"),
            "ssl.key.location": broker.file("client.key"),
        }),
    );
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "3s"]);
    assert_eq!(jackfield.wait().await, 0);
    assert!(!jackfield.log().contains(password));
    let sent = exchange.trades();
    assert_landed(&site.path().join("data"), &sent).await;
    // The fixture's other listener asks nobody.
    let open = Cluster {
        servers: broker.open_address(),
        ..shared
    };
    assert_topic(&open, &site, &sent, "avro").await;
}
