//! A sink's shadow while the sink's group changes on Kafka.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jackfield_system_tests::{Artifacts, Cluster, Site, shared_cluster, write_topic};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::admin::Admin;
use crate::kafka_guest::Guest;
use crate::kafka_records::{READING, assert_readings, consumer, landed, reading};

const SINK: &str = "trades-lake";
const STATUS: &str = "/status/trades-lake";
const PARTITIONS: i64 = 2;
/// Readings that are written at a time, to all partitions in turn.
const BATCH: i64 = 100;
/// Between two commits: a shadow begins with one, and is there before the next.
const COMMIT_EVERY: &str = "6s";
/// Of a shadow that is to be cut: longer than a group takes to change.
const CUT_SPAN: &str = "5m";
/// Of a shadow that is to see its whole time, with several commits in it.
const WHOLE_SPAN: &str = "30s";
/// Shadows until one sees its whole time: a group that has just changed may go on changing.
const TRIES: usize = 10;

/// Someone who writes readings until told to end.
struct Feed {
    ends: Arc<AtomicBool>,
    /// How many were written.
    task: JoinHandle<i64>,
}

impl Feed {
    fn begins(cluster: &Cluster, topic: String) -> Feed {
        let ends = Arc::new(AtomicBool::new(false));
        let (told, cluster) = (Arc::clone(&ends), cluster.clone());
        let task = tokio::spawn(async move {
            let mut next = 0;
            while !told.load(Ordering::Acquire) {
                let of = |n: i64| n % PARTITIONS;
                let one = |n| json!({ "key": "k", "value": reading(n), "partition": of(n) });
                let records: Vec<Value> = (next..next + BATCH).map(one).collect();
                write_topic(&cluster, &topic, Some(READING), &records).await;
                next += BATCH;
            }
            next
        });
        Feed { ends, task }
    }

    /// The numbers of all that were written.
    async fn end(self) -> BTreeSet<i64> {
        self.ends.store(true, Ordering::Release);
        (0..self.task.await.unwrap()).collect()
    }
}

/// A process, in which shadows are begun.
struct Shadowed<'a> {
    admin: &'a Admin,
    site: &'a Site,
}

impl Shadowed<'_> {
    /// `jackfield swap --shadow` of the version that runs, and what happens once it has begun: how
    /// it exits, and its report.
    async fn shadow<T>(&self, span: &str, meanwhile: impl Future<Output = T>) -> (i32, Value, T) {
        let shadows = format!("/connectors/{SINK}/shadows");
        let newest = |all: &Value| {
            let last = all.as_array().and_then(|it| it.last());
            last.and_then(|it| it["number"].as_u64()).unwrap_or(0)
        };
        let sink = Artifacts::get().plugin("iceberg-sink");
        let args = [SINK, sink.to_str().unwrap(), "--json", "--shadow", span];
        for _ in 0..TRIES {
            let before = newest(&self.admin.get(&shadows).await);
            let mut command = pin!(self.admin.command(self.site, &args));
            let begun = |all: &Value| newest(all) > before;
            let output = tokio::select! {
                output = &mut command => Some(output),
                _ = self.admin.until("it has begun", &shadows, begun) => None,
            };
            if let Some(output) = output {
                // One is refused while the sink begins anew, as it may after its group changed.
                println!("over before it was seen to begin: {output:?}");
                continue;
            }
            let (output, happened) = tokio::join!(command, meanwhile);
            let report = serde_json::from_slice(&output.stdout);
            let report = report.unwrap_or_else(|error| panic!("{error}: {output:?}"));
            return (output.status.code().unwrap(), report, happened);
        }
        panic!("none of {TRIES} shadows began");
    }

    /// What it had compared until its sink's partitions changed was the same.
    async fn is_cut<T>(&self, by: impl Future<Output = T>) -> T {
        let (code, report, happened) = self.shadow(CUT_SPAN, by).await;
        let end = (code, &report["end"], &report["differs"]);
        let cut = (9, &json!("running-ended"), &json!(false));
        assert_eq!(end, cut, "{report}");
        happened
    }

    /// What it compares in its whole time is the same.
    async fn sees_its_time(&self) {
        for _ in 0..TRIES {
            let (code, report, ()) = self.shadow(WHOLE_SPAN, async {}).await;
            assert_eq!(report["differs"], false, "{report}");
            let rows = |who: &str| report["sink"][who]["plant.readings"]["rows"].as_u64();
            if report["end"] == "over" && rows("running") > Some(0) {
                assert_eq!((code, rows("new")), (0, rows("running")), "{report}");
                return;
            }
        }
        panic!("no shadow of {TRIES} saw its whole time");
    }
}

/// Waits until the sink has made so many commits more.
async fn commits(admin: &Admin, more: usize) {
    for _ in 0..more {
        let rows = |now: &Value| now["committed"].as_u64().unwrap_or_default();
        let at = rows(&admin.get(STATUS).await);
        admin
            .until("it commits", STATUS, |now| rows(now) > at)
            .await;
    }
}

/// Partitions are taken from the sink, and given back to it, each time while a shadow runs beside
/// it: the shadow ends and says so, and another one may begin.
#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_ends_with_a_report_when_its_sinks_partitions_change() {
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    site.set(
        "/pipelines/trades/sinks/lake/commit",
        json!({ "every": COMMIT_EVERY }),
    );
    let topic = site.topic("readings");
    let group = format!("{}-{SINK}", site.cluster());
    let feed = Feed::begins(&cluster, topic.clone());
    let mut admin = Admin::run(&site, &[]).await;
    commits(&admin, 1).await;

    let shadowed = Shadowed {
        admin: &admin,
        site: &site,
    };
    let joins = async {
        // By then there is something that it can have compared.
        commits(&admin, 2).await;
        Guest::joins(&cluster, &group, &topic)
    };
    let guest = shadowed.is_cut(joins).await;
    // Of the partition that is left.
    shadowed.sees_its_time().await;
    let leaves = async { spawn_blocking(move || drop(guest)).await.unwrap() };
    shadowed.is_cut(leaves).await;
    shadowed.sees_its_time().await;

    let written = feed.end().await;
    let all = |now: &Value| now["committed"].as_u64() >= Some(written.len() as u64);
    admin.until("all is committed", STATUS, all).await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    assert_readings(&landed(&site).await, &written);
}
