//! What both sides of a connector say to the host and hear from it.

/// What a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The connector's name, such as `binance-source`.
    pub name: String,
    /// Its version, as in its manifest.
    pub version: String,
    /// One sentence for a list of plugins.
    pub summary: String,
    /// The best delivery that it can promise.
    pub delivery: Delivery,
    /// The version of the bytes that `save` writes.
    pub saved_version: u32,
    /// The oldest that `open` reads.
    pub saved_version_min: u32,
    /// The version of the bytes that `stage` writes; sources write none and say 0.
    pub staged_version: u32,
    /// The oldest that `commit` reads.
    pub staged_version_min: u32,
}

/// A promise about what lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Delivery {
    /// Nothing is lost; after a fault records may be doubled.
    AtLeastOnce,
    /// Nothing is lost and nothing doubled.
    ExactlyOnce,
}

/// What an instance is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// One share of the work, counted from 0.
    Task(u32),
    /// The one that makes a sink's pieces visible.
    Committer,
}

/// Who an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The connector's name in the pipeline.
    pub connector: String,
    /// What the pipeline asks for.
    pub delivery: Delivery,
    /// This instance's role.
    pub role: Role,
    /// How many tasks there are.
    pub tasks: u32,
}

/// Something about the settings that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it keeps the connector from running.
    pub severity: Severity,
    /// Where in the settings, such as `symbols[2]`; empty: the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub mend: String,
}

impl Finding {
    /// A finding that keeps the connector from running.
    pub fn error(
        path: impl Into<String>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            path: path.into(),
            message: message.into(),
            mend: mend.into(),
        }
    }

    /// A finding to think about.
    pub fn warning(
        path: impl Into<String>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            path: path.into(),
            message: message.into(),
            mend: mend.into(),
        }
    }
}

/// How much a [`Finding`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The connector can't run like this.
    Error,
    /// It can, but perhaps not as meant.
    Warning,
}

/// Why a call failed, named by what the host must do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing of this call was taken: call again, no sooner than asked. From `poll`: events
    /// received stay this instance's. From `commit`: the outcome may be unknown; the host repeats
    /// the same arguments.
    #[error("to be called again after {after_ms} ms: {reason}")]
    Retry {
        /// No sooner than this.
        after_ms: u32,
        /// For people.
        reason: String,
    },
    /// Sink: what was put since the last commit is gone. Source: to be replaced at the stored
    /// positions, with the inbox given again.
    #[error("to be taken back to what is stored: {0}")]
    Rewind(String),
    /// From `put` and `apply` only: every bad record, and nothing of the batch was taken.
    #[error("{} records rejected", .0.len())]
    Rejected(Vec<Rejection>),
    /// Settings or grants are wrong: a person must act.
    #[error("misconfigured: {0}")]
    Misconfigured(String),
    /// The stored position is not the expected one.
    #[error("fenced: {0}")]
    Fenced(String),
    /// A bug or a broken promise: this instance must not be called again.
    #[error("broken: {0}")]
    Broken(String),
}

/// A record that can't be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its index in the batch as it was put.
    pub index: u32,
    /// Why.
    pub reason: String,
}

/// The only figures that a connector may report; the metrics are the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Records of this call.
    pub records: u64,
    /// Dropped because they had been seen before.
    pub duplicates: u64,
    /// Known to be missing at the origin, and not to be had any more.
    pub missing: u64,
    /// Fetched a second way after a loss.
    pub recovered: u64,
    /// The newest event time among the records, ms since the epoch.
    pub event_time_max_ms: Option<i64>,
}

impl Counts {
    /// Takes note of a record's event time.
    pub fn saw_event_time(&mut self, ms: i64) {
        self.event_time_max_ms = Some(self.event_time_max_ms.map_or(ms, |max| max.max(ms)));
    }
}

/// How records are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaKind {
    /// Avro datum, without any header.
    Avro,
    /// JSON text.
    Json,
    /// Bytes, such as UTF-8 text, that have no schema.
    None,
}

/// A schema's text and its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The language.
    pub kind: SchemaKind,
    /// The schema; empty where there is none.
    pub text: String,
}

impl Schema {
    /// An Avro schema.
    pub fn avro(text: impl Into<String>) -> Self {
        Self {
            kind: SchemaKind::Avro,
            text: text.into(),
        }
    }
}

/// A cache handed to the next instance: opening without it must be right too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Of the bytes.
    pub version: u32,
    /// The connector's own encoding.
    pub bytes: Vec<u8>,
}
