//! What the host must do next, after each thing that can go wrong outside.

use jackfield_sdk::Failure;
use jackfield_sdk::sink::{CatalogError, StoreError};

/// A busy store, catalog or registry gets this long before the next call; the host backs off
/// further by itself.
pub(crate) const RETRY_AFTER_MS: u32 = 500;

pub(crate) fn retry(reason: impl Into<String>) -> Failure {
    Failure::Retry {
        after_ms: RETRY_AFTER_MS,
        reason: reason.into(),
    }
}

/// The host wants the call back: nothing is wrong, so there is nothing to wait for.
pub(crate) fn interrupted(during: &str) -> Failure {
    Failure::Retry {
        after_ms: 0,
        reason: format!("{during} was interrupted"),
    }
}

/// Nothing of a call was taken, and a `stage` makes room for it: that is all there is to wait for.
pub(crate) fn stage_first(reason: impl Into<String>) -> Failure {
    Failure::Retry {
        after_ms: 0,
        reason: reason.into(),
    }
}

/// A call to the catalog that changes nothing, or that may be repeated.
pub(crate) fn catalog(during: &str, error: CatalogError) -> Failure {
    match error {
        CatalogError::Denied(why) => {
            Failure::Misconfigured(format!("{during}: the lake is not granted: {why}"))
        }
        CatalogError::Interrupted => interrupted(during),
        CatalogError::Missing
        | CatalogError::Exists
        | CatalogError::Conflict(_)
        | CatalogError::Unknown(_)
        | CatalogError::Transient(_) => retry(format!("{during}: {error}")),
        // Asking again would say the same.
        CatalogError::Other(why) => Failure::Broken(format!("{during}: {why}")),
    }
}

/// A call to the store during which nothing was lost.
pub(crate) fn store(during: &str, error: &StoreError) -> Failure {
    match error {
        StoreError::Denied(why) => {
            Failure::Misconfigured(format!("{during}: the lake is not granted: {why}"))
        }
        StoreError::Interrupted => interrupted(during),
        StoreError::Missing
        | StoreError::TooLarge(_)
        | StoreError::Transient(_)
        | StoreError::Other(_) => retry(format!("{during}: {error}")),
    }
}

/// A call to the store after which rows that were put are gone.
pub(crate) fn store_lossy(during: &str, error: &StoreError) -> Failure {
    match store(during, error) {
        Failure::Retry { reason, .. } => Failure::Rewind(reason),
        other => other,
    }
}
