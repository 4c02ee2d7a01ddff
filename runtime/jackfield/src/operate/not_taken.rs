//! Why a version is not taken.

use crate::check::granted::Named;
use jackfield_pipeline::Refused;

/// What runs was not touched, or runs on as if it had not been.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("{0}")]
    Refused(#[from] Refused),
    /// Its settings name URLs that the running one's do not, and nothing grants them.
    #[error("{}", .0.iter().map(reaches).collect::<Vec<_>>().join("; "))]
    Reaches(Vec<Named>),
}

impl NotTaken {
    /// A word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.code(),
            // As for a capability that is not granted: the mend is the same.
            Self::Reaches(_) => "grant",
        }
    }
}

/// What is said of one of them.
pub(crate) fn reaches(named: &Named) -> String {
    format!(
        "its settings name {}, which nothing grants: add it to `allow.{}`",
        named.shown(),
        named.key()
    )
}
