//! The sink alone: the records lie in the topic before it starts.

use std::time::{Duration, Instant};

use jackfield_exchange::{Exchange, Options, Speed};
use jackfield_system_tests::{Cluster, Rates, Site, Watched, http, shared_cluster};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::count::{AS_THE_SINK, FAR_AHEAD, counted};
use crate::fill::{TRADE, fill, text};
use crate::{LOOK_EVERY, PARTITIONS};

/// As Kafka Connect had it. The last commit waits for no interval: see [`Filled::landed`].
const COMMIT_EVERY: &str = "10s";
/// What Kafka Connect takes in a CPU second: docs/BENCHMARKS.md says where.
const CONNECT_PER_CPU_SECOND: f64 = 163_000.0;

/// How long a sink that takes nothing is looked at, and from when on its memory counts.
const STOPPED_FOR: Duration = Duration::from_secs(60);
const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// What an allocator may do by itself; the records are ten times that.
const GROWTH_MAX_MIB: f64 = 64.0;

/// A topic with records, and a sink that has read none of them.
pub(crate) struct Filled {
    cluster: Cluster,
    site: Site,
    topic: String,
    format: &'static str,
    records: u64,
}

impl Filled {
    pub(crate) async fn new(format: &'static str, records: u64) -> Filled {
        let cluster = shared_cluster().await;
        let mut options = Options::spot().unwrap();
        options.speed = Speed::Unlimited;
        // A site is made of one, though nothing here asks it for anything.
        let exchange = Exchange::start(options).await.unwrap();
        let mut site = Site::new(&exchange).await;
        site.on_kafka(&cluster);
        site.set("/log/kafka/format", json!(format));
        site.set("/pipelines/trades/source", Value::Null);
        site.set("/plugins/binance", Value::Null);
        let topic = site.topic("trade");
        site.set(
            "/pipelines/trades/topics",
            json!({ "trade": { "name": topic, "partitions": PARTITIONS } }),
        );
        site.set(
            "/pipelines/trades/sinks/lake/commit",
            json!({ "every": COMMIT_EVERY, "rows": 100_000_000 }),
        );
        let answer = http()
            .post(format!(
                "{}/subjects/{topic}-value/versions",
                cluster.registry
            ))
            .json(&json!({ "schema": TRADE }))
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        let id = u32::try_from(answer["id"].as_u64().unwrap()).unwrap();
        fill(&cluster.servers, &topic, format, id, records).await;
        Filled {
            cluster,
            site,
            topic,
            format,
            records,
        }
    }

    /// All of it lies behind a sink that takes nothing: its store is away.
    pub(crate) async fn stopped(&mut self) {
        let Filled {
            site,
            format,
            records,
            ..
        } = self;
        let lake = json!({
            "catalog": { "sql": "sqlite://data/stopped.db" },
            "warehouse": "s3://lake/w",
            // Nobody listens there.
            "s3": { "endpoint": "http://127.0.0.1:1", "region": "us-east-1",
                    "access-key-id": "key", "secret-access-key": "secret" }
        });
        site.set("/lakes/local", lake);
        let mut sink = Watched::run(site, LOOK_EVERY).await;
        sink.jackfield.line("reading from").await;
        sleep(SETTLED_AFTER).await;
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        let begin = Instant::now();
        while begin.elapsed() < STOPPED_FOR {
            let now = sink.resident_mib();
            (least, most) = (least.min(now), most.max(now));
            sleep(LOOK_EVERY).await;
        }
        println!(
            "a stopped sink, {format}: {records} records behind it, {least:.0} to {most:.0} MiB resident over {} s",
            STOPPED_FOR.as_secs()
        );
        assert!(most - least < GROWTH_MAX_MIB, "it is not flat");
        sink.jackfield.kill().await;
        let lake = json!({
            "catalog": { "sql": "sqlite://data/catalog.db" },
            "warehouse": "data/warehouse"
        });
        site.set("/lakes/local", lake);
    }

    /// From the first record that is read to the last commit. Once all is read the sink is paused, so
    /// that it commits at once: a rate would else be one of whole intervals. Then librdkafka counts
    /// the same records: after the sink, so that whatever is slow at first is on our side.
    pub(crate) async fn landed(&self) {
        let (format, records) = (self.format, self.records);
        let mut sink = Watched::run(&self.site, LOOK_EVERY).await;
        let read = "jackfield_records_total";
        let (from, before) = sink.until(read, "trades-lake", 1).await;
        sink.until(read, "trades-lake", records).await;
        sink.pause("trades-lake").await;
        let committed = "jackfield_committed_rows_total";
        let (to, _) = sink.until(committed, "trades-lake", records).await;
        let rates = Rates::between(from, to, records - before);
        println!(
            "Kafka to Iceberg, {format}: {records} records of {} bytes of JSON, {rates}: {:.1} times 163 k, {:.0} MiB resident at most",
            text(records).len(),
            rates.cpu / CONNECT_PER_CPU_SECOND,
            sink.peak_mib
        );
        sink.stop().await;
        for (how, settings) in [
            ("fetching as the sink does", AS_THE_SINK),
            ("fetching far ahead", FAR_AHEAD),
        ] {
            let alone = counted(&self.cluster, &self.topic, records, settings).await;
            println!(
                "librdkafka alone counts them, {format}, {how}: {alone}; Kafka to Iceberg makes {}",
                rates.beside(alone)
            );
        }
    }
}
