//! Topics: how they are named, created and described.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// A partition of a topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition of that number of the topic of that name.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        TopicPartition {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// What becomes of old records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cleanup {
    /// Deleted when they are older, or the partition is larger, than retention says.
    #[default]
    Delete,
    /// The newest record of each key is kept.
    Compact,
}

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// 1 to 249 characters of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`, as in Kafka.
    pub name: String,
    /// At least 1.
    pub partitions: i32,
    /// Copies kept, where the log keeps several. `None`: as the log is set up.
    pub replication: Option<i16>,
    /// What becomes of old records.
    pub cleanup: Cleanup,
    /// Further settings by Kafka's names, such as `retention.ms`. A log rejects a value that it
    /// can't read, and passes over names that have no meaning for it.
    pub configs: BTreeMap<String, String>,
}

impl TopicSpec {
    /// A topic of that name and number of partitions, everything else as the log is set up.
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        TopicSpec {
            name: name.into(),
            partitions,
            replication: None,
            cleanup: Cleanup::Delete,
            configs: BTreeMap::new(),
        }
    }
}

/// A topic that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: Arc<str>,
    /// Given when it was created: a topic deleted and created again has another, so that an offset
    /// in the old one is never taken for an offset in the new one.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ends {
    /// The first offset that is still kept.
    pub start: i64,
    /// The offset that the next record will get.
    pub end: i64,
}
