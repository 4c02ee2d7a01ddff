//! Writing: one append is one transaction.

use crate::{LogError, Pending};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;

/// Who writes. Of all writers opened with one identity only the newest can append.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The installation, so that two of them can share a Kafka cluster.
    pub cluster: String,
    /// The connector.
    pub connector: String,
    /// The slot of the connector.
    pub slot: String,
}

/// How far a source has come in one partition of its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The origin's partition: a JSON object in canonical form (keys sorted, no white space).
    pub partition: String,
    /// A JSON object; `None` deletes the position.
    pub offset: Option<String>,
}

/// How far the records of an inbox have become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxMark {
    /// Which inbox: numbers of another epoch mean nothing in this one.
    pub epoch: Uuid,
    /// The number of the last event that is done.
    pub done_through: u64,
}

/// What the log holds of a connector's progress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Of all slots of the connector, ordered by partition. None has a deleted offset.
    pub positions: Vec<Position>,
    /// Of the slot.
    pub mark: Option<InboxMark>,
}

/// Records for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The topic, which must exist.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// A packed batch of at least one record, schema ids stamped, without coordinates.
    pub batch: Bytes,
}

/// One transaction: everything in it lands, or nothing does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Append {
    /// Records, in this order where several are for one partition.
    pub outputs: Vec<Output>,
    /// Positions that these records bring the source to.
    pub positions: Vec<Position>,
    /// How far the inbox is done once this has landed.
    pub mark: Option<InboxMark>,
}

/// An append that is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Appended {
    /// The offset of each output's first record, in the order of the outputs. Empty where not all of
    /// them are known: a broker that has a record from an earlier try does not say where.
    pub first_offsets: Vec<i64>,
}

/// Appends under one identity.
#[async_trait]
pub trait Writer: Send {
    /// Queues one transaction, and waits only while the bound of appends in flight is reached.
    ///
    /// Outcomes resolve in the order of the calls. After one fails all later ones fail with
    /// [`LogError::Fenced`] or [`LogError::Unknown`] and nothing of them lands, also of calls made
    /// after the failure: open another writer. An append that is refused by this call's own
    /// [`LogError::Rejected`] was never queued, and the writer goes on. A writer that is dropped
    /// may or may not land what it had queued.
    async fn append(&mut self, append: Append) -> Result<Pending, LogError>;

    /// Waits for what is in flight. The identity's stored positions stay.
    async fn close(self: Box<Self>) -> Result<(), LogError>;
}
