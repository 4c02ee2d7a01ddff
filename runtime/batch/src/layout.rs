//! Where what lies in a packed batch, and how large it may be.

/// Most records of a batch: beyond about a thousand a crossing costs nothing any more.
pub const RECORDS_MAX: u32 = 1000;
/// Most bytes of a packed batch: what stays in the processor's cache while it is worked on.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

pub(crate) const MAGIC: [u8; 4] = *b"JFRB";
pub(crate) const VERSION: u16 = 1;
pub(crate) const HEADER_BYTES: usize = 32;
pub(crate) const RUN_BYTES: usize = 12;

pub(crate) const FLAG_HEADERS: u16 = 1;
pub(crate) const FLAG_COORDINATES: u16 = 2;
pub(crate) const FLAG_GAPS: u16 = 4;
pub(crate) const FLAGS_KNOWN: u16 = FLAG_HEADERS | FLAG_COORDINATES | FLAG_GAPS;

/// Marks a key or value as null in the column of its ends.
pub(crate) const NULL_BIT: u32 = 1 << 31;

pub(crate) const AT_VERSION: usize = 4;
pub(crate) const AT_FLAGS: usize = 6;
pub(crate) const AT_COUNT: usize = 8;
pub(crate) const AT_RUNS: usize = 12;
pub(crate) const AT_BODY: usize = 16;
pub(crate) const AT_HEADERS: usize = 20;
pub(crate) const AT_FIRST_OFFSET: usize = 24;

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Records.
    pub records_max: u32,
    /// Bytes of the packed batch.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records_max: RECORDS_MAX,
            bytes_max: BATCH_BYTES_MAX,
        }
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..at.checked_add(2)?)?
        .try_into()
        .ok()
        .map(u16::from_le_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at.checked_add(4)?)?
        .try_into()
        .ok()
        .map(u32::from_le_bytes)
}

pub(crate) fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    bytes
        .get(at..at.checked_add(8)?)?
        .try_into()
        .ok()
        .map(i64::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..at.checked_add(8)?)?
        .try_into()
        .ok()
        .map(u64::from_le_bytes)
}

/// Entry `i` of a column of `u32`; the column was sized when the batch was parsed.
pub(crate) fn u32_of(column: &[u8], i: usize) -> u32 {
    u32_at(column, i * 4).expect("columns are sized to the number of records in parse")
}

/// Entry `i` of a column of `i64`; the column was sized when the batch was parsed.
pub(crate) fn i64_of(column: &[u8], i: usize) -> i64 {
    i64_at(column, i * 8).expect("columns are sized to the number of records in parse")
}
