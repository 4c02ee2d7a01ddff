//! Reading, as a member of a group that shares partitions.

use crate::{Ends, LogError, TopicPartition};
use async_trait::async_trait;
use bytes::Bytes;
use jackfield_batch::BatchWriter;
use uuid::Uuid;

/// Where to begin in a partition for which nothing is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the first record that is kept.
    #[default]
    Earliest,
    /// After the last record there is.
    Latest,
}

/// A member to join a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderSpec {
    /// The group: its members share the partitions of their topics.
    pub group: String,
    /// The member's own name in the group. A member that joins again under its name replaces the
    /// one before, whose `next` and `commit` then fail with [`LogError::Fenced`].
    pub member: String,
    /// What to read. Each must exist, else joining is [`LogError::Rejected`].
    pub topics: Vec<String>,
    /// Where a partition stands for the group before anything is committed: for lag, and for
    /// retention, which never passes a group that is attached. It seeks nowhere by itself.
    pub start: Start,
}

/// What a reader is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReaderEvent {
    /// These partitions are this member's now, and deliver once [`Reader::seek`] was called. The
    /// first of these events after the member's join, or after a loss of all that it had, may have
    /// none: nothing is its own yet, be it that others have still to release it. Each later one has
    /// some.
    Assigned(Vec<Assignment>),
    /// These partitions are wanted by another member: settle what was read of them, then
    /// [`Reader::release`]. They deliver nothing more.
    Revoking(Vec<TopicPartition>),
    /// These partitions were taken away already (deleted, or this member was too slow): discard
    /// what was read of them and not committed.
    Lost(Vec<TopicPartition>),
    /// Records of one partition, or none where only offsets were passed that have no record.
    Batch(Fetched),
}

/// A partition given to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Which one.
    pub at: TopicPartition,
    /// The topic as it is now; an offset remembered with another id means nothing here.
    pub topic_id: Uuid,
    /// What the group committed last.
    pub committed: Option<i64>,
    /// Where the partition begins and ends now.
    pub ends: Ends,
}

/// Records read from one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The partition.
    pub at: TopicPartition,
    /// The topic's id.
    pub topic_id: Uuid,
    /// Where the reader stood: the offset sought, or the `next_offset` of the batch before.
    pub position: i64,
    /// Where the reader stands now: past these records, and past every offset in between that has
    /// no record.
    pub next_offset: i64,
    /// A packed batch with coordinates. Its first record is the first one at or after `position`;
    /// one without a record says that there is none before `next_offset`.
    pub batch: Bytes,
    /// The partition's end now, for lag.
    pub end: i64,
}

impl Fetched {
    /// Whether it has no record: only offsets were passed.
    pub fn is_empty(&self) -> bool {
        // Every record makes a batch longer than its header.
        self.batch.len() <= BatchWriter::new().encoded_len()
    }
}

/// A member of a group.
#[async_trait]
pub trait Reader: Send {
    /// The next event, in order. Waits without a limit, and may be dropped while it waits without
    /// losing anything.
    ///
    /// An assigned partition delivers nothing until [`seek`](Self::seek).
    async fn next(&mut self) -> Result<ReaderEvent, LogError>;

    /// Goes on from this offset in a partition of this member's: one that it was told was assigned
    /// and was not told is revoking or lost. Rejected when the offset lies outside the partition's
    /// `start..=end`, or the partition is not this member's. A partition that is paused stays so.
    fn seek(&mut self, at: &TopicPartition, offset: i64) -> Result<(), LogError>;

    /// Delivers nothing of these partitions until they are resumed. Revocations still arrive.
    fn pause(&mut self, at: &[TopicPartition]);

    /// Delivers these partitions again.
    fn resume(&mut self, at: &[TopicPartition]);

    /// Keeps the group's offsets: the next record that it wants. Fails with [`LogError::Fenced`]
    /// for a partition that is not this member's any more; nothing is kept then.
    async fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError>;

    /// Answers [`ReaderEvent::Revoking`]: another member may have these partitions now.
    async fn release(&mut self, at: &[TopicPartition]) -> Result<(), LogError>;

    /// Leaves the group and releases everything. A reader that is dropped leaves likewise.
    async fn close(self: Box<Self>) -> Result<(), LogError>;
}
