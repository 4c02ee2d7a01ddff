//! What is skipped, what becomes a dead letter, and what is tried again is counted.

use std::collections::BTreeSet;

use jackfield_system_tests::{
    Cluster, PATIENCE, Site, http, metric, read_topic, shared_cluster, write_topic,
};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::admin::Admin;
use crate::kafka_records::{READING, assert_readings, consumer, landed, reading};

const LAKE: &str = "trades-lake";
const REJECTED: &str = "jackfield_rejected_records_total";
const DEAD_LETTERS: &str = "jackfield_dead_letters_total";
const ROWS: &str = "jackfield_committed_rows_total";

/// Between two looks at a figure.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until a connector counts that it tried something again, or began anew.
pub(crate) async fn tried_again(url: &str, connector: &str) {
    let begin = Instant::now();
    loop {
        let page = http().get(format!("{url}/metrics")).send().await.unwrap();
        let page = page.text().await.unwrap();
        let names = ["jackfield_retries_total", "jackfield_restarts_total"];
        let counted: f64 = names
            .map(|name| metric(&page, name, connector))
            .iter()
            .sum();
        if counted > 0.0 {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{connector} counts no retry");
        sleep(LOOK_EVERY).await;
    }
}

async fn write(cluster: &Cluster, site: &Site, records: &[Value]) {
    write_topic(cluster, &site.topic("readings"), Some(READING), records).await;
}

fn good(number: i64) -> Value {
    json!({ "key": "k", "value": reading(number), "partition": 0 })
}

fn bad() -> Value {
    json!({ "key": "k", "bytes": "6e6f742061766f", "partition": 0 })
}

/// Runs until so many rows are committed, and gives how many records were rejected by then and how
/// many dead letters written.
async fn run_until(site: &Site, rows: u64) -> (u64, u64) {
    let mut admin = Admin::run(site, &[]).await;
    let begin = Instant::now();
    while admin.figure(ROWS, LAKE).await < rows {
        assert!(begin.elapsed() < PATIENCE, "{rows} rows are not committed");
        sleep(LOOK_EVERY).await;
    }
    let counted = (
        admin.figure(REJECTED, LAKE).await,
        admin.figure(DEAD_LETTERS, LAKE).await,
    );
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    counted
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_that_are_skipped_or_dead_lettered_are_counted() {
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    let dead = site.topic("dead");
    let on_bad_record = "/pipelines/trades/sinks/lake/on-bad-record";

    site.set(on_bad_record, json!("skip"));
    let records = [good(1), bad(), good(2), bad(), good(3)];
    write(&cluster, &site, &records).await;
    assert_eq!(run_until(&site, 3).await, (2, 0));
    assert_readings(&landed(&site).await, &BTreeSet::from([1, 2, 3]));

    site.set(on_bad_record, json!({ "dead-letter": { "topic": dead } }));
    write(&cluster, &site, &[good(4), bad(), bad(), good(5)]).await;
    assert_eq!(run_until(&site, 2).await, (2, 2));
    assert_readings(&landed(&site).await, &(1..=5).collect());
    let letters = read_topic(&cluster, &dead, "bytes").await;
    assert_eq!(letters.len(), 2, "what was skipped before has none");
}
