//! What Kafka's Java producer writes with a Java Avro serializer, our sink reads.

use std::collections::BTreeSet;

use jackfield_system_tests::{shared_cluster, write_topic_by_java};
use serde_json::{Value, json};

use crate::kafka_records::{READING, assert_readings, consumer, landed, reading};
use crate::run_until_idle;

/// In Avro's own JSON a value of a union stands under its type.
fn in_avros_json(mut reading: Value) -> Value {
    let note = reading["note"].take();
    if !note.is_null() {
        reading["note"] = json!({ "string": note });
    }
    reading
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_reads_what_javas_producer_writes() {
    let cluster = shared_cluster().await;
    let site = consumer(&cluster).await;
    let numbers: BTreeSet<i64> = (1..=300).collect();
    let records: Vec<Value> = numbers
        .iter()
        .map(|number| in_avros_json(reading(*number)))
        .collect();
    write_topic_by_java(&cluster, &site.topic("readings"), READING, &records).await;
    run_until_idle(&site, "2s").await;
    assert_readings(&landed(&site).await, &numbers);
}
