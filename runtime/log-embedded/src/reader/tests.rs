//! What a reader that is behind holds of its partitions.

use super::{EmbeddedReader, READ_AHEAD_TOTAL_BYTES};
use crate::config::EmbeddedConfig;
use crate::log::EmbeddedLog;
use jackfield_batch::{BatchWriter, Record};
use jackfield_log::{
    Append, Identity, Log, Output, Reader, ReaderEvent, ReaderSpec, Start, TopicPartition,
    TopicSpec,
};
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 16;
/// Of each partition: together more than the log keeps in memory, and each more than is read ahead.
const BATCHES: usize = 12;
const BATCH_BYTES: usize = 100_000;

/// A log whose partitions hold batches that lie on the disk alone, but for the last of them.
async fn filled(dir: &std::path::Path) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(EmbeddedConfig::new(dir)).unwrap();
    log.create_topic(&TopicSpec::new("t", PARTITIONS))
        .await
        .unwrap();
    let identity = Identity {
        cluster: "test".into(),
        connector: "c".into(),
        slot: "0".into(),
    };
    let mut writer = log.writer(&identity).await.unwrap();
    for _ in 0..BATCHES {
        let mut batch = BatchWriter::new();
        let record = Record {
            value: Some(&[7; BATCH_BYTES]),
            ..Record::default()
        };
        batch.push(&record).unwrap();
        let batch = bytes::Bytes::from(batch.finish());
        let outputs = (0..PARTITIONS).map(|partition| Output {
            topic: "t".into(),
            partition,
            batch: batch.clone(),
        });
        let append = Append {
            outputs: outputs.collect(),
            ..Append::default()
        };
        writer.append(append).await.unwrap().await.unwrap();
    }
    log
}

async fn next(reader: &mut EmbeddedReader) -> ReaderEvent {
    let event = tokio::time::timeout(PATIENCE, reader.next()).await;
    event.expect("an event").unwrap()
}

fn ahead(reader: &EmbeddedReader) -> usize {
    let ahead = reader.cursors.values().flat_map(|cursor| &cursor.ahead);
    ahead.map(|recent| recent.batch.len()).sum()
}

/// A member that stands at the beginning of each partition.
async fn joined(log: &EmbeddedLog) -> (EmbeddedReader, Vec<TopicPartition>) {
    let spec = ReaderSpec {
        group: "sink".into(),
        member: "0".into(),
        topics: vec!["t".into()],
        start: Start::Earliest,
    };
    let mut reader = EmbeddedReader::join(Arc::clone(log.handle()), 1, &spec).unwrap();
    let event = next(&mut reader).await;
    assert!(matches!(event, ReaderEvent::Assigned(_)), "{event:?}");
    let partitions: Vec<TopicPartition> = (0..PARTITIONS)
        .map(|it| TopicPartition::new("t", it))
        .collect();
    for at in &partitions {
        reader.seek(at, 0).unwrap();
    }
    (reader, partitions)
}

/// Partitions share what is read ahead, also those that are paused, and all go on where they stood.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_ahead_is_bounded_for_all_partitions_together() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path()).await;
    let (mut reader, partitions) = joined(&log).await;
    let mut read = vec![0; partitions.len()];
    let all = BATCHES * partitions.len();
    // A batch more of each, with what packs it.
    let ahead_max = READ_AHEAD_TOTAL_BYTES + partitions.len() * (BATCH_BYTES + 1000);
    for number in 0..all {
        match next(&mut reader).await {
            ReaderEvent::Batch(fetched) => {
                let read = &mut read[usize::try_from(fetched.at.partition).unwrap()];
                assert_eq!(fetched.position, *read);
                *read = fetched.next_offset;
            }
            other => panic!("nobody else is in the group: {other:?}"),
        }
        let bytes = ahead(&reader);
        assert!(bytes <= ahead_max, "{bytes} bytes are read ahead");
        if number + 1 == partitions.len() {
            assert!(bytes > 0, "all was in memory");
            // The others go on beside what these hold.
            reader.pause(&partitions[..partitions.len() / 2]);
        }
        if number + 1 == all / 2 {
            reader.resume(&partitions);
        }
    }
    assert!(read.iter().all(|it| usize::try_from(*it) == Ok(BATCHES)));
}

/// A sink is held back each time that it has as much as it may: what was read ahead is read once.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_paused_again_and_again_reads_each_batch_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path()).await;
    let (mut reader, partitions) = joined(&log).await;
    let all = BATCHES * partitions.len();
    for _ in 0..all {
        let event = next(&mut reader).await;
        assert!(matches!(event, ReaderEvent::Batch(_)), "{event:?}");
        reader.pause(&partitions);
        reader.resume(&partitions);
    }
    let from_disk = reader.from_disk;
    assert!(from_disk > 0, "all was in memory");
    assert!(from_disk <= all, "{from_disk} batches were read, of {all}");
}
