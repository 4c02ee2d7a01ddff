//! `transaction: { linger, records }` on Kafka: batches that wait for each other share transactions.

use std::collections::BTreeMap;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Cluster, Jackfield, Site, TopicRecord, read_topic, shared_cluster};
use serde_json::{Value, json};

use crate::kafka::assert_topic;
use crate::{assert_landed, exchange, run_until_idle};

/// Offsets that no record has: there the brokers' marks of transactions lie.
fn marks(records: &[TopicRecord]) -> i64 {
    let mut partitions: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for record in records {
        let offsets = partitions.entry(record.partition).or_default();
        offsets.push(record.offset);
    }
    let of_each = partitions.values().map(|offsets| {
        let (first, last) = (offsets.iter().min(), offsets.iter().max());
        let span = last.unwrap() - first.unwrap() + 1;
        span - i64::try_from(offsets.len()).unwrap()
    });
    of_each.sum()
}

/// Runs the example, stopped once on its way, and gives how many transactions it took.
async fn transactions(cluster: &Cluster, transaction: Value) -> i64 {
    let exchange = exchange(Speed::PerSecond(1500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(cluster);
    site.set("/pipelines/trades/transaction", transaction);
    let mut first = Jackfield::run(&site, &[]);
    exchange.reached(8000).await;
    // Much of what it has then still waits.
    first.terminate().await;
    assert_eq!(first.wait().await, 0);
    run_until_idle(&site, "4s").await;
    exchange.finished().await;
    let sent = exchange.trades();
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(cluster, &site, &sent, "avro").await;
    marks(&read_topic(cluster, &site.topic("trade"), "avro").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_wait_for_each_other_share_transactions() {
    let cluster = shared_cluster().await;
    let at_once = transactions(&cluster, json!({})).await;
    let few = transactions(&cluster, json!({ "linger": "2s", "records": 100_000 })).await;
    // A slow broker makes fewer transactions at once: these must be fewer by far.
    let full = transactions(&cluster, json!({ "linger": "30s", "records": 3000 })).await;
    println!("marks: {at_once} at once, {few} with 2 s, {full} with 3000 records");
    assert!(few * 4 < at_once, "{few} of {at_once}");
    assert!(full * 2 < at_once, "{full} of {at_once}");
}
