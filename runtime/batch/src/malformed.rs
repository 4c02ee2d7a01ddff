//! Why bytes are not a batch.

/// Bytes that are refused as a batch, as events, or as an event's body. Nothing of them was used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end before what they announce.
    #[error("truncated: {what} ends past the {bytes} bytes there are")]
    Truncated {
        /// The part that is missing.
        what: &'static str,
        /// Bytes given.
        bytes: usize,
    },
    /// The bytes do not begin with the magic.
    #[error("not packed by Jackfield: the magic is missing")]
    Magic,
    /// A version that this build does not read.
    #[error("format version {0} is not known: this build reads version 1")]
    Version(u16),
    /// Flags that this build does not know.
    #[error("flags {0:#06x} are not known")]
    Flags(u16),
    /// More records than allowed.
    #[error("{count} records, at most {max} are allowed")]
    TooManyRecords {
        /// Records announced.
        count: u32,
        /// The limit.
        max: u32,
    },
    /// More bytes than allowed.
    #[error("{bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// Bytes given.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Bytes after the end of what is announced.
    #[error("{0} bytes after the end")]
    Trailing(usize),
    /// Parts that contradict each other.
    #[error("inconsistent: {0}")]
    Inconsistent(&'static str),
}
