//! Brokers that want to know who it is: TLS with an authority of our own and client certificates,
//! and each kind of SASL.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{append, content, identity, numbered, open, unique};
use jackfield_log::{Log, LogError, TopicSpec};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use jackfield_test_kafka::Broker;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;

/// Ends with this process.
static SECURE: LazyLock<Secure> = LazyLock::new(Secure::start);

struct Secure {
    dir: TempDir,
    broker: Broker,
}

impl Secure {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        certificates(dir.path());
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (store, trust) = (at("server.pem"), at("ca.pem"));
        let login = "org.apache.kafka.common.security";
        let plain =
            format!(r#"{login}.plain.PlainLoginModule required user_alice="alice-secret";"#);
        let scram = format!("{login}.scram.ScramLoginModule required;");
        let oauth = format!(
            "{login}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";"
        );
        let broker = Broker::with(&[
            ("listeners", "{listeners},SECURE://127.0.0.1:{secure}"),
            (
                "advertised.listeners",
                "PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure}",
            ),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
            ),
            ("inter.broker.listener.name", "PLAINTEXT"),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.location", &store),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", &trust),
            ("listener.name.secure.ssl.client.auth", "required"),
            (
                "listener.name.secure.sasl.enabled.mechanisms",
                "PLAIN,SCRAM-SHA-512,OAUTHBEARER",
            ),
            ("listener.name.secure.plain.sasl.jaas.config", &plain),
            (
                "listener.name.secure.scram-sha-512.sasl.jaas.config",
                &scram,
            ),
            ("listener.name.secure.oauthbearer.sasl.jaas.config", &oauth),
        ]);
        broker.tool(
            "kafka.admin.ConfigCommand",
            &[
                "--bootstrap-server",
                &broker.address(),
                "--alter",
                "--entity-type",
                "users",
                "--entity-name",
                "bob",
                "--add-config",
                "SCRAM-SHA-512=[password=bob-secret]",
            ],
        );
        Self { dir, broker }
    }

    fn config(&self, properties: &[(&str, &str)]) -> KafkaConfig {
        let mut config = KafkaConfig::new(&self.broker.secure_address());
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let mut set = |name: &str, value: &str| {
            config.properties.insert(name.into(), value.into());
        };
        set("security.protocol", "SASL_SSL");
        set("ssl.ca.location", &at("ca.pem"));
        set("ssl.certificate.location", &at("client.crt"));
        set("ssl.key.location", &at("client.key"));
        properties.iter().for_each(|(name, value)| set(name, value));
        config
    }
}

/// An authority, and a server's and a client's certificate by it.
fn certificates(dir: &Path) {
    let openssl = |args: &[&str]| {
        let output = Command::new("openssl").current_dir(dir).args(args).output();
        let output = output.expect("openssl is missing: scripts/deps installs it");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {args:?}: {errors}");
    };
    let key = ["-newkey", "rsa:2048", "-nodes"];
    let mut ca = vec![
        "req",
        "-x509",
        "-subj",
        "/CN=authority",
        "-keyout",
        "ca.key",
    ];
    ca.extend(key);
    ca.extend(["-out", "ca.pem"]);
    openssl(&ca);
    std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1").unwrap();
    for name in ["server", "client"] {
        let (own_key, request, own) = (
            format!("{name}.key"),
            format!("{name}.csr"),
            format!("{name}.crt"),
        );
        let subject = format!("/CN={name}");
        let mut req = vec![
            "req", "-subj", &*subject, "-keyout", &*own_key, "-out", &*request,
        ];
        req.extend(key);
        openssl(&req);
        openssl(&[
            "x509",
            "-req",
            "-in",
            &*request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            "san",
            "-out",
            &*own,
        ]);
    }
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    std::fs::write(
        dir.join("server.pem"),
        read("server.key") + &read("server.crt"),
    )
    .unwrap();
}

async fn secure() -> &'static Secure {
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
    works(secure().await.config(&user)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scram_over_tls() {
    let user = [
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "bob"),
        ("sasl.password", "bob-secret"),
    ];
    works(secure().await.config(&user)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_a_file_over_tls() {
    let secure = secure().await;
    let token = secure.dir.path().join("token");
    // {"alg":"none"} . {"sub":"carol","iat":1600000000,"exp":4000000000}
    let text =
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYXJvbCIsImlhdCI6MTYwMDAwMDAwMCwiZXhwIjo0MDAwMDAwMDAwfQ.";
    std::fs::write(&token, text).unwrap();
    let config = secure.config(&[("sasl.mechanism", "OAUTHBEARER")]);
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
    let stranger = secure.config(&wrong);
    let mut nameless = secure.config(&[
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "alice"),
        ("sasl.password", "alice-secret"),
    ]);
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
