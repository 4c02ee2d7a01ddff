//! What can go wrong with a lake, named by what the caller must do.

use std::path::PathBuf;

/// A lake can't be opened; a person must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LakeError {
    /// The configuration makes no sense.
    #[error("the lake `{name}` is not usable: {reason}")]
    Invalid {
        /// The lake.
        name: String,
        /// What is wrong, without secrets.
        reason: String,
    },
    /// A folder of the lake can't be made or read.
    #[error("the folder {path} of the lake `{name}` cannot be used: {reason}", path = path.display())]
    Folder {
        /// The lake.
        name: String,
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Outside the grant.
    #[error("denied: {0}")]
    Denied(String),
    /// There is no such object.
    #[error("no such object")]
    Missing,
    /// So many bytes are more than cross at once.
    #[error("{0} bytes are more than cross at once")]
    TooLarge(u64),
    /// Worth trying again.
    #[error("for now: {0}")]
    Transient(String),
    /// The host wants the call back.
    #[error("interrupted")]
    Interrupted,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Why the catalog did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Outside the grant.
    #[error("denied: {0}")]
    Denied(String),
    /// There is no such table.
    #[error("no such table")]
    Missing,
    /// There is one of that name already.
    #[error("the table exists")]
    Exists,
    /// Someone else committed first: load and try again.
    #[error("someone else committed first: {0}")]
    Conflict(String),
    /// It may or may not have happened: load and look.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// Worth trying again; nothing happened.
    #[error("for now: {0}")]
    Transient(String),
    /// The host wants the call back. From a commit: as unknown.
    #[error("interrupted")]
    Interrupted,
    /// Anything else; nothing happened.
    #[error("{0}")]
    Other(String),
}

impl CatalogError {
    /// Whether it is certain that nothing happened, so that what was prepared may be removed.
    pub fn nothing_happened(&self) -> bool {
        match self {
            Self::Denied(_)
            | Self::Missing
            | Self::Exists
            | Self::Conflict(_)
            | Self::Transient(_)
            | Self::Other(_) => true,
            Self::Unknown(_) | Self::Interrupted => false,
        }
    }
}
