//! Partitions that go to another member of a sink's group while they can't be committed.

use jackfield_system_tests::{Artifacts, kept_below, shared_cluster, write_topic};
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::kafka_guest::Guest;
use crate::kafka_records::{READING, consumer, reading};

const PARTITIONS: i64 = 2;
const RECORDS: i64 = 40;

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
