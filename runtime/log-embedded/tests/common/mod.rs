//! What the tests of the embedded log share.

use jackfield_batch::{Batch, Limits};
use jackfield_log::{Identity, Log, Reader, ReaderEvent, ReaderSpec, Start, TopicPartition};
use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn open(dir: &Path) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(EmbeddedConfig::new(dir)).unwrap()
}

pub(crate) fn identity(connector: &str) -> Identity {
    Identity {
        cluster: "test".into(),
        connector: connector.into(),
        slot: "0".into(),
    }
}

pub(crate) fn spec(group: &str, topic: &str) -> ReaderSpec {
    ReaderSpec {
        group: group.into(),
        member: "0".into(),
        topics: vec![topic.into()],
        start: Start::Earliest,
    }
}

/// The next event, within patience.
pub(crate) async fn next(reader: &mut Box<dyn Reader>) -> ReaderEvent {
    tokio::time::timeout(PATIENCE, reader.next())
        .await
        .expect("an event")
        .unwrap()
}

/// The values of all records that a partition holds, in order.
pub(crate) async fn all_values(log: &Arc<EmbeddedLog>, topic: &str, partition: i32) -> Vec<String> {
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
