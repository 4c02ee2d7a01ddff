//! Records that lie damaged in their broker's folder stop the reader, which says where they are.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{again, append, at, identity, open, output, spec, texts, unique, within};
use jackfield_log::{Append, Log, LogError, ReaderEvent, TopicSpec};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use jackfield_test_kafka::Broker;
use std::path::Path;
use std::sync::Arc;

/// Where a batch in a segment has its length, which counts what follows it.
const LENGTH_AT: usize = 8;
/// Where it says how its records are packed.
const PACKED_AT: usize = 22;
const PACKED_MASK: u8 = 7;
const ZSTD: u8 = 4;
/// Where its records begin.
const RECORDS_AT: usize = 61;

/// Overwrites the packed records of the batch that begins at this offset.
fn damage(segment: &Path, offset: i64) {
    let mut bytes = std::fs::read(segment).unwrap();
    let mut start = 0;
    loop {
        let head = &bytes[start..start + RECORDS_AT];
        let first = i64::from_be_bytes(head[..LENGTH_AT].try_into().unwrap());
        let length = head[LENGTH_AT..LENGTH_AT + 4].try_into().unwrap();
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
        let packed = head[PACKED_AT] & PACKED_MASK;
        let end = start + LENGTH_AT + 4 + length;
        if first == offset {
            assert_eq!(packed, ZSTD, "the batch at {offset}");
            bytes[start + RECORDS_AT..end].fill(0xff);
            break;
        }
        start = end;
    }
    std::fs::write(segment, bytes).unwrap();
}

/// What lies before a damaged batch is delivered, then the batch is named; past it reading goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_batch_is_named_after_what_lies_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("log");
    let setting = folder.display().to_string();
    let starting = move || Broker::with(&[("log.dirs", &setting)]);
    let mut broker = tokio::task::spawn_blocking(starting).await.unwrap();
    let config = KafkaConfig::new(&broker.address());
    let log: Arc<dyn Log> = KafkaLog::open(config.clone()).unwrap();
    let topic = unique("topic");
    let one = TopicSpec::new(&topic, 1);
    again("a topic", || log.create_topic(&one)).await;
    let mut writer = open(&log, &identity("connector")).await;
    // So long that they are packed.
    let values = ["a", "b", "c"].map(|it| it.repeat(10_000));
    let mut begins = Vec::new();
    for value in &values {
        let append_one = Append {
            outputs: vec![output(&topic, 0, std::slice::from_ref(value))],
            ..Append::default()
        };
        begins.extend(append(&mut writer, append_one).await.unwrap());
    }
    writer.close().await.unwrap();
    drop(log);
    let segment = folder.join(format!("{topic}-0/00000000000000000000.log"));
    let damaged = begins[1];
    let damaging = move || {
        // After a kill it would look for damage itself, and cut it off.
        broker.stop();
        damage(&segment, damaged);
        broker.restart();
        broker
    };
    let broker = tokio::task::spawn_blocking(damaging).await.unwrap();
    let log: Arc<dyn Log> = KafkaLog::open(config).unwrap();
    let member = spec(&unique("group"), &topic);
    let mut reader = again("a member joins", || log.reader(&member)).await;
    let mut read = Vec::new();
    let error = loop {
        match within("an event", reader.next()).await {
            Ok(ReaderEvent::Assigned(assigned)) => {
                for it in assigned {
                    reader.seek(&it.at, 0).unwrap();
                }
            }
            Ok(ReaderEvent::Batch(fetched)) => read.extend(texts(&fetched.batch)),
            Ok(other) => panic!("nobody else is in the group: {other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(read, values[..1]);
    assert!(matches!(error, LogError::Rejected(_)), "{error:?}");
    let named = error.to_string();
    assert!(
        named.contains(&format!("offset {damaged} of {topic}-0")),
        "{named}"
    );
    assert_eq!(within("again", reader.next()).await.unwrap_err(), error);
    reader.seek(&at(&topic, 0), begins[2]).unwrap();
    match within("past it", reader.next()).await.unwrap() {
        ReaderEvent::Batch(fetched) => assert_eq!(texts(&fetched.batch), values[2..]),
        other => panic!("{other:?}"),
    }
    reader.close().await.unwrap();
    drop(broker);
}
