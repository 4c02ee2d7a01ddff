//! How a slot's instance hands over to another one, at a batch boundary and without losing its
//! turn: the writer, the inbox and the connections stay.

use crate::failures::Failed;
use crate::shadow::SlotWatch;
use crate::swap::Version;
use jackfield_plugin::{Saved, SourceInstance};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What the supervisor asks of a slot.
pub(crate) enum Command {
    /// Bring the running version to rest: all it took is durable. It goes on by itself when `go`
    /// is dropped.
    Rest {
        rested: oneshot::Sender<Rested>,
        go: oneshot::Receiver<Go>,
    },
    /// The new version is worse: go back, from what is stored.
    FallBack(String),
    /// The new version stays.
    Keep,
    /// Let someone listen, from the state of now on; with what is polled, if `outputs`. The slot
    /// goes on at once.
    Watch {
        outputs: bool,
        reply: oneshot::Sender<SlotWatch>,
    },
}

/// A slot at rest.
#[derive(Debug)]
pub(crate) struct Rested {
    /// Events that were taken and not durable when it was told to rest.
    pub(crate) in_flight: u64,
}

/// What a slot at rest does next.
pub(crate) enum Go {
    /// Another instance goes on.
    Swap(Box<Successor>),
    /// The slot ends: the work is split in another way.
    End,
}

/// The instance that takes over.
pub(crate) struct Successor {
    pub(crate) version: Arc<Version>,
    pub(crate) instance: SourceInstance,
    /// For how long nothing was taken; or why the old instance goes on.
    pub(crate) done: oneshot::Sender<Result<Duration, Failed>>,
}

/// What a slot goes back to when the version that it runs fails on probation.
pub(crate) enum Fallback {
    /// To this version, with the state that it saved.
    To(Arc<Version>, Option<Saved>),
    /// To another split of the work.
    Replan,
}
