//! The log port: what the pipelines ask of the log between a source and a sink.
//!
//! A log keeps *topics*, each split into partitions, each a sequence of records numbered by offset.
//! Records cross this port packed (see `jackfield_batch`), and an append of several outputs, of the
//! source's positions and of its inbox mark is one transaction. The embedded log implements the
//! port over a key-value engine in one folder; Kafka implements it over a cluster.
//!
//! What every implementation promises is written on the items here and shown by the conformance
//! suite, the module `suite` behind the feature of that name:
//!
//! - nothing is acknowledged before it is durable, and nothing is read before it is acknowledgeable;
//! - an append lands whole or not at all;
//! - outcomes of one writer resolve in the order of its calls, and after a failure nothing later
//!   lands;
//! - opening a writer fences every earlier one of the same identity;
//! - a reader gets each record of its partitions once, in order, from where it was told to stand;
//! - a partition is never assigned to two members of a group at once.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod append;
mod browser;
mod error;
mod keyed;
mod log;
mod pending;
mod reader;
#[cfg(feature = "suite")]
pub mod suite;
mod topic;

pub use append::{Append, Appended, Identity, InboxMark, Output, Position, Stored, Writer};
pub use browser::{BROWSE_WAIT, Browser};
pub use error::LogError;
pub use keyed::Keyed;
pub use log::Log;
pub use pending::{Pending, Resolver};
pub use reader::{Assignment, Fetched, Reader, ReaderEvent, ReaderSpec, Start};
pub use topic::{Cleanup, Ends, TopicInfo, TopicPartition, TopicSpec};
