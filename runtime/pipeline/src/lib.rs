//! Tasks and supervisors: joins the decisions of `jackfield-core`, a log, and plugins.
//!
//! A *connector* is one end of a pipeline. A source connector runs one task a slot
//! (`source`), a sink connector N tasks and a committer (`sink`). Each connector is owned by
//! one supervisor task that ends with a typed [`Exit`]; [`Pipelines`] owns the supervisors.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod clock;
mod dead_letters;
mod failures;
mod holding;
mod host;
mod lever;
mod meter;
mod partitioner;
mod pipelines;
mod recent;
mod retries;
mod shadow;
mod shares;
mod sink;
mod source;
mod spec;
mod status;
mod swap;
mod topics;

pub use clock::{Clock, SeededJitter};
pub use failures::Failed;
pub use host::Host;
pub use lever::Target;
pub use pipelines::{Ending, Pipelines, Unchanged};
pub use recent::Failure;
pub use shadow::{
    Basis, Compared, Comparison, Difference, DifferenceKind, FeedCompared, RECORDING_BYTES_MAX,
    RecordOptions, ShadowEnd, ShadowOptions, ShadowReport, ShadowState, SinkCompared,
};
pub use sink::by_hand::{ByHand, offsets_set_by_hand};
pub use spec::{Gathering, OnBadRecord, Plugged, ReadTopic, SinkSpec, SourceSpec, Topic};
pub use status::{Exit, Report, State, Status};
pub use swap::{Controls, Outcome, Refused, SwapOptions, SwapReport, Version, VersionName};
