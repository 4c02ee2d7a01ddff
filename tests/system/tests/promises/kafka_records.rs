//! Records that others write, records as JSON, and records that are bad.

use std::collections::{BTreeMap, BTreeSet};

use jackfield_exchange::Speed;
use jackfield_system_tests::{
    Cluster, Jackfield, Site, TopicRecord, read_pyiceberg, read_topic, shared_cluster, write_topic,
};
use jackfield_test_kafka::Proxy;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};
use tokio::time::{Duration, sleep};
use url::Url;

use crate::kafka::assert_topic;
use crate::kafka_counts::tried_again;
use crate::{ALL, COMMITTED, assert_landed, exchange, run_until_idle, seed};

/// As a producer of others might declare it.
pub(crate) const READING: &str = r#"{"type":"record","name":"Reading","namespace":"plant","fields":[
    {"name":"sensor","type":"string"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"celsius","type":"double"},
    {"name":"good","type":"boolean"},
    {"name":"note","type":["null","string"],"default":null}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn json_topics_work_end_to_end_without_a_registry() {
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::Realtime(60.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/log/kafka/format", json!("json"));
    site.set("/log/kafka/schema.registry.url", Value::Null);
    run_until_idle(&site, "3s").await;
    let sent = exchange.trades();
    assert_eq!(sent.len(), ALL);
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "json").await;
}

/// A pipeline that only consumes: `readings` into `plant.readings`.
pub(crate) async fn consumer(cluster: &Cluster) -> Site {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(cluster);
    site.set("/pipelines/trades/source", Value::Null);
    site.set("/plugins/binance", Value::Null);
    let topic = site.topic("readings");
    site.set(
        "/pipelines/trades/topics",
        json!({ "readings": { "name": topic, "partitions": 2 } }),
    );
    site.set("/pipelines/trades/sinks/lake/topics", json!(["readings"]));
    site.set(
        "/pipelines/trades/sinks/lake/settings",
        json!({ "table": "plant.readings" }),
    );
    // Created as the file declares it, before anyone else writes.
    run_until_idle(&site, "100ms").await;
    site
}

pub(crate) fn reading(number: i64) -> Value {
    json!({
        "sensor": format!("s{}", number % 3),
        "at": number * 1000,
        "celsius": number as f64 / 7.0,
        "good": number % 2 == 0,
        "note": (number % 5 == 0).then(|| format!("n{number}")),
    })
}

/// Rows of the table by the number in their time, with how often each is there.
pub(crate) async fn landed(site: &Site) -> BTreeMap<i64, Vec<Map<String, Value>>> {
    let table = read_pyiceberg(&site.path().join("data"), "plant.readings").await;
    let mut rows: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for row in table.rows {
        rows.entry(row["at"].as_i64().unwrap() / 1000)
            .or_default()
            .push(row);
    }
    rows
}

pub(crate) fn assert_readings(
    rows: &BTreeMap<i64, Vec<Map<String, Value>>>,
    numbers: &BTreeSet<i64>,
) {
    let landed: BTreeSet<i64> = rows.keys().copied().collect();
    assert_eq!(&landed, numbers);
    for (number, rows) in rows {
        assert_eq!(rows.len(), 1, "{number} is there {} times", rows.len());
        let mut row = rows[0].clone();
        row.remove("received_at");
        assert_eq!(Value::Object(row), reading(*number));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_reads_what_confluents_serializer_writes() {
    let cluster = shared_cluster().await;
    let site = consumer(&cluster).await;
    let numbers: BTreeSet<i64> = (1..=500).collect();
    let records: Vec<Value> = numbers
        .iter()
        .map(|n| json!({ "key": format!("k{n}"), "value": reading(*n) }))
        .collect();
    write_topic(&cluster, &site.topic("readings"), Some(READING), &records).await;
    run_until_idle(&site, "2s").await;
    assert_readings(&landed(&site).await, &numbers);
}

/// What others write as JSON is read by the Avro schema of the topic's subject.
#[tokio::test(flavor = "multi_thread")]
async fn the_sink_reads_json_of_others_and_names_what_it_can_not_read() {
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    let topic = site.topic("readings");
    site.set("/pipelines/trades/topics/readings/format", json!("json"));
    let url = format!("{}/subjects/{topic}-value/versions", cluster.registry);
    let registered = jackfield_system_tests::http()
        .post(url)
        .json(&json!({ "schema": READING }))
        .send()
        .await
        .unwrap();
    assert_eq!(registered.status(), 200);
    let numbers: BTreeSet<i64> = (1..=200).collect();
    let mut records: Vec<Value> = numbers
        .iter()
        .map(|n| json!({ "key": "k", "value": reading(*n), "partition": 0 }))
        .collect();
    write_topic(&cluster, &topic, None, &records).await;
    run_until_idle(&site, "2s").await;
    assert_readings(&landed(&site).await, &numbers);

    records = vec![json!({ "key": "k", "value": { "sensor": 7 }, "partition": 0 })];
    write_topic(&cluster, &topic, None, &records).await;
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "2s"]);
    assert_eq!(jackfield.wait().await, 1);
    let log = jackfield.log();
    let failed = log.lines().find(|line| line.contains("FAILED")).unwrap();
    assert!(
        failed.contains(&format!("{topic}-0 offset 200")),
        "{failed}"
    );
    assert!(failed.contains("not the JSON of its schema"), "{failed}");
    assert!(failed.contains("`sensor`"), "{failed}");
}

