//! What reading a JSON record costs: `cargo bench -p jackfield-log-json --bench read`.
//!
//! Trades as an exchange says them, some 170 bytes. Alone, and in batches as the sink's reader gets
//! them of the embedded log: without JSON before it for comparison, in the schema's order of keys,
//! in another order, and with keys that the schema does not have.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jackfield_batch::{BatchWriter, Record};
use jackfield_log::{
    Append, Identity, Log, Output, Reader, ReaderEvent, ReaderSpec, Start, TopicPartition,
    TopicSpec,
};
use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
use jackfield_log_json::{JsonLog, JsonTopics, Plan};
use jackfield_schema::{EmbeddedRegistry, Registry, Schema, SchemaKind};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

const TRADE: &str = r#"{"type":"record","name":"Trade","fields":[
    {"name":"symbol","type":"string"},{"name":"trade_id","type":"long"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"quantity","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"trade_time","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"event_time","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null},
    {"name":"is_buyer_maker","type":"boolean"}]}"#;

const RECORDS: u64 = 10_000;
const BATCH_RECORDS: u64 = 500;

/// A field's name and its value as JSON.
type Field = (&'static str, String);

fn trade(number: u64) -> Vec<Field> {
    let symbol = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT"][(number % 4) as usize];
    let time = 1_700_000_000_000_000 + number * 1000;
    let price = 60_000 + number % 5000;
    let cents = number * 7919 % 100_000_000;
    let quantity = number * 104_729 % 100_000_000;
    vec![
        ("symbol", format!("\"{symbol}\"")),
        ("trade_id", (3_735_683_259 + number).to_string()),
        ("price", format!("\"{price}.{cents:08}\"")),
        ("quantity", format!("\"0.{quantity:08}\"")),
        ("trade_time", time.to_string()),
        ("event_time", (time + 731).to_string()),
        ("is_buyer_maker", number.is_multiple_of(3).to_string()),
    ]
}

fn text(fields: &[Field]) -> String {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn in_order(number: u64) -> String {
    text(&trade(number))
}

fn by_name(number: u64) -> String {
    let mut fields = trade(number);
    fields.sort();
    text(&fields)
}

fn with_others(number: u64) -> String {
    let mut fields = trade(number);
    fields.insert(0, ("event", "\"trade\"".to_owned()));
    fields.insert(4, ("buyer_order", number.to_string()));
    fields.push(("ignore", "true".to_owned()));
    text(&fields)
}

/// A text that needs serde: an escape in a key.
fn escaped(number: u64) -> String {
    in_order(number).replace("\"symbol\"", "\"s\\u0079mbol\"")
}

async fn fill(log: &Arc<dyn Log>, topic: &str, json: fn(u64) -> String) {
    log.create_topic(&TopicSpec::new(topic, 1)).await.unwrap();
    let identity = Identity {
        cluster: "bench".into(),
        connector: topic.into(),
        slot: "0".into(),
    };
    let mut writer = log.writer(&identity).await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    for first in (0..RECORDS).step_by(BATCH_RECORDS as usize) {
        let mut batch = BatchWriter::new();
        for number in first..first + BATCH_RECORDS {
            let value = json(number);
            let record = Record {
                // Old records would be deleted.
                timestamp_ms: now,
                key: Some(b"BTCUSDT"),
                value: Some(value.as_bytes()),
                ..Record::default()
            };
            batch.push(&record).unwrap();
        }
        let append = Append {
            outputs: vec![Output {
                topic: topic.into(),
                partition: 0,
                batch: batch.finish().into(),
            }],
            ..Append::default()
        };
        writer.append(append).await.unwrap().await.unwrap();
    }
    writer.close().await.unwrap();
}

async fn open(log: &Arc<dyn Log>, topic: &str) -> Box<dyn Reader> {
    let spec = ReaderSpec {
        group: topic.into(),
        member: "m".into(),
        topics: vec![topic.to_owned()],
        start: Start::Earliest,
    };
    let mut reader = log.reader(&spec).await.unwrap();
    match reader.next().await.unwrap() {
        ReaderEvent::Assigned(_) => reader,
        other => panic!("{other:?}"),
    }
}

/// The whole topic.
async fn read(reader: &mut dyn Reader, at: &TopicPartition) {
    reader.seek(at, 0).unwrap();
    loop {
        match reader.next().await.unwrap() {
            ReaderEvent::Batch(fetched) => {
                let end = fetched.next_offset;
                black_box(fetched.batch);
                if end == RECORDS as i64 {
                    return;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a trade");
    group.throughput(Throughput::Elements(1));
    let plan = Plan::of(TRADE).unwrap();
    for (name, json) in [
        ("in order", in_order as fn(u64) -> String),
        ("escaped", escaped),
    ] {
        let text = json(1_234_567);
        group.bench_function(name, |b| {
            b.iter(|| plan.datum_of(black_box(text.as_bytes())).unwrap());
        });
    }
    group.finish();
}

fn of_a_log(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let (plain, json) = runtime.block_on(async {
        let plain: Arc<dyn Log> =
            EmbeddedLog::open(EmbeddedConfig::new(dir.path().to_owned())).unwrap();
        let registry: Arc<dyn Registry> =
            Arc::new(EmbeddedRegistry::open(Arc::clone(&plain)).await.unwrap());
        let schema = Schema {
            kind: SchemaKind::Avro,
            text: TRADE.to_owned(),
        };
        for (topic, json) in [
            ("in-order", in_order as fn(u64) -> String),
            ("by-name", by_name),
            ("with-others", with_others),
            ("escaped", escaped),
        ] {
            let subject = format!("{topic}-value");
            registry.register(&subject, &schema).await.unwrap();
            fill(&plain, topic, json).await;
        }
        let topics = JsonTopics {
            others: true,
            ..JsonTopics::default()
        };
        let json: Arc<dyn Log> = JsonLog::new(Arc::clone(&plain), registry, topics);
        (plain, json)
    });
    let mut group = criterion.benchmark_group("trades of a log");
    group.throughput(Throughput::Elements(RECORDS));
    for (name, log, topic) in [
        ("not turned", &plain, "in-order"),
        ("in order", &json, "in-order"),
        ("by name", &json, "by-name"),
        ("with others", &json, "with-others"),
        ("escaped", &json, "escaped"),
    ] {
        let at = TopicPartition::new(topic, 0);
        let mut reader = runtime.block_on(open(log, topic));
        group.bench_function(name, |b| {
            b.iter(|| runtime.block_on(read(&mut *reader, &at)));
        });
        runtime.block_on(reader.close()).unwrap();
    }
    group.finish();
}

criterion_group!(benches, alone, of_a_log);
criterion_main!(benches);
