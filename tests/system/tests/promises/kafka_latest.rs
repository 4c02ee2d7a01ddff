//! A sink that begins at the end of its topics.

use jackfield_system_tests::{Jackfield, PATIENCE, shared_cluster, write_topic};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::kafka_records::{READING, assert_readings, consumer, landed, reading};
use crate::run_until_idle;

const PARTITIONS: i64 = 2;
/// Between two looks at what a process has said.
const LOOK_EVERY: Duration = Duration::from_millis(20);

fn readings(numbers: std::ops::Range<i64>) -> Vec<Value> {
    let one = |n| json!({ "key": "k", "value": reading(n), "partition": n % PARTITIONS });
    numbers.map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_the_first_commit_of_a_sink_that_begins_at_the_end_loses_nothing() {
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    // Another name than that of the sink which made the topic, and so another group.
    site.set("/pipelines/trades/sinks/lake", Value::Null);
    let late = json!({
        "plugin": "iceberg", "allow": { "lake": "local" }, "topics": ["readings"], "start": "latest",
        "settings": { "table": "plant.readings" }, "commit": { "every": "1h" }
    });
    site.set("/pipelines/trades/sinks/late", late);
    let topic = site.topic("readings");
    write_topic(&cluster, &topic, Some(READING), &readings(0..10)).await;

    let mut jackfield = Jackfield::run(&site, &[]);
    let begin = Instant::now();
    while jackfield.log().matches("reading from").count() < PARTITIONS as usize {
        assert!(jackfield.is_running(), "{}", jackfield.log());
        assert!(begin.elapsed() < PATIENCE, "{}", jackfield.log());
        sleep(LOOK_EVERY).await;
    }
    write_topic(&cluster, &topic, Some(READING), &readings(10..60)).await;
    jackfield.kill().await;

    site.set("/pipelines/trades/sinks/late/commit/every", json!("100ms"));
    run_until_idle(&site, "500ms").await;
    assert_readings(&landed(&site).await, &(10..60).collect());
}
