//! Trades that lie in a topic before anything is measured.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jackfield_batch::{BatchWriter, Record, SchemaIds};
use jackfield_log::{Append, Identity, Log, Output, TopicSpec};
use jackfield_log_json::Plan;
use jackfield_log_kafka::{Encoding, Format, KafkaConfig, KafkaLog};

use crate::PARTITIONS;

const BATCH_RECORDS: u64 = 500;
/// As the pipelines have.
const IN_FLIGHT: usize = 32;

pub(crate) const TRADE: &str = r#"{"type":"record","name":"Trade","fields":[
    {"name":"symbol","type":"string"},{"name":"trade_id","type":"long"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"quantity","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"trade_time","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"event_time","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null},
    {"name":"is_buyer_maker","type":"boolean"}]}"#;

/// Some 170 bytes, as an exchange says it.
pub(crate) fn text(number: u64) -> String {
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

pub(crate) async fn fill(servers: &str, topic: &str, format: &str, id: u32, records: u64) {
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
