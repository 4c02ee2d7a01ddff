//! Brokers that want to know who it is: TLS with an authority of our own and client certificates,
//! and each kind of SASL.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{append, content, identity, numbered, open, unique};
use jackfield_log::{Log, LogError, TopicSpec};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use jackfield_test_kafka::SecureBroker;
use std::sync::{Arc, LazyLock};

/// Ends with this process.
static SECURE: LazyLock<SecureBroker> = LazyLock::new(SecureBroker::start);

fn config(secure: &SecureBroker, properties: &[(&str, &str)]) -> KafkaConfig {
    let mut config = KafkaConfig::new(&secure.address());
    let mut set = |name: &str, value: &str| {
        config.properties.insert(name.into(), value.into());
    };
    set("security.protocol", "SASL_SSL");
    set("ssl.ca.location", &secure.file("ca.pem"));
    set("ssl.certificate.location", &secure.file("client.crt"));
    set("ssl.key.location", &secure.file("client.key"));
    properties.iter().for_each(|(name, value)| set(name, value));
    config
}

async fn secure() -> &'static SecureBroker {
    tokio::task::spawn_blocking(|| &*SECURE).await.unwrap()
}

/// Everything that a pipeline needs works: topics, a writer, positions, a reader.
async fn works(config: KafkaConfig) {
    let log: Arc<dyn Log> = KafkaLog::open(KafkaConfig {
        cluster: unique("cluster"),
        ..config
    })
    .unwrap();
    let topic = unique("topic");
    log.create_topic(&TopicSpec::new(&topic, 1)).await.unwrap();
    let identity = identity(&unique("connector"));
    let mut writer = open(&log, &identity).await;
    append(&mut writer, numbered(&topic, 1, 1)).await.unwrap();
    assert_eq!(common::last(&log, &identity).await, 1);
    assert_eq!(content(&log, &topic, 1).await[0], ["1"]);
    let keyed = log.keyed(&unique("keyed")).await.unwrap();
    keyed.put("key", Some("value")).await.unwrap();
    assert_eq!(keyed.get("key").await.unwrap().as_deref(), Some("value"));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_over_tls() {
    let user = [
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "alice"),
        ("sasl.password", "alice-secret"),
    ];
    works(config(secure().await, &user)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scram_over_tls() {
    let (user, password) = SecureBroker::SCRAM_USER;
    for kind in SecureBroker::SCRAM {
        let user = [
            ("sasl.mechanism", kind),
            ("sasl.username", user),
            ("sasl.password", password),
        ];
        works(config(secure().await, &user)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_a_file_over_tls() {
    let secure = secure().await;
    let token = secure.folder().join("token");
    // {"alg":"none"} . {"sub":"carol","iat":1600000000,"exp":4000000000}
    let text =
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYXJvbCIsImlhdCI6MTYwMDAwMDAwMCwiZXhwIjo0MDAwMDAwMDAwfQ.";
    std::fs::write(&token, text).unwrap();
    let config = config(secure, &[("sasl.mechanism", "OAUTHBEARER")]);
    works(KafkaConfig {
        oauth_token_file: Some(token),
        ..config
    })
    .await;
}

/// A wrong password, and a client without a certificate, get nowhere, and the log says so.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_nowhere() {
    let secure = secure().await;
    let wrong = [
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "alice"),
        ("sasl.password", "guessed"),
    ];
    let stranger = config(secure, &wrong);
    let (user, password) = SecureBroker::PLAIN_USER;
    let known = [
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", user),
        ("sasl.password", password),
    ];
    let mut nameless = config(secure, &known);
    nameless.properties.remove("ssl.certificate.location");
    nameless.properties.remove("ssl.key.location");
    for (config, why) in [(stranger, "authentication"), (nameless, "SSL")] {
        let log = KafkaLog::open(config).unwrap();
        match log.describe_topic("topic").await {
            Err(LogError::Retriable(text)) => assert!(text.contains(why), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}
