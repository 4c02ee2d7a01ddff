//! Topics, and where their partitions begin and end.

use crate::engine::{Engine, Stored};
use crate::keys::{self, Place};
use crate::tail::Tail;
use bytes::Bytes;
use jackfield_batch::{Batch, Limits};
use jackfield_log::{Cleanup, Ends, LogError, TopicInfo, TopicSpec};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// Most partitions of a topic: each costs memory even when it is empty.
const PARTITIONS_MAX: i32 = 10_000;
/// Longest topic name, as in Kafka.
const NAME_CHARS_MAX: usize = 249;

/// What is kept of a topic, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) id: Uuid,
    pub(crate) partitions: i32,
    pub(crate) retention: Retention,
}

/// What a topic says itself about old records. `None`: as the log is set up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Retention {
    pub(crate) age: Option<Keep<Duration>>,
    pub(crate) bytes: Option<Keep<u64>>,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Keep<T> {
    All,
    Most(T),
}

/// A topic that exists, or did when it was looked up.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) info: TopicInfo,
    pub(crate) retention: Retention,
    partitions: Vec<Mutex<Partition>>,
    deleted: AtomicBool,
    /// Who is to be woken when something was appended.
    readers: Mutex<Vec<Weak<Notify>>>,
}

/// Where a partition stands.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    /// What readers may see.
    pub(crate) ends: Ends,
    /// The offset that the next record to be written gets; past `ends.end` while it is not flushed.
    pub(crate) next: i64,
    /// Bytes that it has been given since it was created.
    pub(crate) bytes: u64,
    pub(crate) tail: Tail,
    /// The batch at the start, once retention has looked at it.
    pub(crate) oldest: Option<Oldest>,
}

/// What retention needs to know of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Oldest {
    /// The offset of its first record.
    pub(crate) base: i64,
    /// When it was appended, ms since the epoch.
    pub(crate) appended_ms: i64,
    /// Bytes that the partition had been given before it.
    pub(crate) bytes_before: u64,
}

impl Topic {
    /// A topic as it is on the disk.
    pub(crate) fn load(name: &str, kept: &Kept, engine: &Engine) -> Result<Self, LogError> {
        let partitions = (0..kept.partitions)
            .map(|partition| {
                let place = Place {
                    topic: kept.id,
                    partition,
                };
                Partition::load(place, engine).map(Mutex::new)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            info: TopicInfo {
                name: name.into(),
                id: kept.id,
                partitions: kept.partitions,
            },
            retention: kept.retention.clone(),
            partitions,
            deleted: AtomicBool::new(false),
            readers: Mutex::default(),
        })
    }

    pub(crate) fn place(&self, partition: i32) -> Place {
        Place {
            topic: self.info.id,
            partition,
        }
    }

    /// A partition, for the length of a few look-ups.
    pub(crate) fn partition(&self, partition: i32) -> Result<MutexGuard<'_, Partition>, LogError> {
        let found = usize::try_from(partition)
            .ok()
            .and_then(|i| self.partitions.get(i));
        found.map(lock).ok_or_else(|| {
            LogError::Rejected(format!(
                "the topic {} has {} partitions, none has the number {partition}",
                self.info.name, self.info.partitions
            ))
        })
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(crate) fn delete(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    pub(crate) fn wake_with(&self, reader: &Arc<Notify>) {
        let mut readers = lock(&self.readers);
        readers.retain(|other| other.strong_count() > 0);
        readers.push(Arc::downgrade(reader));
    }

    /// Something can be read.
    pub(crate) fn wake_readers(&self) {
        for reader in lock(&self.readers).iter().filter_map(Weak::upgrade) {
            reader.notify_one();
        }
    }
}

impl Partition {
    fn load(place: Place, engine: &Engine) -> Result<Self, LogError> {
        let trimmed = match engine.get(&keys::start(place))? {
            Some(bytes) => read_offset(&bytes)?,
            None => 0,
        };
        let (end, bytes) = match engine.last(place)? {
            Some(last) => (
                last.base + count(&last.batch)?,
                last.bytes_before + last.batch.len() as u64,
            ),
            // All of it was deleted, or nothing was ever written.
            None => (trimmed, 0),
        };
        let start = match engine.first(place)? {
            Some(Stored { base, .. }) => base.max(trimmed),
            None => trimmed,
        };
        Ok(Self {
            ends: Ends { start, end },
            next: end,
            bytes,
            tail: Tail::default(),
            oldest: None,
        })
    }
}

/// How many records a stored batch holds.
pub(crate) fn count(batch: &[u8]) -> Result<i64, LogError> {
    Batch::parse(batch, &Limits::default())
        .map(|batch| i64::from(batch.len()))
        .map_err(|e| LogError::Fatal(format!("a batch of the log is malformed: {e}")))
}

pub(crate) fn read_offset(bytes: &[u8]) -> Result<i64, LogError> {
    let bytes = bytes.try_into().map_err(|_| {
        LogError::Fatal(
            "an offset of the log has not 8 bytes: the folder was changed from outside".into(),
        )
    })?;
    Ok(i64::from_le_bytes(bytes))
}

pub(crate) fn offset_bytes(offset: i64) -> Bytes {
    Bytes::copy_from_slice(&offset.to_le_bytes())
}

/// Changes below a lock leave the state whole, so what a panicking holder left can be used.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All topics by name.
#[derive(Debug, Default)]
pub(crate) struct Topics(RwLock<HashMap<Arc<str>, Arc<Topic>>>);

impl Topics {
    pub(crate) fn load(engine: &Engine) -> Result<Self, LogError> {
        let mut topics = HashMap::new();
        for (key, json) in engine.all(&keys::topics())? {
            let name = String::from_utf8_lossy(&key[1..]).into_owned();
            let kept: Kept = serde_json::from_slice(&json)
                .map_err(|e| LogError::Fatal(format!("the topic {name} of the log: {e}")))?;
            let topic = Arc::new(Topic::load(&name, &kept, engine)?);
            topics.insert(Arc::clone(&topic.info.name), topic);
        }
        Ok(Self(RwLock::new(topics)))
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// The topic of that name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn existing(&self, name: &str) -> Result<Arc<Topic>, LogError> {
        self.get(name)
            .ok_or_else(|| LogError::Rejected(format!("there is no topic {name}")))
    }

