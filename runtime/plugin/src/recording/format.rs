//! The sections that are JSON.

use super::mask::Secrets;
use crate::shadow::Item;
use crate::types::{Delivery, Position, Saved, Slot, Span};
use crate::websocket::{Connection, ConnectionState};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The file's first bytes.
pub(super) const MAGIC: [u8; 4] = *b"JFRC";
/// The version that is written and read.
pub(super) const VERSION: u16 = 1;
/// Kind, slot and length.
pub(super) const SECTION_HEADER_BYTES: usize = 7;

/// The kinds of sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Opening = 1,
    Slot = 2,
    Events = 3,
    Call = 4,
    End = 5,
    Schema = 6,
    Batch = 7,
    Staged = 8,
    Quiet = 9,
}

impl Kind {
    pub(super) fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Opening,
            2 => Self::Slot,
            3 => Self::Events,
            4 => Self::Call,
            5 => Self::End,
            6 => Self::Schema,
            7 => Self::Batch,
            8 => Self::Staged,
            9 => Self::Quiet,
            _ => return None,
        })
    }
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Opening {
    /// The connector.
    pub connector: String,
    /// `source` or `sink`.
    pub kind: String,
    /// The component's name.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file, in hex.
    pub sha256: String,
    /// The settings as JSON, without what can be told to be secret.
    pub settings: serde_json::Value,
    /// Whether anything was masked there or in a slot's settings, so that a replay needs settings of
    /// its own.
    pub masked: bool,
    /// Whether the pipeline asks for exactly-once.
    pub exactly_once: bool,
    /// Slots of a source, or tasks of a sink.
    pub slots: u32,
    /// When it began, ms since the epoch.
    pub began_ms: i64,
}

impl Opening {
    /// What the pipeline asks for.
    pub fn delivery(&self) -> Delivery {
        if self.exactly_once {
            Delivery::ExactlyOnce
        } else {
            Delivery::AtLeastOnce
        }
    }
}

/// Where a source's slot stood when the recording began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SlotOpening {
    id: String,
    settings: String,
    /// Events up to here were contained in the positions.
    pub contained: u64,
    positions: Vec<StoredPosition>,
    saved: Option<StoredBytes>,
    connections: Vec<StoredConnection>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredPosition {
    partition: String,
    offset: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredBytes {
    version: u32,
    base64: String,
}

impl StoredBytes {
    fn of(saved: &Saved) -> Self {
        Self {
            version: saved.version,
            base64: STANDARD.encode(&saved.bytes),
        }
    }

    /// What can't be read is as good as none: it is only a cache.
    fn saved(&self) -> Option<Saved> {
        let bytes = STANDARD.decode(&self.base64).ok()?;
        Some(Saved {
            version: self.version,
            bytes,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StoredConnection {
    id: u64,
    name: String,
    url: String,
    state: String,
    age_ms: u64,
    note: Option<StoredBytes>,
}

impl SlotOpening {
    /// A slot whose running version has taken the events up to `contained`, without the secrets of
    /// the connector's settings.
    pub fn new(
        slot: &Slot,
        contained: u64,
        positions: &[Position],
        saved: Option<&Saved>,
        connections: &[Connection],
        secrets: &mut Secrets,
    ) -> Self {
        let position = |it: &Position| StoredPosition {
            partition: it.partition.clone(),
            offset: it.offset.clone(),
        };
        let connection = |it: &Connection| StoredConnection {
            id: it.id,
            name: it.name.clone(),
            url: it.url.clone(),
            state: match it.state {
                ConnectionState::Opening => "opening",
                ConnectionState::Live => "live",
                ConnectionState::Closed => "closed",
            }
            .to_owned(),
            age_ms: u64::try_from(it.age.as_millis()).unwrap_or(u64::MAX),
            note: it.note.as_ref().map(StoredBytes::of),
        };
        Self {
            id: slot.id.clone(),
            settings: secrets.slot(&slot.settings),
            contained,
            positions: positions.iter().map(position).collect(),
            saved: saved.map(StoredBytes::of),
            connections: connections.iter().map(connection).collect(),
        }
    }

    /// The share of the work.
    pub fn slot(&self) -> Slot {
        Slot {
            id: self.id.clone(),
            settings: self.settings.clone(),
        }
    }

    /// Where the source stood.
    pub fn positions(&self) -> Vec<Position> {
        let positions = self.positions.iter();
        let position = |it: &StoredPosition| Position {
            partition: it.partition.clone(),
            offset: it.offset.clone(),
        };
        positions.map(position).collect()
    }

    /// What the running version had saved.
    pub fn saved(&self) -> Option<Saved> {
        self.saved.as_ref().and_then(StoredBytes::saved)
    }

    /// The connections that it had.
    pub fn connections(&self) -> Vec<Connection> {
        let connection = |it: &StoredConnection| Connection {
            id: it.id,
            name: it.name.clone(),
            url: it.url.clone(),
            state: match it.state.as_str() {
                "opening" => ConnectionState::Opening,
                "live" => ConnectionState::Live,
                _ => ConnectionState::Closed,
            },
            age: Duration::from_millis(it.age_ms),
            note: it.note.as_ref().and_then(StoredBytes::saved),
        };
        self.connections.iter().map(connection).collect()
    }
}

/// What the running version asked of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "call")]
pub enum Call {
    /// A connection.
    Open {
        /// Its id.
        id: u64,
        /// Its name.
        name: String,
        /// Its URL.
        url: String,
    },
    /// A message.
    Send {
        /// The connection.
        id: u64,
        /// The message.
        text: String,
    },
    /// The end of a connection.
    Close {
        /// The connection.
        id: u64,
    },
    /// A request.
    Request {
        /// Its id.
        id: u64,
        /// Method, URL, and a digest of headers and body.
        request: String,
    },
}

impl From<Call> for Item {
    fn from(call: Call) -> Self {
        match call {
            Call::Open { id, name, url } => Self::Opened { id, name, url },
            Call::Send { id, text } => Self::Sent { id, text },
            Call::Close { id } => Self::Closed { id },
            Call::Request { id, request } => Self::Asked { id, request },
        }
    }
}

/// A schema that batches of a sink carry the id of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSchema {
    /// The id.
    pub id: u32,
    /// `avro`, `json` or `none`.
    pub kind: String,
    /// The schema.
    pub text: String,
}

/// Where a batch of a sink lies in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecordedSpan {
    /// The topic's name.
    pub topic: String,
    /// The topic's id.
    pub topic_id: String,
    /// The partition.
    pub partition: i32,
    /// Where it begins.
    pub first_offset: i64,
    /// Where the next one begins.
    pub next_offset: i64,
}

impl From<&Span> for RecordedSpan {
    fn from(span: &Span) -> Self {
        Self {
            topic: span.topic.clone(),
            topic_id: span.topic_id.clone(),
            partition: span.partition,
            first_offset: span.first_offset,
            next_offset: span.next_offset,
        }
    }
}

impl From<RecordedSpan> for Span {
    fn from(span: RecordedSpan) -> Self {
        Self {
            topic: span.topic,
            topic_id: span.topic_id,
            partition: span.partition,
            first_offset: span.first_offset,
            next_offset: span.next_offset,
        }
    }
}

/// Why a recording ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) reason: String,
}
