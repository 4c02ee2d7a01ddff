//! What all connectors of a process share.

use crate::clock::Clock;
use jackfield_log::Log;
use jackfield_schema::{Registry, SubjectNaming};
use jackfield_telemetry::Telemetry;
use std::sync::Arc;

/// The services that connectors are given. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    /// Names this installation in writers' identities.
    pub cluster: String,
    /// The log that records go through.
    pub log: Arc<dyn Log>,
    /// Where workers agree who runs a connector, if several can have the log open: a topic.
    pub assignments: Option<String>,
    /// Which subject a schema is registered under.
    pub subjects: SubjectNaming,
    /// Schemas by id.
    pub registry: Arc<dyn Registry>,
    /// Where metrics are recorded.
    pub telemetry: Telemetry,
    /// Monotonic time.
    pub clock: Clock,
}
