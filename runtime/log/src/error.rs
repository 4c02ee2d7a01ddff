//! Failures of a log, named by what the caller must do.

use thiserror::Error;

/// Why the log did not do what was asked.
///
/// Each text says what happened and to what, so that it can be shown to a person as it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogError {
    /// Nothing was taken, and the same may succeed later: a full disk, a broker that is away.
    ///
    /// From a [`Pending`](crate::Pending) it also means that the writer has ended: open another,
    /// which then begins at what is [stored](crate::Log::stored).
    #[error("{0}")]
    Retriable(String),
    /// Nothing was taken: this writer or member was replaced by a newer one, or an earlier append
    /// of the same writer failed. Open another and read back what is stored.
    #[error("{0}")]
    Fenced(String),
    /// Nothing was taken, and the same will be refused for ever: the request is wrong.
    #[error("{0}")]
    Rejected(String),
    /// It may or may not have landed. Open another writer and read back what is stored.
    #[error("{0}")]
    Unknown(String),
    /// The log can't be used any more by this process: a person must act.
    #[error("{0}")]
    Fatal(String),
}
