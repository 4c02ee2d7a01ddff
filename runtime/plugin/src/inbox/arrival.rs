//! What reaches an inbox.

use crate::shadow::{Heard, Item};
use bytes::Bytes;
use jackfield_batch::event::Kind;
use std::time::{SystemTime, UNIX_EPOCH};

/// What an event costs beside its body: the queue's entry and its share of the read buffer.
const EVENT_OVERHEAD_BYTES: usize = 64;

/// What an event is before it has a number.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) received_ns: i64,
    pub(crate) body: Bytes,
}

impl Arrival {
    /// Something that arrives now.
    pub(crate) fn now(kind: Kind, id: u64, body: Bytes) -> Self {
        Self {
            kind,
            id,
            received_ns: now_ns(),
            body,
        }
    }

    pub(super) fn cost(&self) -> usize {
        self.body.len() + EVENT_OVERHEAD_BYTES
    }

    pub(super) fn heard(&self, number: u64) -> Item {
        Item::Event(Heard {
            number,
            kind: self.kind,
            id: self.id,
            received_ns: self.received_ns,
            body: self.body.clone(),
        })
    }
}

/// Nanoseconds since the epoch, by the wall clock: for people and for latency, it orders nothing.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
