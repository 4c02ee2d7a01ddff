//! Why bytes are not a batch.

/// The bytes are refused: they are not what their kind of frame must be. Whoever made them is
/// broken; reading them again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Shorter than its fixed part.
    #[error("cut off: {have} bytes where at least {need} are needed")]
    CutOff {
        /// Bytes there are.
        have: usize,
        /// Bytes that a frame has at least.
        need: usize,
    },
    /// Not a frame of this kind at all.
    #[error("does not begin with {expected:?}: found the bytes {found:02x?}")]
    Magic {
        /// What it must begin with.
        expected: &'static str,
        /// What it begins with.
        found: [u8; 4],
    },
    /// Written by a later version.
    #[error("version {found} is not known, only {known}")]
    Version {
        /// The version it says.
        found: u16,
        /// The version that is read here.
        known: u16,
    },
    /// A flag that is not known, one that needs another, or a field that needs a flag.
    #[error("flags {found:#06x} are unknown or contradict what follows")]
    Flags {
        /// The flags it says.
        found: u16,
    },
    /// More bytes than allowed.
    #[error("{bytes} bytes, where {bytes_max} are allowed")]
    TooLarge {
        /// Bytes there are.
        bytes: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// More records than allowed.
    #[error("{records} records, where {records_max} are allowed")]
    TooMany {
        /// Records there are.
        records: u32,
        /// Records allowed.
        records_max: u32,
    },
    /// The header's figures do not add up to the length.
    #[error("{actual} bytes, where the header adds up to {declared}")]
    Length {
        /// What the header says.
        declared: u64,
        /// Bytes there are.
        actual: usize,
    },
    /// Runs that do not cover the records exactly, or an empty run.
    #[error("the runs cover {covered} records of {records}, or one is empty")]
    Runs {
        /// Records that the runs add up to.
        covered: u64,
        /// Records there are.
        records: u32,
    },
    /// An end before its beginning, or past the arena.
    #[error("the bytes of record {record} end at {end}, outside {from}..={to}")]
    End {
        /// Which record, or event.
        record: u32,
        /// Where it says its bytes end.
        end: u32,
        /// Where they begin.
        from: u32,
        /// Where the arena ends.
        to: u32,
    },
    /// A null key or value that has bytes.
    #[error("record {record} has bytes for a null")]
    NullWithBytes {
        /// Which record.
        record: u32,
    },
    /// Bytes of the arena that belong to no record.
    #[error("{bytes} bytes belong to no record")]
    Unclaimed {
        /// How many.
        bytes: u32,
    },
    /// Log offsets that do not rise, start below zero, or pass the largest there is.
    #[error("the log offset of record {record} is out of order or out of range")]
    Offset {
        /// Which record.
        record: u32,
    },
    /// Headers cut off, or a name that is not UTF-8.
    #[error("the headers of record {record} are cut off or not UTF-8")]
    Headers {
        /// Which record.
        record: u32,
    },
    /// Event numbers that do not rise from at least 1.
    #[error("the number of event {event} does not rise")]
    Number {
        /// Which event.
        event: u32,
    },
    /// A code that stands for nothing.
    #[error("{what} {found} is not known")]
    Unknown {
        /// What the code is of.
        what: &'static str,
        /// The code.
        found: u32,
    },
    /// Text that is not UTF-8.
    #[error("{what} is not UTF-8")]
    NotText {
        /// What the text is of.
        what: &'static str,
    },
}
