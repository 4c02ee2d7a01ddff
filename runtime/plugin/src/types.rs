//! Plain Rust types, one for each record of the contract that reaches callers.
//!
//! They mirror `plugins/wit/jackfield.wit`; what generated bindings look like is nobody else's
//! concern.

/// What a component says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The connector's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does, in a sentence.
    pub summary: String,
    /// JSON Schema 2020-12 of its settings.
    pub settings_schema: String,
    /// The best it can promise.
    pub delivery: Delivery,
    /// Version of the bytes that `save` writes.
    pub saved_version: u32,
    /// The oldest saved bytes that it reads.
    pub saved_version_min: u32,
    /// Version of the bytes that `stage` writes.
    pub staged_version: u32,
    /// The oldest staged bytes that it reads.
    pub staged_version_min: u32,
}

/// What is promised of a record's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing is lost; something may double.
    AtLeastOnce,
    /// Nothing is lost and nothing doubles.
    ExactlyOnce,
}

/// Which instance of a connector this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A task, by its number.
    Task(u32),
    /// The sink's committer.
    Committer,
}

/// Who an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The connector's name in the configuration.
    pub connector: String,
    /// Asked for in the pipeline.
    pub delivery: Delivery,
    /// The instance's role.
    pub role: Role,
    /// Tasks of the connector.
    pub tasks: u32,
}

/// One thing to say about settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where in the settings.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub mend: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It can't run like this.
    Error,
    /// It runs, perhaps not as meant.
    Warning,
}

/// A record that can't be taken, by its index in the batch as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Index in the batch.
    pub index: u32,
    /// Why.
    pub reason: String,
}

/// The only figures that a connector may report.
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
    /// Newest event time among the records, ms since the epoch.
    pub event_time_max_ms: Option<i64>,
}

/// The language of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// Avro schema, Avro datum.
    Avro,
    /// JSON Schema, JSON text.
    Json,
    /// Bytes of no declared form.
    None,
}

/// A schema of keys or values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Its language.
    pub kind: SchemaKind,
    /// Its text.
    pub text: String,
}

/// A cache handed to the next version, or kept beside a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Version of the bytes.
    pub version: u32,
    /// Known to the plugin only.
    pub bytes: Vec<u8>,
}

/// Where a source stands in one part of its input. Both are canonical JSON objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Which part.
    pub partition: String,
    /// Where; `None` deletes it.
    pub offset: Option<String>,
}

/// One independent share of a source's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Stable over restarts.
    pub id: String,
    /// The share, as its plugin wrote it.
    pub settings: String,
}

/// What a source produces under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// The feed's name, which the configuration maps to a topic.
    pub name: String,
    /// Schema of its values.
    pub value: Schema,
    /// Schema of its keys, where they have one.
    pub key: Option<Schema>,
}

/// What a `poll` may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollLimits {
    /// Bytes of one packed batch.
    pub batch_bytes_max: u32,
    /// Records of one batch.
    pub batch_records_max: u32,
    /// Longest wait for the first event.
    pub wait_ms: u32,
}

/// One feed's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Counts the feeds in the order they were told.
    pub feed: u32,
    /// A packed batch: parsed, of at least one record, without log coordinates.
    pub records: Vec<u8>,
}

/// An event that can never become a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedEvent {
    /// Its number in the inbox.
    pub event: u64,
    /// Why.
    pub reason: String,
    /// What is worth keeping of it.
    pub excerpt: Vec<u8>,
}

/// What a `poll` brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Polled {
    /// Feeds that are new or whose schema changed: appended to those known.
    pub feeds: Vec<Feed>,
    /// Packed records.
    pub outputs: Vec<Output>,
    /// Events that can never become records.
    pub rejected: Vec<RejectedEvent>,
    /// Positions that changed: stored in one transaction with the records.
    pub positions: Vec<Position>,
    /// Inbox events up to here are contained in outputs and positions; 0: none.
    pub done_through: u64,
    /// The call's figures; `records` is what the outputs hold.
    pub counts: Counts,
    /// Records known to be at the origin and not given yet; 1 where their number is not known.
    pub behind: u64,
    /// The slots no longer fit the origin.
    pub replan: bool,
    /// This slot will never produce again.
    pub ended: bool,
}

/// A position in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPosition {
    /// The topic's name.
    pub topic: String,
    /// The topic's id: a topic created anew has another.
    pub topic_id: String,
    /// The partition.
    pub partition: i32,
    /// Everything below it is contained.
    pub next_offset: i64,
}

/// Offsets from `first_offset` up to, not including, `next_offset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The topic's name.
    pub topic: String,
    /// The topic's id.
    pub topic_id: String,
    /// The partition.
    pub partition: i32,
    /// The frontier that the span begins at.
    pub first_offset: i64,
    /// Where the next span begins.
    pub next_offset: i64,
}

/// What one target says it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The target, such as a table.
    pub target: String,
    /// Its positions.
    pub positions: Vec<LogPosition>,
}

/// What became of a batch that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// The call's figures.
    pub counts: Counts,
    /// A limit of the sink's own is reached: stage now.
    pub stage_now: bool,
}

/// Durable, not yet visible, of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The target.
    pub target: String,
    /// Version of the bytes.
    pub version: u32,
    /// Known to the plugin only.
    pub bytes: Vec<u8>,
}

/// What a commit made visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Committed {
    /// Rows.
    pub rows: u64,
    /// Files.
    pub files: u32,
    /// Bytes of those files.
    pub bytes: u64,
}

/// An HTTP request of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The response to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}