    pub(crate) fn add(&self, topic: Arc<Topic>) {
        let mut topics = self.0.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(Arc::clone(&topic.info.name), topic);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }

    /// All of them, ordered by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        let mut all: Vec<_> = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        all.sort_by(|a, b| a.info.name.cmp(&b.info.name));
        all
    }
}

/// What is kept of a topic that is to be created.
pub(crate) fn validated(spec: &TopicSpec) -> Result<Kept, LogError> {
    let name = &spec.name;
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty()
        || name.len() > NAME_CHARS_MAX
        || !name.chars().all(sound)
        || name == "."
        || name == ".."
    {
        let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
        return Err(LogError::Rejected(format!(
            "`{shown}` is no topic name: 1 to {NAME_CHARS_MAX} characters of a-z A-Z 0-9 . _ -, and neither . nor .."
        )));
    }
    if !(1..=PARTITIONS_MAX).contains(&spec.partitions) {
        return Err(LogError::Rejected(format!(
            "the topic {name} can't have {} partitions: 1 to {PARTITIONS_MAX}",
            spec.partitions
        )));
    }
    let compacted = || {
        LogError::Rejected(format!(
            "the topic {name} can't be compacted: the embedded log keeps compacted topics only of its own"
        ))
    };
    match spec.cleanup {
        Cleanup::Delete => {}
        Cleanup::Compact => return Err(compacted()),
    }
    if spec
        .configs
        .get("cleanup.policy")
        .is_some_and(|policy| policy != "delete")
    {
        return Err(compacted());
    }
    let age = limit(spec, "retention.ms")?;
    let age = age.map(|keep| match keep {
        Keep::All => Keep::All,
        Keep::Most(ms) => Keep::Most(Duration::from_millis(ms)),
    });
    Ok(Kept {
        id: Uuid::now_v7(),
        partitions: spec.partitions,
        retention: Retention {
            age,
            bytes: limit(spec, "retention.bytes")?,
        },
    })
}

/// A limit as Kafka writes it: -1 is none.
fn limit(spec: &TopicSpec, config: &str) -> Result<Option<Keep<u64>>, LogError> {
    let Some(text) = spec.configs.get(config) else {
        return Ok(None);
    };
    match text.parse::<i64>() {
        Ok(-1) => Ok(Some(Keep::All)),
        Ok(limit) if limit >= 0 => Ok(Some(Keep::Most(limit.unsigned_abs()))),
        Ok(_) | Err(_) => Err(LogError::Rejected(format!(
            "the topic {}: {config} can't be `{text}`: a number, or -1 for no limit",
            spec.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(config: &str, value: &str) -> TopicSpec {
        let mut spec = TopicSpec::new("t", 1);
        spec.configs.insert(config.into(), value.into());
        spec
    }

    #[test]
    fn limits_are_read_as_kafka_writes_them() {
        let age = |value| {
            validated(&spec("retention.ms", value))
                .unwrap()
                .retention
                .age
        };
        assert_eq!(age("-1"), Some(Keep::All));
        assert_eq!(age("1500"), Some(Keep::Most(Duration::from_millis(1500))));
        assert!(validated(&spec("retention.ms", "1 h")).is_err());
        assert!(validated(&spec("retention.bytes", "-2")).is_err());
        assert!(validated(&spec("segment.bytes", "whatever")).is_ok());
        assert!(validated(&spec("cleanup.policy", "compact")).is_err());
    }
}
