//! What a sink is told, and what it answers.

use crate::Counts;

/// Where a connector stands in one partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogPosition {
    /// The topic's name.
    pub topic: String,
    /// Differs when the topic was deleted and created again under its name.
    pub topic_id: String,
    /// The partition.
    pub partition: i32,
    /// The next offset to be taken.
    pub next_offset: i64,
}

/// Offsets of one partition from `first_offset` up to, not including, `next_offset`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The topic's name.
    pub topic: String,
    /// Differs when the topic was deleted and created again under its name.
    pub topic_id: String,
    /// The partition.
    pub partition: i32,
    /// The frontier before: what is stored, or the last span's end.
    pub first_offset: i64,
    /// The frontier after: past skipped, dead-lettered and compacted offsets too.
    pub next_offset: i64,
}

/// What one target itself says it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The target, such as a table's name.
    pub target: String,
    /// Of every partition that this connector ever committed to it.
    pub positions: Vec<LogPosition>,
}

/// A batch was taken, whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// What was in it.
    pub counts: Counts,
    /// A limit of the sink's own is reached: `stage` soon.
    pub stage_now: bool,
}

/// Durable and not yet visible, of one target. Self-contained: any instance can commit it, also
/// one of the next version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The target it belongs to.
    pub target: String,
    /// The version of `bytes`, within the description's `staged_version_min ..= staged_version`.
    pub version: u32,
    /// The sink's own encoding.
    pub bytes: Vec<u8>,
}

/// What a commit made visible.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Rows.
    pub rows: u64,
    /// Files, or whatever the target is made of.
    pub files: u32,
    /// Their size.
    pub bytes: u64,
}