/// Each dead letter by where its record lies, with the newest of its doubles.
pub(crate) async fn dead_letters(
    cluster: &Cluster,
    topic: &str,
) -> BTreeMap<(i32, i64), TopicRecord> {
    let letters = read_topic(cluster, topic, "bytes").await;
    let header = |letter: &TopicRecord, name: &str| letter.headers[name].clone().unwrap();
    let at = |letter: &TopicRecord| {
        (
            header(letter, "__connect.errors.partition")
                .parse()
                .unwrap(),
            header(letter, "__connect.errors.offset").parse().unwrap(),
        )
    };
    letters.into_iter().map(|it| (at(&it), it)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_stops_the_sink_or_goes_to_the_dead_letters_alone() {
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    let topic = site.topic("readings");
    let records = [
        json!({ "key": "k", "value": reading(1), "partition": 1 }),
        json!({ "key": "p", "bytes": "6e6f742061766f", "partition": 1 }),
        json!({ "key": "k", "value": reading(2), "partition": 1 }),
        // A schema that nobody registered.
        json!({ "key": "q", "bytes": "00000fffff0102", "partition": 1 }),
        json!({ "key": "k", "value": reading(3), "partition": 1 }),
    ];
    write_topic(&cluster, &topic, Some(READING), &records).await;
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "2s"]);
    assert_eq!(jackfield.wait().await, 1);
    let log = jackfield.log();
    let failed = log.lines().find(|line| line.contains("FAILED")).unwrap();
    assert!(failed.contains(&format!("{topic}-1 offset 1")), "{failed}");

    let dead = site.topic("dead");
    site.set(
        "/pipelines/trades/sinks/lake/on-bad-record",
        json!({ "dead-letter": { "topic": dead } }),
    );
    run_until_idle(&site, "2s").await;
    assert_readings(&landed(&site).await, &BTreeSet::from([1, 2, 3]));
    let letters = dead_letters(&cluster, &dead).await;
    let places: Vec<_> = letters.keys().copied().collect();
    assert_eq!(places, [(1, 1), (1, 3)], "only the bad ones");
    let letter = &letters[&(1, 1)];
    assert_eq!(letter.value, "not avo");
    let header = |name: &str| letter.headers[name].clone().unwrap();
    assert_eq!(header("__connect.errors.topic"), topic);
    assert_eq!(header("__connect.errors.connector.name"), "trades-lake");
    let reason = header("__connect.errors.exception.message");
    assert!(reason.contains("no schema"), "{reason}");
    assert_eq!(header("__connect.errors.task.id"), "0");
    assert_eq!(header("__connect.errors.stage"), "TASK_PUT");
    let stack = header("__connect.errors.exception.stacktrace");
    assert!(
        stack.contains(&format!("KAFKA_CONSUME ({topic}/1/1)")),
        "{stack}"
    );
    // As it lay, with the registry's five bytes.
    let letter = &letters[&(1, 3)];
    let lies = letter.value.as_str().unwrap();
    assert!(
        lies.contains("0fffff") || lies.starts_with('\0'),
        "{lies:?}"
    );
}

/// What passes is waited out, and counted: a registry that can't be reached makes no record bad.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_out_of_reach_sends_nothing_to_the_dead_letters() {
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    let dead = site.topic("dead");
    site.set(
        "/pipelines/trades/sinks/lake/on-bad-record",
        json!({ "dead-letter": { "topic": dead } }),
    );
    let records: Vec<Value> = (1..=50)
        .map(|n| json!({ "key": "k", "value": reading(n), "partition": 0 }))
        .collect();
    write_topic(&cluster, &site.topic("readings"), Some(READING), &records).await;
    let proxy = Proxy::listen();
    let url = Url::parse(&cluster.registry).unwrap();
    proxy.to(url.port().unwrap());
    proxy.cut();
    let behind = cluster.registry.replace(
        &format!(":{}", url.port().unwrap()),
        &format!(":{}", proxy.port()),
    );
    site.set("/log/kafka/schema.registry.url", json!(behind));
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "2s"]);
    jackfield.line("the schema registry is not available").await;
    let url = jackfield.admin().await;
    tried_again(&url, "trades-lake").await;
    proxy.mend();
    assert_eq!(jackfield.wait().await, 0);
    assert_readings(&landed(&site).await, &(1..=50).collect());
    assert!(dead_letters(&cluster, &dead).await.is_empty());
}

