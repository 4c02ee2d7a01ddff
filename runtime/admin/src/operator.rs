//! What the server asks of whoever runs the connectors.

use crate::topics::Topics;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// An answer that comes later.
pub type Answer = Pin<Box<dyn Future<Output = Result<Value, Objection>> + Send>>;

/// Where a new component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Component {
    /// It came with the request.
    Uploaded(Vec<u8>),
    /// The operator's folder has it under this name, as it was given.
    Named(String),
}

/// A swap as it was asked for.
#[derive(Debug, Clone)]
pub struct SwapCall {
    /// The connector.
    pub connector: String,
    /// The new component; none: it stays, and its settings change.
    pub component: Option<Component>,
    /// The digest that the component must have: SHA-256 in hex.
    pub sha256: Option<String>,
    /// The new settings; none: those of the configuration file.
    pub settings: Option<Value>,
    /// How long the old version stays ready to take over again; none: the default.
    pub probation: Option<Duration>,
    /// Only prepare.
    pub dry_run: bool,
    /// Run it for so long on a copy of the input, compare, and throw it away.
    pub shadow: Option<Duration>,
}

/// A recording as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordCall {
    /// The connector.
    pub connector: String,
    /// For how long.
    pub span: Duration,
    /// At most so many bytes; none: the default.
    pub bytes_max: Option<u64>,
}

/// The chunks of a file, as they are made. Dropping the receiver ends the making.
pub type Chunks = tokio::sync::mpsc::Receiver<axum::body::Bytes>;

/// A recording that comes later, chunk by chunk.
pub type Recorded = Pin<Box<dyn Future<Output = Result<Chunks, Objection>> + Send>>;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The HTTP status that says so.
    pub status: u16,
    /// A word for programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// What the page shows of the process at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Of the process: `version`, and `started_ms` since the epoch.
    pub process: Value,
    /// By connector: `name`, `pipeline`, `type`, `state`, `trace`, `plugin`, `topics` and figures.
    /// What has not changed is equal to what it was, so nothing in it may be an age.
    pub connectors: BTreeMap<String, Value>,
}

/// Runs the connectors. Called on the server's own runtime: what takes long or blocks belongs
/// elsewhere.
pub trait Operator: Send + Sync + 'static {
    /// One connector, or all of them: states and versions as JSON.
    ///
    /// # Errors
    /// There is no such connector.
    fn status(&self, connector: Option<&str>) -> Result<Value, Objection>;

    /// The last swaps of a connector, as a JSON list, the oldest first.
    ///
    /// # Errors
    /// There is no such connector.
    fn swaps(&self, connector: &str) -> Result<Value, Objection>;

    /// All connectors as the page shows them. Asked once a second while somebody looks, from a
    /// thread that may block.
    fn snapshot(&self) -> Snapshot;

    /// What a connector is made of, and what went wrong last: `settings`, what it may reach, how it
    /// is run, and `failures`, the oldest first. Nothing in it is a secret.
    ///
    /// # Errors
    /// There is no such connector.
    fn details(&self, connector: &str) -> Result<Value, Objection>;

    /// What the log holds. Asked once, when the server starts.
    fn topics(&self) -> Arc<dyn Topics>;

    /// The last shadows of a connector, as a JSON list, the oldest first.
    ///
    /// # Errors
    /// There is no such connector.
    fn shadows(&self, connector: &str) -> Result<Value, Objection>;

    /// Swaps a connector. Answers with the report once the new version runs on probation; of a
    /// shadow, once it has begun.
    fn swap(&self, call: SwapCall) -> Answer;

    /// Records what a connector is given. Answers once it has begun.
    fn record(&self, call: RecordCall) -> Recorded;
}
