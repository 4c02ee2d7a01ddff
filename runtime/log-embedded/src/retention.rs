//! What becomes of old records: a thread of its own finds them, the committer deletes them.

use crate::command::Command;
use crate::committer::now_ms;
use crate::keys::{self, Place};
use crate::log::Shared;
use crate::topics::{Keep, Oldest, Topic, count};
use bytes::Bytes;
use jackfield_log::LogError;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::WeakSender;

/// Batches deleted at once: keeps a deletion from holding up appends.
const BATCHES_MAX: usize = 500;
/// Bytes of batches looked at in one go.
const LOOK_BYTES: usize = 4 << 20;
/// How long a group that nobody joins is waited for where age deletes nothing and size does: as
/// long as one is by default where age does.
const ORPHAN_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Looks for old records until the other end of `stop` is dropped.
///
/// A group that reads a topic keeps the records that it has not committed, whatever their age; so
/// does, for one more retention (a week where age deletes nothing), a group that nobody has joined
/// since the log was opened.
pub(crate) fn run(shared: &Arc<Shared>, commands: &WeakSender<Command>, stop: &mpsc::Receiver<()>) {
    let opened = Instant::now();
    loop {
        match stop.recv_timeout(shared.config.retention_every) {
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        if let Err(why) = look(shared, commands, opened.elapsed()) {
            tracing::warn!(%why, "old records are not deleted");
        }
    }
}

fn look(
    shared: &Shared,
    commands: &WeakSender<Command>,
    open_for: Duration,
) -> Result<(), LogError> {
    for topic in shared.topics.all() {
        for partition in 0..topic.info.partitions {
            while let Some(command) = trim(shared, &topic, partition, open_for)? {
                let more = matches!(&command, Command::Trim { batches, .. } if batches.len() == BATCHES_MAX);
                if !ask(commands, command) {
                    return Ok(());
                }
                if !more {
                    break;
                }
            }
        }
    }
    purge(shared, commands)
}

/// False: the log is being closed.
fn ask(commands: &WeakSender<Command>, command: Command) -> bool {
    commands
        .upgrade()
        .is_some_and(|commands| commands.blocking_send(command).is_ok())
}

/// What is due of one partition.
fn trim(
    shared: &Shared,
    topic: &Arc<Topic>,
    number: i32,
    open_for: Duration,
) -> Result<Option<Command>, LogError> {
    let age = match topic.retention.age {
        Some(Keep::All) => None,
        Some(Keep::Most(age)) => Some(age),
        None => shared.config.retention,
    };
    let bytes_max = match topic.retention.bytes {
        Some(Keep::All) => None,
        Some(Keep::Most(bytes)) => Some(bytes),
        None => shared.config.retention_bytes,
    };
    if age.is_none() && bytes_max.is_none() {
        return Ok(None);
    }
    let (ends, bytes, oldest) = {
        let partition = topic.partition(number)?;
        (partition.ends, partition.bytes, partition.oldest)
    };
    let place = topic.place(number);
    let orphans = open_for < age.unwrap_or(ORPHAN_KEPT);
    let wanted = shared
        .groups
        .lowest_wanted(place, orphans)
        .unwrap_or(i64::MAX);
    let due = |batch: &Oldest, end: i64| {
        let age_ms = now_ms().saturating_sub(batch.appended_ms);
        let age_ms = u64::try_from(age_ms).unwrap_or_default();
        let too_old = age.is_some_and(|age| Duration::from_millis(age_ms) > age);
        // The newest batch stays, however large it is.
        let too_much = bytes_max
            .is_some_and(|max| end < ends.end && bytes.saturating_sub(batch.bytes_before) > max);
        end <= wanted && (too_old || too_much)
    };
    // Most of the time nothing is due, and the disk needs not be asked.
    if wanted <= ends.start
        || oldest.is_some_and(|it| it.base == ends.start && !due(&it, ends.start + 1))
    {
        return Ok(None);
    }
    let mut start = ends.start;
    let mut batches: Vec<Bytes> = Vec::new();
    'looking: while start < ends.end && batches.len() < BATCHES_MAX {
        let read = shared.engine.read(place, start, ends.end, LOOK_BYTES)?;
        if read.is_empty() {
            break;
        }
        for stored in read {
            let end = stored.base + count(&stored.batch)?;
            let batch = Oldest {
                base: stored.base,
                appended_ms: stored.appended_ms,
                bytes_before: stored.bytes_before,
            };
            if !due(&batch, end) || batches.len() >= BATCHES_MAX {
                topic.partition(number)?.oldest = Some(batch);
                break 'looking;
            }
            batches.push(Bytes::copy_from_slice(&keys::batch(place, stored.base)));
            start = end;
        }
    }
    Ok((!batches.is_empty()).then(|| Command::Trim {
        topic: Arc::clone(topic),
        partition: number,
        start,
        batches,
    }))
}

