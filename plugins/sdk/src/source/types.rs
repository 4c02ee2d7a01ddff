//! What a source is told, and what it answers.

use serde::Serialize;

use crate::avro::AvroRecord;
use crate::{Context, Counts, Failure, Saved, Schema};

/// Where the source stands in one part of its input. Both are JSON objects: people read and edit
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Which part, such as `{"symbol":"BTCUSDT"}`.
    pub partition: String,
    /// Where in it; none deletes what is stored.
    pub offset: Option<String>,
}

impl Position {
    /// A position of two structs that serialise to JSON objects.
    ///
    /// # Errors
    /// One of them is no JSON object: a bug of the connector.
    pub fn new(partition: &impl Serialize, offset: &impl Serialize) -> Result<Self, Failure> {
        Ok(Self {
            partition: object(partition)?,
            offset: Some(object(offset)?),
        })
    }
}

/// JSON text with sorted keys, so that the same part always has the same name.
fn object(value: &impl Serialize) -> Result<String, Failure> {
    let value = serde_json::to_value(value)
        .map_err(|error| Failure::Broken(format!("a position can't be written: {error}")))?;
    let serde_json::Value::Object(fields) = value else {
        return Err(Failure::Broken(format!(
            "a position must be a JSON object, not {value}"
        )));
    };
    let sorted: std::collections::BTreeMap<_, _> = fields.into_iter().collect();
    serde_json::to_string(&sorted)
        .map_err(|error| Failure::Broken(format!("a position can't be written: {error}")))
}

/// One independent share of the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Stable over restarts.
    pub id: String,
    /// What `open` needs to know about the share: JSON, of the connector's own making.
    pub settings: String,
}

impl Slot {
    /// The slot of a source that can't be divided.
    pub fn only() -> Self {
        Self {
            id: "0".to_owned(),
            settings: "{}".to_owned(),
        }
    }
}

/// What a source produces under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// The name, which the pipeline maps to a topic.
    pub name: String,
    /// The schema of the values, now.
    pub value: Schema,
    /// The schema of the keys; none: UTF-8 strings, or no keys.
    pub key: Option<Schema>,
}

impl Feed {
    /// A feed of `R`s with string keys.
    pub fn avro<R: AvroRecord>(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: Schema::avro(R::SCHEMA),
            key: None,
        }
    }
}

/// What bounds one poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollLimits {
    /// Bytes of one batch.
    pub batch_bytes_max: u32,
    /// Records of one batch.
    pub batch_records_max: u32,
    /// Longest time to wait for an event.
    pub wait_ms: u32,
}

/// One feed's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Counts the feeds in the order they were told.
    pub feed: u32,
    /// A packed batch.
    pub records: Vec<u8>,
}

/// An event that can never become a record. The pipeline's `on-bad-record` decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedEvent {
    /// The event's number.
    pub event: u64,
    /// Why.
    pub reason: String,
    /// The bytes in question, or their beginning.
    pub excerpt: Vec<u8>,
}

/// What a poll gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Polled {
    /// New feeds, and feeds whose schema changed: appended to those known.
    pub feeds: Vec<Feed>,
    /// At most one batch a feed.
    pub outputs: Vec<Output>,
    /// Events that can never become a record.
    pub rejected: Vec<RejectedEvent>,
    /// Those that changed: stored in one transaction with the records.
    pub positions: Vec<Position>,
    /// Inbox events up to here are contained in outputs and positions; 0: none.
    pub done_through: u64,
    /// Figures.
    pub counts: Counts,
    /// Records known to be at the origin and not given yet, such as those that a request budget
    /// holds back; 1 where their number is not known. The slot is not idle while there are any.
    pub behind: u64,
    /// The slots no longer fit the origin: `plan` must be called again.
    pub replan: bool,
    /// This slot will never produce again.
    pub ended: bool,
}

/// All that `open` is given beside the host.
#[derive(Debug, Clone)]
pub struct Opening<S> {
    /// Who this instance is.
    pub context: Context,
    /// What a person wrote.
    pub settings: S,
    /// The share to work on.
    pub slot: Slot,
    /// All that this connector ever stored, of every slot.
    pub positions: Vec<Position>,
    /// A cache of the version before, if there was one and it can be read.
    pub state: Option<Saved>,
}
