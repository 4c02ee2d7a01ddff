//! The log itself.

use crate::{
    Browser, Ends, Identity, Keyed, LogError, Position, Reader, ReaderSpec, Stored, TopicInfo,
    TopicPartition, TopicSpec, Writer,
};
use async_trait::async_trait;
use std::sync::Arc;

/// A log, used as `Arc<dyn Log>`.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Creates a topic, durably. One that exists and has as many partitions is returned as it is;
    /// with another number it is [`LogError::Rejected`], saying both.
    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError>;

    /// The topic of that name, if there is one.
    async fn describe_topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError>;

    /// All topics, ordered by name.
    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError>;

    /// Deletes a topic with its records and its groups' offsets; [`LogError::Rejected`] when there
    /// is none. Readers lose its partitions.
    async fn delete_topic(&self, name: &str) -> Result<(), LogError>;

    /// Where a partition begins and ends. [`LogError::Rejected`] when there is none.
    async fn ends(&self, topic: &str, partition: i32) -> Result<Ends, LogError>;

    /// Opens a writer and fences every earlier one of that identity: when this returns, nothing of
    /// theirs can land any more.
    async fn writer(&self, identity: &Identity) -> Result<Box<dyn Writer>, LogError>;

    /// Opens a writer for a source that is at least once. It fences like [`writer`](Self::writer):
    /// no position and no mark of an earlier writer can land any more. But records of an append
    /// may have landed though the append failed, and records of an earlier writer may still land.
    ///
    /// A log for which an append is never cheaper than a transaction gives what `writer` gives.
    async fn writer_at_least_once(&self, identity: &Identity) -> Result<Box<dyn Writer>, LogError> {
        self.writer(identity).await
    }

    /// What is stored of a connector, and of the identity's slot. Read after opening the writer:
    /// nothing older can still land.
    async fn stored(&self, identity: &Identity) -> Result<Stored, LogError>;

    /// Sets or deletes positions of a connector by hand. The connector must be stopped.
    async fn set_positions(&self, connector: &str, positions: &[Position]) -> Result<(), LogError>;

    /// Joins a group.
    async fn reader(&self, spec: &ReaderSpec) -> Result<Box<dyn Reader>, LogError>;

    /// The offsets that a group has committed in these topics, ordered by topic and partition.
    async fn group_offsets(
        &self,
        group: &str,
        topics: &[String],
    ) -> Result<Vec<(TopicPartition, i64)>, LogError>;

    /// Sets offsets of a group by hand, or deletes them (`None`). `topics` are all that the group
    /// reads. [`LogError::Rejected`] while the group has members, and for a partition that is not
    /// there.
    async fn set_group_offsets(
        &self,
        group: &str,
        topics: &[String],
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<(), LogError>;
    /// Looks at records of a topic from these offsets on, by partition, without joining a group. An
    /// offset outside of a partition is taken as its nearer end. [`LogError::Rejected`] when there
    /// is no such topic or partition.
    async fn browse(&self, topic: &str, from: &[(i32, i64)]) -> Result<Box<dyn Browser>, LogError>;

    /// The offset of the first record of a partition that was appended at `time_ms` or later (ms
    /// since the epoch), or that has that time or a later one, as the log keeps times; the
    /// partition's end where there is none. That of a mark that lies between it and the record before
    /// it is as good.
    async fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Result<i64, LogError>;

    /// The bytes that a partition's records take where they are kept; `None` where the log can't
    /// tell.
    async fn bytes(&self, topic: &str, partition: i32) -> Result<Option<u64>, LogError>;

    /// Opens a keyed, compacted topic, and creates it when missing.
    async fn keyed(&self, topic: &str) -> Result<Arc<dyn Keyed>, LogError>;
}