/// A dead letter is acknowledged before the offset moves: whenever it is killed, each bad record
/// has its letter, and each good one its row.
#[tokio::test(flavor = "multi_thread")]
async fn kills_while_dead_lettering_lose_no_letter_and_double_no_row() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    let dead = site.topic("dead");
    site.set(
        "/pipelines/trades/sinks/lake/on-bad-record",
        json!({ "dead-letter": { "topic": dead } }),
    );
    site.set(
        "/pipelines/trades/sinks/lake/commit",
        json!({ "every": "100ms" }),
    );
    let mut good = BTreeSet::new();
    let mut bad = BTreeSet::new();
    let mut next = 0;
    for round in 0..6 {
        let mut records = Vec::new();
        for _ in 0..100 {
            let offset = i64::from(next);
            match next % 10 {
                7 => {
                    bad.insert((0, offset));
                    records.push(json!({ "key": "k", "bytes": "ff", "partition": 0 }));
                }
                _ => {
                    good.insert(offset);
                    records.push(json!({ "key": "k", "value": reading(offset), "partition": 0 }));
                }
            }
            next += 1;
        }
        write_topic(&cluster, &site.topic("readings"), Some(READING), &records).await;
        let mut jackfield = Jackfield::run(&site, &[]);
        // One life comes to something, however slow the machine is.
        let begun = if round == 0 {
            COMMITTED
        } else {
            "reading from"
        };
        jackfield.line(begun).await;
        sleep(Duration::from_millis(random.random_range(0..600))).await;
        jackfield.kill().await;
    }
    let before = landed(&site).await;
    assert!(!before.is_empty(), "the last run found nothing done");
    run_until_idle(&site, "2s").await;
    assert_readings(&landed(&site).await, &good);
    let letters = dead_letters(&cluster, &dead).await;
    let places: BTreeSet<_> = letters.keys().copied().collect();
    assert_eq!(places, bad);
}

/// The schemas of a topic, one after the other: each reads what was written before.
fn growing(version: usize) -> String {
    let more = [
        "",
        r#",{"name":"humidity","type":["null","float"],"default":null}"#,
        r#",{"name":"humidity","type":["null","double"],"default":null}"#,
    ];
    let head = READING
        .strip_suffix("]}")
        .expect("a list of fields ends it");
    format!("{head}{}]}}", more[version])
}

fn growing_reading(number: i64, version: usize) -> Value {
    let mut value = reading(number);
    if version > 0 {
        value["humidity"] = json!(number as f64 / 4.0);
    }
    value
}

/// A topic's schema grows while its records go to several tables, and the worker is killed again and
/// again: whichever step of whichever commit it was in, each record is in its table once.
#[tokio::test(flavor = "multi_thread")]
async fn kills_while_schemas_of_several_tables_change_lose_and_double_nothing() {
    const ROUNDS: usize = 15;
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    let sink = "/pipelines/trades/sinks/lake";
    site.set(&format!("{sink}/commit"), json!({ "every": "100ms" }));
    site.set(
        &format!("{sink}/settings"),
        json!({ "table": "plant.{sensor}", "evolve": "full" }),
    );
    let mut sent = BTreeMap::new();
    for round in 0..ROUNDS {
        let version = round * 3 / ROUNDS;
        let mut records = Vec::new();
        for number in sent.len()..sent.len() + 60 {
            let value = growing_reading(number as i64, version);
            sent.insert(number as i64, value.clone());
            records.push(json!({ "key": "k", "value": value, "partition": number % 2 }));
        }
        let topic = site.topic("readings");
        write_topic(&cluster, &topic, Some(&growing(version)), &records).await;
        let mut jackfield = Jackfield::run(&site, &[]);
        // One life comes to something, however slow the machine is.
        let begun = if round == 0 {
            COMMITTED
        } else {
            "reading from"
        };
        jackfield.line(begun).await;
        sleep(Duration::from_millis(random.random_range(0..500))).await;
        jackfield.kill().await;
    }
    run_until_idle(&site, "2s").await;
    let mut landed = BTreeMap::new();
    for sensor in ["s0", "s1", "s2"] {
        let table = read_pyiceberg(&site.path().join("data"), &format!("plant.{sensor}")).await;
        for mut row in table.rows {
            assert_eq!(row["sensor"], sensor);
            if row["humidity"].is_null() {
                row.remove("humidity");
            }
            let number = row["at"].as_i64().unwrap() / 1000;
            let before = landed.insert(number, Value::Object(row));
            assert!(before.is_none(), "{number} is there twice");
        }
    }
    assert_eq!(landed, sent);
}
