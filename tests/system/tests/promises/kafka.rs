//! Kafka as the log: what holds on the embedded log holds there, and others read what we write.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jackfield_exchange::{Speed, Trade};
use jackfield_system_tests::{
    Cluster, Jackfield, PATIENCE, Site, TopicRecord, compare, http, output, python, read_topic,
    read_topic_by_java, shared_cluster, values,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{ALL, assert_landed, exchange, run_until_idle};

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Exactly these trades lie in the topic of the feed, each partition in order.
pub(crate) async fn assert_topic(cluster: &Cluster, site: &Site, sent: &[Trade], format: &str) {
    let records = read_topic(cluster, &site.topic("trade"), format).await;
    let difference = compare(sent, &values(&records));
    assert!(difference.is_none(), "{difference}");
    assert_eq!(records.len(), sent.len());
    keys_stay_together_and_in_order(&records);
}

fn keys_stay_together_and_in_order(records: &[TopicRecord]) {
    let mut partitions: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for record in records {
        let key = record.key.as_deref().expect("trades have their symbol");
        assert_eq!(record.value["symbol"], key);
        partitions.entry(key).or_default().insert(record.partition);
        let id = record.value["trade_id"].as_i64().unwrap();
        let before = newest.insert(key, id);
        assert!(before.is_none_or(|before| before < id), "{key} went back");
    }
    assert_eq!(partitions.len(), 2);
    assert!(partitions.values().all(|those| those.len() == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_on_kafka_lands_every_trade_once_in_topic_and_table() {
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::Realtime(60.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/pipelines/trades/topics/trade/retention", json!("48h"));
    let begin = now_ms();
    run_until_idle(&site, "3s").await;
    let run = begin..=now_ms();
    let sent = exchange.trades();
    assert_eq!(sent.len(), ALL);
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
    for record in read_topic(&cluster, &site.topic("trade"), "avro").await {
        // Trades of a recording are old: retention counts from when they were received.
        assert!(run.contains(&record.timestamp), "{record:?} in {run:?}");
    }
    topic_is_as_declared(&cluster, &site).await;
    states_are_published(&cluster, &site).await;
    let by_java = read_topic_by_java(&cluster, &site.topic("trade")).await;
    let difference = compare(&sent, &values(&by_java));
    assert!(difference.is_none(), "{difference}");
    keys_stay_together_and_in_order(&by_java);
    positions_lie_as_connects(&cluster, &site, &sent).await;
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// In the form of Kafka Connect's status topic.
async fn states_are_published(cluster: &Cluster, site: &Site) {
    let topic = format!("{}-status", site.cluster());
    let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in read_topic(cluster, &topic, "json").await {
        assert_eq!(record.value["worker_id"], "one");
        let state = record.value["state"].as_str().unwrap().to_owned();
        states.entry(record.key.unwrap()).or_default().push(state);
    }
    for of in [
        "connector-trades-source",
        "task-trades-source-0",
        "connector-trades-lake",
        "task-trades-lake-0",
    ] {
        let states = &states[&format!("status-{of}")];
        assert!(states.contains(&"RUNNING".to_owned()), "{states:?}");
        assert_eq!(states.last().unwrap(), "STOPPED");
    }
}

/// Whichever connector came first has created it.
async fn topic_is_as_declared(cluster: &Cluster, site: &Site) {
    let topic = site.topic("trade");
    let args = ["--servers", &cluster.servers, "--topic", &topic];
    let told = python("describe_topic.py", &args, "").await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["partitions"], 4);
    assert_eq!(told["configs"]["retention.ms"], "172800000");
}

/// Keys `["<connector>", {partition}]`, values `{offset}`, both JSON.
async fn positions_lie_as_connects(cluster: &Cluster, site: &Site, sent: &[Trade]) {
    let topic = format!("{}-offsets", site.cluster());
    let records = read_topic(cluster, &topic, "json").await;
    let mut newest = BTreeMap::new();
    for record in records {
        let key: Value = serde_json::from_str(record.key.as_deref().unwrap()).unwrap();
        assert_eq!(key[0], "trades-source", "{key}");
        assert!(key[1].is_object() && key.as_array().unwrap().len() == 2);
        assert!(record.value.is_object(), "{:?}", record.value);
        newest.insert(key[1].to_string(), record.value);
    }
    let last = |symbol: &str| {
        let mut those = sent.iter().filter(|trade| *trade.symbol == *symbol);
        those.next_back().map(|trade| trade.trade_id)
    };
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        let (_, offset) = newest
            .iter()
            .find(|(partition, _)| partition.contains(symbol))
            .unwrap_or_else(|| panic!("{symbol}: {newest:?}"));
        let id = last(symbol).unwrap();
        let shown = offset.to_string();
        assert!(shown.contains(&id.to_string()), "{symbol}: {shown}, {id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_log_is_checked_without_a_broker() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let nowhere = Cluster {
        servers: "127.0.0.1:1".to_owned(),
        registry: "http://127.0.0.1:1".to_owned(),
    };
    site.on_kafka(&nowhere);
    let file = site.file().to_str().unwrap().to_owned();
    let good = output(&["check", &file]).await;
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert_eq!(good.status.code(), Some(0), "{said}");

    site.set(
        "/log/kafka/properties",
        json!({ "enable.idempotence": false, "sasl.pasword": "hunter2", "compression.codec": "lz4" }),
    );
    for command in ["check", "run"] {
        let bad = output(&[command, &file]).await;
        let said = [bad.stdout, bad.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(bad.status.code(), Some(2), "{said}");
        assert!(
            said.contains("enable.idempotence can't be set: records must neither double"),
            "{said}"
        );
        assert!(said.contains("does not know sasl.pasword"), "{said}");
        assert!(said.contains("log.kafka.properties"), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("lz4"), "{said}");
    }
}

/// Waits until a process says that it is ready, and gives the states that it tells.
async fn ready(jackfield: &mut Jackfield) -> Vec<String> {
    let url = format!("{}/readyz", jackfield.admin().await);
    let begin = Instant::now();
    loop {
        let answer = http().get(&url).send().await.unwrap();
        let status = answer.status();
        let said: Value = answer.json().await.unwrap();
        if status == 200 {
            let connectors = said["connectors"].as_array().unwrap().iter();
            let states = connectors.map(|it| it["state"].as_str().unwrap().to_owned());
            return states.collect();
        }
        assert!(begin.elapsed() < PATIENCE, "{said}");
        sleep(LOOK_EVERY).await;
    }
}

/// A second worker with the same file waits, says so, is ready meanwhile, and takes over when the
/// first is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_waits_and_takes_over() {
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::PerSecond(700.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    // By itself each process takes a name that no other one has.
    site.set("/log/kafka/worker", Value::Null);
    let mut first = Jackfield::run(&site, &[]);
    first.line("this worker has it").await;
    exchange.reached(500).await;
    let mut second = Jackfield::run(&site, &["--until-idle", "5s"]);
    second.line("waiting to take it over").await;
    assert_eq!(ready(&mut second).await, ["UNASSIGNED", "UNASSIGNED"]);
    exchange.reached(5000).await;
    assert!(!second.log().contains("this worker has it"));
    let anew = "restarts from what is stored";
    assert!(!first.log().contains(anew), "the second disturbed it");
    first.kill().await;
    assert_eq!(second.wait().await, 0);
    let sent = exchange.trades();
    assert_eq!(sent.len(), ALL);
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
}
