//! One record, borrowed from wherever it lies.

use crate::Headers;

/// Under which ids the registry keeps the schemas of a record; 0 stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchemaIds {
    /// The value's.
    pub value: u32,
    /// The key's.
    pub key: u32,
}

/// A record to be written, or one read from a batch. Null is not empty: `None` is not `Some(&[])`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record<'a> {
    /// When the host received it, ms since the epoch.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; null is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The schemas of both.
    pub schemas: SchemaIds,
    /// What stands beside them.
    pub headers: Headers<'a>,
}
