//! Topics as others read and write them: confluent-kafka, by the scripts in tests/python.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::{Cluster, repository};

/// A record of a topic.
#[derive(Debug, Clone, Deserialize)]
pub struct TopicRecord {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// ms since the epoch.
    pub timestamp: i64,
    /// Text, or hexadecimal digits.
    pub key: Option<String>,
    /// Headers by name: text, or hexadecimal digits.
    pub headers: BTreeMap<String, Option<String>>,
    /// Decoded; or text, or hexadecimal digits.
    pub value: Value,
}

/// Runs a script of tests/python with this input, and gives what it writes.
///
/// # Panics
/// It fails.
pub async fn python(script: &str, args: &[&str], input: &str) -> String {
    let root = repository();
    let mut child = Command::new(root.join("scripts/python"))
        .arg(root.join("tests/python").join(script))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("scripts/python is there");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// All committed records of a topic, as `avro`, `json` or `bytes`.
pub async fn read_topic(cluster: &Cluster, topic: &str, format: &str) -> Vec<TopicRecord> {
    let Cluster { servers, registry } = cluster;
    let args = ["--servers", servers, "--registry", registry];
    let args = [&args[..], &["--topic", topic, "--format", format]].concat();
    let text = python("read_topic.py", &args, "").await;
    let parsed = text.lines().map(serde_json::from_str);
    parsed.collect::<Result<_, _>>().unwrap()
}

/// The same of a topic of trades by Kafka's Java consumer and a Java Avro deserializer.
pub async fn read_topic_by_java(cluster: &Cluster, topic: &str) -> Vec<TopicRecord> {
    let root = repository();
    let fetched = Command::new(root.join("scripts/serde-fetch"));
    let libs = output(fetched, "scripts/serde-fetch").await;
    // Its client asks the registry's own API.
    let registry = cluster.registry.replace("/ccompat/v7", "/registry/v2");
    let mut java = Command::new("java");
    java.args([
        "-XX:TieredStopAtLevel=1",
        "-cp",
        &format!("{}/*", libs.trim()),
    ])
    .arg(root.join("tests/java/ReadTopic.java"))
    .args([&cluster.servers, &registry, topic]);
    let text = output(java, "tests/java/ReadTopic.java").await;
    let parsed = text.lines().map(serde_json::from_str);
    parsed.collect::<Result<_, _>>().unwrap()
}

async fn output(mut command: Command, what: &str) -> String {
    let output = command.kill_on_drop(true).output().await;
    let output = output.unwrap_or_else(|error| panic!("{what} does not run: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Writes records to a topic, values by Confluent's Avro serializer if there is a schema. See
/// write_topic.py for a record's form.
pub async fn write_topic(cluster: &Cluster, topic: &str, schema: Option<&str>, records: &[Value]) {
    let Cluster { servers, registry } = cluster;
    let mut args = vec!["--servers", servers, "--registry", registry];
    args.extend(["--topic", topic]);
    if let Some(schema) = schema {
        args.extend(["--schema", schema]);
    }
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    python("write_topic.py", &args, &lines.join("\n")).await;
}

/// The values of records, as rows are compared.
pub fn values(records: &[TopicRecord]) -> Vec<Map<String, Value>> {
    let values = records.iter().map(|record| record.value.as_object());
    values.map(|value| value.unwrap().clone()).collect()
}

/// Writes records to a topic by Kafka's Java producer and a Java Avro serializer. Each is in Avro's
/// own JSON of the schema.
pub async fn write_topic_by_java(cluster: &Cluster, topic: &str, schema: &str, records: &[Value]) {
    let root = repository();
    let fetched = Command::new(root.join("scripts/serde-fetch"));
    let libs = output(fetched, "scripts/serde-fetch").await;
    // Its client asks the registry's own API.
    let registry = cluster.registry.replace("/ccompat/v7", "/registry/v2");
    let mut child = Command::new("java")
        .args([
            "-XX:TieredStopAtLevel=1",
            "-cp",
            &format!("{}/*", libs.trim()),
        ])
        .arg(root.join("tests/java/WriteTopic.java"))
        .args([&cluster.servers, &registry, topic, schema])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("java is there, as it runs the brokers");
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.join("\n").as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "tests/java/WriteTopic.java: {errors}"
    );
}
