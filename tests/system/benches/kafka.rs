//! Kafka → Iceberg: the real binary with the real component, the sink alone, `scripts/bench` runs
//! it. The records lie in the topic before it starts.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jackfield_batch::{BatchWriter, Record, SchemaIds};
use jackfield_exchange::{Exchange, Options, Speed};
use jackfield_log::{Append, Identity, Log, Output, TopicSpec};
use jackfield_log_json::Plan;
use jackfield_log_kafka::{Encoding, Format, KafkaConfig, KafkaLog};
use jackfield_system_tests::{Jackfield, Site, http, shared_cluster};
use serde_json::{Value, json};
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

#[tokio::main]
async fn main() {
    let records: u64 = match std::env::var("RECORDS") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => 5_000_000,
    };
    for format in ["avro", "json"] {
        into_iceberg(format, records).await;
    }
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

    let mut jackfield = Jackfield::run(&site, &["--log-format", "text"]);
    let metrics = format!("{}/metrics", jackfield.admin().await);
    let pid = jackfield.pid().unwrap();
    let (mut began, mut peak): (Option<(Instant, f64)>, f64) = (None, 0.0);
    loop {
        let page = http().get(&metrics).send().await.unwrap();
        let page = page.text().await.unwrap();
        peak = peak.max(resident_mib(pid));
        if began.is_none() && value(&page, "jackfield_records_total") > 0 {
            began = Some((Instant::now(), cpu(pid)));
        }
        if value(&page, "jackfield_committed_rows_total") >= records {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    let (since, before) = began.unwrap();
    let (wall, used) = (since.elapsed().as_secs_f64(), cpu(pid) - before);
    println!(
        "Kafka to Iceberg, {format}: {records} records of {} bytes of JSON, {:.0} records/s, {:.0} records per CPU second, {peak:.0} MiB resident at most",
        text(records).len(),
        records as f64 / wall,
        records as f64 / used
    );
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
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

/// The sink's series of that name.
fn value(page: &str, metric: &str) -> u64 {
    let mut lines = page.lines().filter(|line| {
        line.strip_prefix(metric)
            .is_some_and(|rest| rest.starts_with('{') && rest.contains("trades-lake"))
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
