//! What the tests of the embedded log share.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses another part"
)]

use jackfield_batch::{Batch, BatchWriter, Limits, Record};
use jackfield_log::{
    Append, Identity, Log, Output, Reader, ReaderEvent, ReaderSpec, Start, TopicPartition,
};
use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn open(dir: &Path) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(EmbeddedConfig::new(dir)).unwrap()
}

pub fn identity(connector: &str) -> Identity {
    Identity {
        cluster: "test".into(),
        connector: connector.into(),
        slot: "0".into(),
    }
}

/// One append of these values to one partition.
pub fn values(topic: &str, partition: i32, values: &[&str]) -> Append {
    let mut batch = BatchWriter::new();
    for value in values {
        let record = Record {
            value: Some(value.as_bytes()),
            ..Record::default()
        };
        batch.push(&record).unwrap();
    }
    Append {
        outputs: vec![Output {
            topic: topic.into(),
            partition,
            batch: batch.finish().into(),
        }],
        ..Append::default()
    }
}

/// Appends and waits until it is durable.
pub async fn append(log: &Arc<EmbeddedLog>, connector: &str, append: Append) {
    let mut writer = log.writer(&identity(connector)).await.unwrap();
    writer.append(append).await.unwrap().await.unwrap();
}

pub fn spec(group: &str, topic: &str) -> ReaderSpec {
    ReaderSpec {
        group: group.into(),
        member: "0".into(),
        topics: vec![topic.into()],
        start: Start::Earliest,
    }
}

/// The next event, within patience.
pub async fn next(reader: &mut Box<dyn Reader>) -> ReaderEvent {
    tokio::time::timeout(PATIENCE, reader.next())
        .await
        .expect("an event")
        .unwrap()
}

/// The values of all records that a partition holds, in order.
pub async fn all_values(log: &Arc<EmbeddedLog>, topic: &str, partition: i32) -> Vec<String> {
    let ends = log.ends(topic, partition).await.unwrap();
    let at = TopicPartition::new(topic, partition);
    let mut reader = log
        .reader(&spec(&uuid::Uuid::now_v7().to_string(), topic))
        .await
        .unwrap();
    assert!(matches!(next(&mut reader).await, ReaderEvent::Assigned(_)));
    reader.seek(&at, ends.start).unwrap();
    let mut found = Vec::new();
    let mut position = ends.start;
    while position < ends.end {
        let ReaderEvent::Batch(fetched) = next(&mut reader).await else {
            panic!("nothing but batches");
        };
        assert_eq!(fetched.position, position);
        let batch = Batch::parse(&fetched.batch, &Limits::default()).unwrap();
        let values = batch
            .iter()
            .map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap());
        found.extend(values);
        position = fetched.next_offset;
    }
    found
}

/// Waits for a condition.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}
