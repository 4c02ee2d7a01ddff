//! What whoever runs a connector gives to whoever listens.

use super::listen::SinkItems;
use super::twin::ToldReceiver;
use crate::host::Host;
use crate::spec::{SinkSpec, SourceSpec};
use crate::swap::{Given, Refused, Version};
use jackfield_plugin::{Connection, Feed, Position, Saved, Slot, Tap};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Someone wants to listen.
pub(crate) struct WatchOrder {
    /// Of a source: also to what is polled.
    pub(crate) outputs: bool,
    pub(crate) reply: oneshot::Sender<Result<Watched, Refused>>,
}

/// A connector that is listened to.
pub(crate) enum Watched {
    Source(Box<SourceWatch>),
    Sink(Box<SinkWatch>),
}

/// A source, as of one moment of each slot.
pub(crate) struct SourceWatch {
    pub(crate) spec: Arc<SourceSpec>,
    pub(crate) version: Arc<Version>,
    pub(crate) given: Given,
    pub(crate) slots: Vec<SlotWatch>,
}

/// A slot between two polls, and all that follows.
#[derive(Debug)]
pub(crate) struct SlotWatch {
    pub(crate) slot: Slot,
    pub(crate) number: u32,
    pub(crate) slots: u32,
    /// Events up to here are contained in the positions.
    pub(crate) contained: u64,
    pub(crate) positions: Vec<Position>,
    pub(crate) saved: Option<Saved>,
    pub(crate) connections: Vec<Connection>,
    /// As the running version told them, by their numbers.
    pub(crate) feeds: Vec<Feed>,
    pub(crate) tap: Arc<Tap>,
    pub(crate) told: ToldReceiver,
}

/// A sink, and all that its tasks are given from now on.
pub(crate) struct SinkWatch {
    pub(crate) spec: Arc<SinkSpec>,
    pub(crate) version: Arc<Version>,
    pub(crate) given: Given,
    pub(crate) host: Host,
    /// Targets that ever had a commit.
    pub(crate) known: Vec<String>,
    pub(crate) items: SinkItems,
}
