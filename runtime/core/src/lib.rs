//! What a source task and a sink task do next, as values.
//!
//! Nothing here does I/O, spawns, or reads a clock: time comes in as an argument and
//! randomness through [`Jitter`], so that every fault can be replayed from a seed.
//! The crate `jackfield-pipeline` drives these machines.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backoff;
mod consequence;
mod interval;
mod ledger;
mod sink_task;
mod source_task;

pub use backoff::{Backoff, Jitter, Patience, Wait};
pub use consequence::{Consequence, Next, after};
pub use interval::{CommitWhen, Due};
pub use ledger::{Commit, Ledger, Moved, Staged};
pub use sink_task::{NotContiguous, SinkTask, Span};
pub use source_task::{BrokenPromise, IN_FLIGHT_MAX, SettledUpTo, SourceStep, SourceTask};