/// What is left of deleted topics.
fn purge(shared: &Shared, commands: &WeakSender<Command>) -> Result<(), LogError> {
    for (key, partitions) in shared.engine.all(&keys::all_deleted())? {
        let Ok(topic) = uuid::Uuid::from_slice(&key[1..]) else {
            continue;
        };
        let partitions = partitions
            .first_chunk()
            .map_or(0, |bytes| i32::from_le_bytes(*bytes));
        let batches = shared.engine.batch_keys(topic.as_bytes(), BATCHES_MAX)?;
        let last = batches.len() < BATCHES_MAX;
        let partitions = (0..partitions)
            .map(|partition| Place { topic, partition })
            .collect();
        let command = Command::Purge {
            topic,
            partitions,
            batches,
            last,
        };
        if !ask(commands, command) {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EmbeddedConfig;
    use crate::log::EmbeddedLog;
    use jackfield_batch::{BatchWriter, Record};
    use jackfield_log::{
        Append, Identity, Log, Output, ReaderEvent, ReaderSpec, Start, TopicPartition, TopicSpec,
    };

    fn identity() -> Identity {
        Identity {
            cluster: "test".into(),
            connector: "c".into(),
            slot: "0".into(),
        }
    }

    /// A removed sink's group holds records for ever where only their size deletes them.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_group_that_never_comes_back_is_let_go_where_age_deletes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = EmbeddedConfig::new(dir.path());
        config.retention_bytes = Some(1);
        // The looks here are the test's own.
        config.retention_every = Duration::from_secs(60 * 60);
        let log = EmbeddedLog::open(config.clone()).unwrap();
        log.create_topic(&TopicSpec::new("t", 1)).await.unwrap();
        let mut writer = log.writer(&identity()).await.unwrap();
        for _ in 0..3 {
            let mut batch = BatchWriter::new();
            batch.push(&Record::default()).unwrap();
            let append = Append {
                outputs: vec![Output {
                    topic: "t".into(),
                    partition: 0,
                    batch: batch.finish().into(),
                }],
                ..Append::default()
            };
            writer.append(append).await.unwrap().await.unwrap();
        }
        let spec = ReaderSpec {
            group: "removed".into(),
            member: "0".into(),
            topics: vec!["t".into()],
            start: Start::Earliest,
        };
        let mut reader = log.reader(&spec).await.unwrap();
        let event = reader.next().await.unwrap();
        assert!(matches!(event, ReaderEvent::Assigned(_)), "{event:?}");
        let at = TopicPartition::new("t", 0);
        reader.commit(&[(at, 0)]).await.unwrap();
        drop(reader);
        drop(writer);
        drop(log);

        let log = EmbeddedLog::open(config).unwrap();
        let topic = log.shared().topics.existing("t").unwrap();
        let due = |open_for| trim(log.shared(), &topic, 0, open_for).unwrap();
        let moment = Duration::from_secs(1);
        assert!(due(ORPHAN_KEPT - moment).is_none(), "it may come back");
        match due(ORPHAN_KEPT) {
            Some(Command::Trim { batches, .. }) => assert_eq!(batches.len(), 2),
            _ => panic!("the group holds the records"),
        }
    }

    /// The folder grows for ever where deleted topics keep their batches.
    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_left_of_a_deleted_topic() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = EmbeddedConfig::new(dir.path());
        config.retention_every = Duration::from_millis(5);
        let log = EmbeddedLog::open(config).unwrap();
        let topic = log.create_topic(&TopicSpec::new("t", 2)).await.unwrap();
        let mut writer = log.writer(&identity()).await.unwrap();
        for _ in 0..BATCHES_MAX {
            let mut batch = BatchWriter::new();
            batch.push(&Record::default()).unwrap();
            let batch = Bytes::from(batch.finish());
            let outputs = (0..2).map(|partition| Output {
                topic: "t".into(),
                partition,
                batch: batch.clone(),
            });
            let append = Append {
                outputs: outputs.collect(),
                ..Append::default()
            };
            drop(writer.append(append).await.unwrap());
        }
        log.delete_topic("t").await.unwrap();
        let engine = &log.shared().engine;
        let deadline = Instant::now() + Duration::from_secs(60);
        while !engine.all(&keys::all_deleted()).unwrap().is_empty() {
            assert!(Instant::now() < deadline, "never purged");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(
            engine
                .batch_keys(topic.id.as_bytes(), 1)
                .unwrap()
                .is_empty()
        );
    }
}
