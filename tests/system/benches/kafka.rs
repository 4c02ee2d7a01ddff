//! Exchange → Kafka, and Kafka → Iceberg: the real binary with the real components, each end alone,
//! `scripts/bench` runs it. For the sink the records lie in the topic before it starts.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jackfield_batch::{BatchWriter, Record, SchemaIds};
use jackfield_exchange::{Exchange, Options, Speed};
use jackfield_log::{Append, Identity, Log, Output, TopicSpec};
use jackfield_log_json::Plan;
use jackfield_log_kafka::{Encoding, Format, KafkaConfig, KafkaLog};
use jackfield_system_tests::{Cluster, Jackfield, Site, http, shared_cluster};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::{Duration, sleep};

/// Between two looks at the metrics.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PARTITIONS: i32 = 4;
const BATCH_RECORDS: u64 = 500;
/// As the pipelines have.
const IN_FLIGHT: usize = 32;

const TRADE: &str = r#"{"type":"record","name":"Trade","fields":[
    {"name":"symbol","type":"string"},{"name":"trade_id","type":"long"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"quantity","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"trade_time","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"event_time","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null},
    {"name":"is_buyer_maker","type":"boolean"}]}"#;

/// How long a sink that takes nothing is looked at, and from when on its memory counts.
const STOPPED_FOR: Duration = Duration::from_secs(60);
const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// What an allocator may do by itself; the records are ten times that.
const GROWTH_MAX_MIB: f64 = 64.0;

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

#[tokio::main]
async fn main() {
    // 60 × 15,863 trades.
    out_of_exchange(u32::try_from(number("LAPS", 60)).unwrap()).await;
    let records = number("RECORDS", 5_000_000);
    for format in ["avro", "json"] {
        into_iceberg(format, records).await;
    }
}

/// A running process, looked at from outside.
struct Watched {
    jackfield: Jackfield,
    metrics: String,
    pid: u32,
    /// MiB.
    peak: f64,
}

impl Watched {
    async fn run(site: &Site) -> Watched {
        let mut jackfield = Jackfield::run(site, &["--log-format", "text"]);
        let metrics = format!("{}/metrics", jackfield.admin().await);
        let pid = jackfield.pid().unwrap();
        Watched {
            jackfield,
            metrics,
            pid,
            peak: 0.0,
        }
    }

