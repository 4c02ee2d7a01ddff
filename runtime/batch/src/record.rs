//! One record.

use crate::headers::Headers;

/// Ids of a record's schemas in the registry; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct SchemaIds {
    /// Of the value.
    pub value: u32,
    /// Of the key.
    pub key: u32,
}

/// A view of one record. Null is not empty.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// When the host received it, ms since the epoch.
    pub timestamp_ms: i64,
    /// The key, which decides the partition.
    pub key: Option<&'a [u8]>,
    /// The value; null is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Schemas of value and key.
    pub schemas: SchemaIds,
    /// Names and values beside the record.
    pub headers: Headers<'a>,
}
