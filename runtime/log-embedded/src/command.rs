//! What the committer is asked to do.

use crate::groups::Group;
use crate::keys::Place;
use crate::prepare::Prepared;
use crate::topics::{Kept, Topic};
use bytes::Bytes;
use jackfield_log::{Identity, LogError, Position, Resolver, TopicInfo};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

/// Where an outcome goes. Who does not wait any more misses nothing: the change is made or not.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, LogError>>;

/// One writer among all that were ever opened by this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) identity: Identity,
    pub(crate) number: u64,
}

/// One transaction of a writer, checked.
pub(crate) struct AppendCommand {
    pub(crate) session: Session,
    pub(crate) prepared: Prepared,
    pub(crate) resolver: Resolver,
    /// Held until the outcome is known: bounds the bytes on their way.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A change of what the log holds. Each is whole: it lands, or nothing of it does.
pub(crate) enum Command {
    Append(Box<AppendCommand>),
    OpenWriter {
        identity: Identity,
        reply: Reply<Session>,
    },
    /// Answered once everything asked before it has its outcome.
    Flush {
        reply: Reply<()>,
    },
    SetPositions {
        connector: String,
        positions: Vec<Position>,
        reply: Reply<()>,
    },
    PutKeyed {
        key: Vec<u8>,
        value: Option<Bytes>,
        reply: Reply<()>,
    },
    CommitOffsets {
        group: Arc<Group>,
        member: u64,
        offsets: Vec<(Place, i64)>,
        reply: Reply<()>,
    },
    /// Offsets that a person sets.
    SetOffsets {
        group: Arc<Group>,
        offsets: Vec<(Place, Option<i64>)>,
        reply: Reply<()>,
    },
    CreateTopic {
        name: String,
        kept: Kept,
        reply: Reply<TopicInfo>,
    },
    DeleteTopic {
        name: String,
        reply: Reply<()>,
    },
    /// Old batches go: the partition begins at `start` from now on.
    Trim {
        topic: Arc<Topic>,
        partition: i32,
        start: i64,
        batches: Vec<Bytes>,
    },
    /// Batches of a deleted topic go; `last`: and then nothing is left of it.
    Purge {
        topic: Uuid,
        partitions: Vec<Place>,
        batches: Vec<Bytes>,
        last: bool,
    },
}

impl Command {
    /// Whether commands after it may depend on it having happened: it is committed by itself.
    pub(crate) fn is_alone(&self) -> bool {
        match self {
            Self::CreateTopic { .. } | Self::DeleteTopic { .. } => true,
            Self::Append(_)
            | Self::OpenWriter { .. }
            | Self::Flush { .. }
            | Self::SetPositions { .. }
            | Self::PutKeyed { .. }
            | Self::CommitOffsets { .. }
            | Self::SetOffsets { .. }
            | Self::Trim { .. }
            | Self::Purge { .. } => false,
        }
    }

    /// Bytes that it adds to the disk, about; `None`: it makes room, or needs none.
    pub(crate) fn grows(&self) -> Option<usize> {
        /// Keys and framing of one small entry.
        const ENTRY_BYTES: usize = 256;
        match self {
            Self::Append(append) => Some(append.prepared.bytes + ENTRY_BYTES),
            Self::SetPositions { positions, .. } => Some(positions.len() * ENTRY_BYTES),
            Self::PutKeyed { key, value, .. } => {
                value.as_ref().map(|value| key.len() + value.len())
            }
            Self::CommitOffsets { offsets, .. } => Some(offsets.len() * ENTRY_BYTES),
            Self::SetOffsets { offsets, .. } => Some(offsets.len() * ENTRY_BYTES),
            Self::CreateTopic { .. } => Some(ENTRY_BYTES),
            Self::OpenWriter { .. }
            | Self::Flush { .. }
            | Self::DeleteTopic { .. }
            | Self::Trim { .. }
            | Self::Purge { .. } => None,
        }
    }

    /// Answers that nothing was done.
    pub(crate) fn refuse(self, why: LogError) {
        // A reply that nobody waits for any more is not missed.
        match self {
            Self::Append(append) => append.resolver.resolve(Err(why)),
            Self::OpenWriter { reply, .. } => drop(reply.send(Err(why))),
            Self::CreateTopic { reply, .. } => drop(reply.send(Err(why))),
            Self::Flush { reply }
            | Self::SetPositions { reply, .. }
            | Self::PutKeyed { reply, .. }
            | Self::CommitOffsets { reply, .. }
            | Self::SetOffsets { reply, .. }
            | Self::DeleteTopic { reply, .. } => drop(reply.send(Err(why))),
            Self::Trim { .. } | Self::Purge { .. } => {
                tracing::warn!(%why, "old records are not deleted");
            }
        }
    }
}