    /// Waits until a connector's counter has come so far: when, and with how much CPU time.
    async fn until(&mut self, metric: &str, connector: &str, reaches: u64) -> (Instant, f64) {
        loop {
            let page = http().get(&self.metrics).send().await.unwrap();
            let page = page.text().await.unwrap();
            self.peak = self.peak.max(resident_mib(self.pid));
            if value(&page, metric, connector) >= reaches {
                return (Instant::now(), cpu(self.pid));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn stop(mut self) {
        self.jackfield.terminate().await;
        assert_eq!(self.jackfield.wait().await, 0);
    }
}

/// Records a second, and a CPU second.
type Rates = (f64, f64);

fn rates(records: u64, from: (Instant, f64), to: (Instant, f64)) -> Rates {
    let wall = to.0.duration_since(from.0).as_secs_f64();
    (records as f64 / wall, records as f64 / (to.1 - from.1))
}

/// The source alone, as fast as it goes; beside it librdkafka by itself with the same records.
async fn out_of_exchange(laps: u32) {
    let cluster = shared_cluster().await;
    let mut first = None;
    for delivery in ["exactly-once", "at-least-once"] {
        // What was streamed once would have to be asked for.
        let mut options = Options::spot().unwrap();
        (options.speed, options.laps) = (Speed::Unlimited, laps);
        let exchange = Exchange::start(options).await.unwrap();
        let total = exchange.status().total;
        let mut site = Site::new(&exchange).await;
        site.on_kafka(&cluster);
        site.set("/pipelines/trades/sinks", Value::Null);
        site.set("/pipelines/trades/delivery", json!(delivery));
        let mut source = Watched::run(&site).await;
        let records = "jackfield_records_total";
        let from = source.until(records, "trades-source", 1).await;
        let to = source.until(records, "trades-source", total).await;
        let (wall, core) = rates(total, from, to);
        println!(
            "exchange to Kafka, {delivery}: {total} trades, {wall:.0} records/s, {core:.0} records per CPU second, {:.0} MiB resident at most",
            source.peak
        );
        source.stop().await;
        first.get_or_insert((site.topic("trade"), site.topic("again"), total));
    }
    let (topic, again, total) = first.expect("two were run");
    let log = KafkaLog::open(KafkaConfig::new(&cluster.servers)).unwrap();
    let spec = TopicSpec::new(&again, PARTITIONS);
    log.create_topic(&spec).await.unwrap();
    let (consume, produce) = spawn_blocking(move || alone(&cluster, &topic, &again, total))
        .await
        .unwrap();
    for (what, (wall, core)) in [("consume", consume), ("produce", produce)] {
        println!(
            "librdkafka alone, the same records: {what} {wall:.0} records/s, {core:.0} records per CPU second"
        );
    }
}

/// librdkafka reads the records of a topic, and writes them to another one.
fn alone(cluster: &Cluster, topic: &str, again: &str, records: u64) -> (Rates, Rates) {
    let me = std::process::id();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &cluster.servers)
        .set("group.id", topic)
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    let from = (Instant::now(), cpu(me));
    consumer.assign(&all).unwrap();
    let mut kept = Vec::new();
    while (kept.len() as u64) < records {
        if let Some(message) = consumer.poll(Duration::from_secs(60)) {
            let message = message.unwrap();
            let bytes = |it: Option<&[u8]>| it.unwrap_or_default().to_vec();
            let (key, value) = (bytes(message.key()), bytes(message.payload()));
            kept.push((message.partition(), key, value));
        }
    }
    let consume = rates(records, from, (Instant::now(), cpu(me)));

    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", &cluster.servers)
        .set("enable.idempotence", "true")
        .set("compression.codec", "zstd")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .unwrap();
    let from = (Instant::now(), cpu(me));
    for (partition, key, value) in &kept {
        let mut record = BaseRecord::to(again)
            .partition(*partition)
            .key(key)
            .payload(value);
        while let Err((error, refused)) = producer.send(record) {
            // What is on its way goes first.
            assert_eq!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::QueueFull)
            );
            record = refused;
            producer.poll(Duration::from_millis(1));
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    let produce = rates(records, from, (Instant::now(), cpu(me)));
    (consume, produce)
}

/// Some 190 bytes, as an exchange says it.
fn text(number: u64) -> String {
    let symbol = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT"][(number % 4) as usize];
    let time = 1_700_000_000_000_000 + number * 1000;
    format!(
        "{{\"symbol\":\"{symbol}\",\"trade_id\":{number},\"price\":\"{}.{:08}\",\"quantity\":\"0.{:08}\",\"trade_time\":{time},\"event_time\":{},\"is_buyer_maker\":{}}}",
        60_000 + number % 5000,
        number * 7919 % 100_000_000,
        number * 104_729 % 100_000_000,
        time + 731,
        number.is_multiple_of(3)
    )
}

async fn into_iceberg(format: &str, records: u64) {
    let cluster = shared_cluster().await;
    let mut options = Options::spot().unwrap();
    options.speed = Speed::Unlimited;
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
        json!({ "every": "10s", "rows": 100_000_000 }),
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

    stopped(&mut site, format, records).await;
    let mut sink = Watched::run(&site).await;
    let from = sink
        .until("jackfield_records_total", "trades-lake", 1)
        .await;
    let to = sink
        .until("jackfield_committed_rows_total", "trades-lake", records)
        .await;
    let (wall, core) = rates(records, from, to);
    println!(
        "Kafka to Iceberg, {format}: {records} records of {} bytes of JSON, {wall:.0} records/s, {core:.0} records per CPU second: {:.1} times 163 k, {:.0} MiB resident at most",
        text(records).len(),
        core / 163_000.0,
        sink.peak
    );
    sink.stop().await;
}

/// All of it lies behind a sink that takes nothing: its store is away.
async fn stopped(site: &mut Site, format: &str, records: u64) {
    let lake = json!({
        "catalog": { "sql": "sqlite://data/stopped.db" },
        "warehouse": "s3://lake/w",
        // Nobody listens there.
        "s3": { "endpoint": "http://127.0.0.1:1", "region": "us-east-1",
                "access-key-id": "key", "secret-access-key": "secret" }
    });
    site.set("/lakes/local", lake);
    let mut sink = Watched::run(site).await;
    sink.jackfield.line("reading from").await;
    sleep(SETTLED_AFTER).await;
    let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
    let begin = Instant::now();
    while begin.elapsed() < STOPPED_FOR {
        let now = resident_mib(sink.pid);
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

async fn fill(servers: &str, topic: &str, format: &str, id: u32, records: u64) {
    let mut config = KafkaConfig::new(servers);
    let plan = Plan::of(TRADE).unwrap();
    if format == "json" {
        let plain = Encoding::Plain;
        config.format = Format {
            value: plain,
            key: plain,
        };
    }
    let log: Arc<dyn Log> = KafkaLog::open(config).unwrap();
    let spec = TopicSpec::new(topic, PARTITIONS);
    log.create_topic(&spec).await.unwrap();
    let identity = Identity {
        cluster: "bench".into(),
        connector: topic.into(),
        slot: "0".into(),
    };
    let mut writer = log.writer(&identity).await.unwrap();
    let mut pendings = VecDeque::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    for first in (0..records).step_by(BATCH_RECORDS as usize) {
        let mut batch = BatchWriter::new();
        for number in first..(first + BATCH_RECORDS).min(records) {
            let json = text(number);
            let (value, value_id) = match format {
                "json" => (json.into_bytes(), 0),
                _ => (plan.datum_of(json.as_bytes()).unwrap().0, id),
            };
            let record = Record {
                // Old records would be deleted at once.
                timestamp_ms: now,
                key: Some(b"BTCUSDT"),
                value: Some(&value),
                schemas: SchemaIds {
                    value: value_id,
                    key: 0,
                },
                ..Record::default()
            };
            batch.push(&record).unwrap();
        }
        let partition = i32::try_from(first / BATCH_RECORDS % PARTITIONS as u64).unwrap();
        let outputs = vec![Output {
            topic: topic.into(),
            partition,
            batch: batch.finish().into(),
        }];
        let append = Append {
            outputs,
            ..Append::default()
        };
        pendings.push_back(writer.append(append).await.unwrap());
        if pendings.len() > IN_FLIGHT {
            pendings.pop_front().unwrap().await.unwrap();
        }
    }
    for pending in pendings {
        pending.await.unwrap();
    }
    writer.close().await.unwrap();
}

/// A connector's series of that name.
fn value(page: &str, metric: &str, connector: &str) -> u64 {
    let mut lines = page.lines().filter(|line| {
        line.strip_prefix(metric)
            .is_some_and(|rest| rest.starts_with('{') && rest.contains(connector))
    });
    let value = lines.next().and_then(|line| line.rsplit(' ').next());
    value.map_or(0, |text| text.parse::<f64>().unwrap() as u64)
}

/// User and system seconds so far.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // In clock ticks, 100 a second on Linux.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<f64>().unwrap() / 1024.0
}
