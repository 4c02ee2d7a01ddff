//! The section `log.kafka`.

use crate::common::parse;
use crate::{SECOND, with_sink};
use jackfield_config::*;
use std::path::Path;

/// `log.kafka` with these lines, and the least that reads a topic.
fn with_kafka(lines: &str) -> KafkaLogConfig {
    let lines = lines.replace('\n', "\n    ");
    let text = format!("log:\n  kafka:\n    {lines}\n{}", with_sink(""));
    let config = parse(&text).unwrap_or_else(|findings| panic!("{text}\n{findings}"));
    match config.log {
        LogConfig::Kafka(kafka) => *kafka,
        LogConfig::Embedded(embedded) => panic!("{embedded:?}"),
    }
}

#[test]
fn a_kafka_log_needs_servers_and_a_registry_only() {
    let kafka =
        with_kafka("bootstrap.servers: localhost:9092\nschema.registry.url: http://localhost:8081");
    assert_eq!(kafka.bootstrap_servers, "localhost:9092");
    let registry = kafka.registry.unwrap();
    assert_eq!(registry.urls.expose(), "http://localhost:8081");
    assert!(registry.auto_register && registry.user.is_none() && registry.identity.is_none());
    assert_eq!(
        (kafka.format, kafka.subjects),
        (RecordFormat::Avro, Subjects::Topic)
    );
    assert_eq!((kafka.cluster.as_str(), kafka.worker), ("jackfield", None));
    assert_eq!(kafka.membership, GroupMembership::Static);
    assert_eq!(kafka.delivery_timeout, 30 * SECOND);
    assert_eq!(kafka.session_timeout, 10 * SECOND);
    assert!(kafka.properties.is_empty());
}

#[test]
fn a_kafka_log_with_everything() {
    let kafka = with_kafka(
        "bootstrap.servers: a:9092,b:9092
schema.registry.url: \"https://me:hunter2@a, https://b/apis/ccompat/v7\"
schema-registry: { token: \"${file:/run/secrets/key}\", ca: certs/ca.pem, certificate: /c.pem, key: key.pem, auto-register: false }
format: json
cluster: market
worker: w-${NUMBER}
membership: dynamic
replication: 3
positions-topic: connect-offsets
delivery-timeout: 2m
session-timeout: 45s
oauth-token-file: token
properties:
  security.protocol: SASL_SSL
  sasl.password: ${PASSWORD}
  socket.keepalive.enable: true
  ssl.ca.location: certs/ca.pem",
    );
    let registry = kafka.registry.as_ref().unwrap();
    assert_eq!(registry.token.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(
        registry.ca.as_deref(),
        Some(Path::new("/etc/jackfield/certs/ca.pem"))
    );
    let (certificate, key) = registry.identity.as_ref().unwrap();
    assert_eq!(certificate, Path::new("/c.pem"));
    assert_eq!(key, Path::new("/etc/jackfield/key.pem"));
    assert!(!registry.auto_register);
    assert_eq!(kafka.format, RecordFormat::Json);
    assert_eq!(kafka.worker.as_deref(), Some("w-4"));
    assert_eq!(kafka.membership, GroupMembership::Dynamic);
    assert_eq!(kafka.replication, Some(3));
    assert_eq!(kafka.positions_topic.as_deref(), Some("connect-offsets"));
    assert_eq!(
        kafka.oauth_token_file.as_deref(),
        Some(Path::new("/etc/jackfield/token"))
    );
    let property = |name: &str| kafka.properties[name].expose().to_owned();
    assert_eq!(property("sasl.password"), "hunter2");
    assert_eq!(property("socket.keepalive.enable"), "true");
    assert_eq!(property("ssl.ca.location"), "/etc/jackfield/certs/ca.pem");
    assert!(!format!("{kafka:?}").contains("hunter2"));
}
