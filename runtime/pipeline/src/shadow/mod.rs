//! Running another version on a copy of a connector's input, and keeping such a copy.
//!
//! Whoever runs a connector is asked to let someone listen (`watch`); from then on all that a
//! slot hears, or a sink's tasks are given, goes into bounded queues that are written without
//! waiting. A shadow reads too slowly: it ends, and the running version never noticed.

mod compare;
mod listen;
mod record;
mod report;
mod run;
mod scratch;
mod shadows;
mod sink;
mod source;
mod twin;
mod watch;

pub(crate) use listen::{CommitSeen, Listeners, SinkItem};
pub(crate) use shadows::Shadows;
pub(crate) use twin::Twin;
pub(crate) use watch::{SinkWatch, SlotWatch, SourceWatch, WatchOrder, Watched};

pub use compare::{Basis, Compared, Comparison, Difference, DifferenceKind, FeedCompared};
pub use record::{RECORDING_BYTES_MAX, RecordOptions};
pub use report::{ShadowEnd, ShadowReport, ShadowState, SinkCompared};
pub use run::ShadowOptions;

/// Bytes of events that a shadow or a recording may lag behind a slot: twice what a slot keeps of
/// frames and of responses, so that a stalled log alone never ends it.
pub(crate) const TAP_BYTES_MAX: usize = 64 * 1024 * 1024;
