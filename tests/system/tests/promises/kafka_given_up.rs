//! Partitions that go to another member of a sink's group while they can't be committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jackfield_system_tests::{Artifacts, Cluster, kept_below, shared_cluster, write_topic};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::kafka_records::{READING, consumer, reading};

const PARTITIONS: i64 = 2;
const RECORDS: i64 = 40;
/// How soon a guest notices that it is to leave.
const POLL: Duration = Duration::from_millis(50);

/// Another member of a group, which takes its share of the partitions until it is dropped.
struct Guest {
    leaves: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Guest {
    fn joins(cluster: &Cluster, group: &str, topic: &str) -> Guest {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &cluster.servers)
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            // What it reads is not to be taken for the group's position.
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        consumer.subscribe(&[topic]).unwrap();
        let leaves = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&leaves);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Acquire) {
                drop(consumer.poll(POLL));
            }
        });
        Guest {
            leaves,
            thread: Some(thread),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.leaves.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// What a task was given and can't stage is thrown away with the partition, and not taken for
/// committed: else it would become visible with a later commit, beside what the next owner reads.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_staged_is_given_up_with_its_partition() {
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    let kept = site.warehouse().join("kept");
    let root = format!("file://{}", kept.display());
    site.set("/pipelines/trades/sinks/lake", Value::Null);
    site.set(
        "/plugins/hostile-sink",
        json!({ "file": Artifacts::get().plugin("hostile-sink"), "memory": "32MiB" }),
    );
    let sink = json!({
        "plugin": "hostile-sink",
        "topics": ["readings"],
        // Nothing but the revocation asks for a commit.
        "commit": { "every": "1h" },
        "settings": { "in": "stage", "do": "retry-for-ever", "root": root },
        "allow": { "lake": "local" }
    });
    site.set("/pipelines/trades/sinks/kept", sink);
    let topic = site.topic("readings");
    let one = |n| json!({ "key": "k", "value": reading(n), "partition": n % PARTITIONS });
    let records: Vec<Value> = (0..RECORDS).map(one).collect();
    write_topic(&cluster, &topic, Some(READING), &records).await;

    let mut admin = Admin::run(&site, &[]).await;
    let all = |now: &Value| now["records"].as_i64() >= Some(RECORDS);
    admin
        .until("it was given all", "/status/trades-kept", all)
        .await;
    let group = format!("{}-trades-kept", site.cluster());
    let guest = Guest::joins(&cluster, &group, &topic);
    let given_up = "partitions are given up uncommitted";
    let _line = admin.jackfield.line(given_up).await;
    drop(guest);
    admin.jackfield.kill().await;

    site.set("/pipelines/trades/sinks/kept/settings/do", json!(""));
    site.set("/pipelines/trades/sinks/kept/commit/every", json!("100ms"));
    let mut admin = Admin::run(&site, &[]).await;
    let all = |now: &Value| now["committed"].as_i64() >= Some(RECORDS);
    admin
        .until("all is committed", "/status/trades-kept", all)
        .await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    let kept = kept_below(&kept);
    assert_eq!(kept.fault(|_| false), None);
    assert_eq!(kept.values().count() as i64, RECORDS);
}
