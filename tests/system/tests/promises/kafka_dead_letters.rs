//! Dead letters come first: an offset moves only past a record that has one. And those of a source.

use std::collections::{BTreeMap, BTreeSet};

use jackfield_exchange::Speed;
use jackfield_system_tests::{
    Artifacts, Cluster, Jackfield, Site, read_pyiceberg, read_topic, shared_cluster, write_topic,
};
use rand::Rng;
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use serde_json::{Value, json};

use crate::kafka_records::{READING, assert_readings, consumer, dead_letters, landed, reading};
use crate::{exchange, run_until_idle};

/// What a topic of dead letters takes first, and then.
const SMALL_BYTES: &str = "1000";
const LARGE_BYTES: &str = "1000000";
/// Of the record that it can't take at first. It is random: it does not become small when it is
/// compressed.
const BAD_BYTES: usize = 8000;
const MAX: &str = "max.message.bytes";

fn client(cluster: &Cluster) -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", &cluster.servers)
        .create()
        .unwrap()
}

async fn make_small(cluster: &Cluster, topic: &str) {
    let client = client(cluster);
    let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(1)).set(MAX, SMALL_BYTES);
    let made = client.create_topics([&topic], &AdminOptions::new());
    made.await.unwrap().pop().unwrap().unwrap();
}

async fn make_large(cluster: &Cluster, topic: &str) {
    let client = client(cluster);
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(MAX, LARGE_BYTES);
    let made = client.alter_configs([&change], &AdminOptions::new());
    made.await.unwrap().pop().unwrap().unwrap();
}

/// The next offset of partition 0 of the readings, as their table has it.
async fn stored(site: &Site) -> i64 {
    let table = read_pyiceberg(&site.path().join("data"), "plant.readings").await;
    let text = &table.about.properties["jackfield.offsets.trades-lake"];
    let stored: BTreeMap<String, Value> = serde_json::from_str(text).unwrap();
    let mut topics = stored.into_values();
    let topic = topics.next().unwrap();
    assert_eq!(topic["topic"], site.topic("readings"));
    assert!(topics.next().is_none());
    topic["partitions"]["0"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_offset_moves_past_a_record_whose_letter_is_not_acknowledged() {
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    let (topic, dead) = (site.topic("readings"), site.topic("dead"));
    make_small(&cluster, &dead).await;
    site.set(
        "/pipelines/trades/sinks/lake/on-bad-record",
        json!({ "dead-letter": { "topic": dead } }),
    );
    let good = |number: i64| json!({ "key": "k", "value": reading(number), "partition": 0 });
    write_topic(&cluster, &topic, Some(READING), &[good(1)]).await;
    run_until_idle(&site, "2s").await;
    assert_eq!(stored(&site).await, 1);

    let bad: String = (0..BAD_BYTES)
        .map(|_| format!("{:02x}", rand::rng().random_range(1..=u8::MAX)))
        .collect();
    let bad = json!({ "key": "k", "bytes": bad, "partition": 0 });
    write_topic(&cluster, &topic, Some(READING), &[bad, good(2)]).await;
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "2s"]);
    assert_eq!(jackfield.wait().await, 1);
    let log = jackfield.log();
    let failed = log.lines().find(|line| line.contains("FAILED")).unwrap();
    assert!(failed.contains("dead letter"), "{failed}");
    assert_eq!(stored(&site).await, 1, "it went past the bad record");
    assert!(dead_letters(&cluster, &dead).await.is_empty());

    make_large(&cluster, &dead).await;
    run_until_idle(&site, "2s").await;
    assert_readings(&landed(&site).await, &BTreeSet::from([1, 2]));
    let letters = dead_letters(&cluster, &dead).await;
    assert_eq!(letters.into_keys().collect::<Vec<_>>(), [(0, 1)]);
}

/// Events that a source rejects, with what docs/KAFKA.md promises of them. Between them and the
/// records no event is missing.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_source_rejects_become_dead_letters() {
    const EVERY: u64 = 50;
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::PerSecond(4000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    let (ws, only, dead) = (exchange.ws_url(), site.topic("only"), site.topic("dead"));
    site.set(
        "/plugins",
        json!({ "hostile": Artifacts::get().plugin("hostile") }),
    );
    site.set(
        "/pipelines",
        json!({ "evil": {
            "source": {
                "plugin": "hostile",
                "settings": {
                    "in": "poll", "do": "reject", "every": EVERY,
                    "take": true, "url": format!("{ws}/ws/btcusdt@trade")
                },
                "allow": { "websocket": [ws] },
                "on-bad-record": { "dead-letter": { "topic": dead } }
            },
            "topics": { "only": { "name": only } }
        } }),
    );
    run_until_idle(&site, "3s").await;

    let mut events = BTreeSet::new();
    for record in read_topic(&cluster, &only, "bytes").await {
        let event: u64 = record.value.as_str().unwrap().parse().unwrap();
        assert!(!event.is_multiple_of(EVERY), "{event} is rejected");
        assert!(events.insert(event), "{event} is there twice");
    }
    let letters = read_topic(&cluster, &dead, "bytes").await;
    assert!(!letters.is_empty());
    for letter in letters {
        let header = |name: &str| letter.headers.get(name).cloned().flatten();
        let event: u64 = header("jackfield.inbox.event").unwrap().parse().unwrap();
        assert_eq!(event % EVERY, 0, "{event} is not rejected");
        assert!(events.insert(event), "{event} is there twice");
        for (name, expected) in [
            ("connector.name", "evil-source"),
            ("task.id", "0"),
            ("stage", "TASK_POLL"),
            ("class.name", "hostile 0.1.0"),
            ("exception.class.name", "jackfield.Rejected"),
            ("exception.message", "as told"),
            (
                "exception.stacktrace",
                "jackfield.Rejected: as told\n\tat TASK_POLL (hostile 0.1.0)",
            ),
        ] {
            let found = header(&format!("__connect.errors.{name}"));
            assert_eq!(found.as_deref(), Some(expected), "{name}");
        }
        for name in ["topic", "partition", "offset"] {
            assert_eq!(header(&format!("__connect.errors.{name}")), None);
        }
        assert_eq!(letter.key, None);
    }
    let through = events.len() as u64;
    assert_eq!(events, (1..=through).collect());
}
