//! How large a batch may be.

/// Most records of a batch. The crossing costs next to nothing per record from about 100 on, and
/// a batch is what a swap, a retry and a transaction work in units of: it should stay short.
pub const RECORDS_MAX: u32 = 1000;

/// Most bytes of a batch, not counting the gaps between log offsets: those come in when records
/// are taken out, and a part of a batch must fit wherever the whole did.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// The sizes that a writer keeps to and a reader insists on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most records.
    pub records_max: u32,
    /// Most bytes, not counting gaps.
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
