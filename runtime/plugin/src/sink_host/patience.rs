//! How long the store and the catalog may keep a call of the component waiting.
//!
//! A component that is told that its store does not answer names the table that it was for, and
//! the others go on. One that is still waiting at its call's deadline is discarded, and all of its
//! tables are read again.

use crate::lake::{CatalogError, STORE_SILENCE_MAX, StoreError};
use crate::limits::USUAL;
use std::time::Duration;
use tokio::time::Instant;

/// Percent of a call's time that one request may take, with all that is tried again.
/// The rest is for the other tables of the same call: 20 s of the 30 s that a `put` has, in which
/// a store that is silent at first gets a second try.
const REQUEST_PERCENT_MAX: u32 = 66;
/// Percent that all requests may take together: what is left is for saying so.
const REQUESTS_PERCENT_MAX: u32 = 90;
const _: () = assert!(REQUEST_PERCENT_MAX < REQUESTS_PERCENT_MAX && REQUESTS_PERCENT_MAX < 100);
const _: () =
    assert!(STORE_SILENCE_MAX.as_secs() * 100 < USUAL.as_secs() * REQUEST_PERCENT_MAX as u64);

/// The bounds in one call; none outside of calls.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Patience(Option<Bounds>);

#[derive(Debug, Clone, Copy)]
struct Bounds {
    request_max: Duration,
    until: Instant,
}

impl Patience {
    /// Of a call that begins now and may take so long.
    pub(crate) fn of_call(after: Duration) -> Self {
        let percent = |share: u32| after * share / 100;
        Self(Some(Bounds {
            request_max: percent(REQUEST_PERCENT_MAX),
            until: Instant::now() + percent(REQUESTS_PERCENT_MAX),
        }))
    }

    /// What the store does, unless it takes too long.
    pub(super) async fn with<T>(
        self,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.bound(request).await.unwrap_or_else(|after| {
            let why = format!("the store did not do it within {after:?}");
            Err(StoreError::Transient(why))
        })
    }

    /// What the catalog does, likewise. `late` names what that means.
    pub(super) async fn with_catalog<T>(
        self,
        late: fn(String) -> CatalogError,
        request: impl Future<Output = Result<T, CatalogError>>,
    ) -> Result<T, CatalogError> {
        self.bound(request).await.unwrap_or_else(|after| {
            let why = format!("the catalog did not do it within {after:?}");
            Err(late(why))
        })
    }

    /// What comes of a request, or the time that it took too long for.
    async fn bound<T>(self, request: impl Future<Output = T>) -> Result<T, Duration> {
        let Some(bounds) = self.0 else {
            return Ok(request.await);
        };
        let left = bounds.until.saturating_duration_since(Instant::now());
        let after = left.min(bounds.request_max);
        let done = tokio::time::timeout(after, request).await;
        done.map_err(|_| after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn one_silent_request_leaves_time_for_others_and_all_leave_some_for_the_answer() {
        let (began, patience) = (Instant::now(), Patience::of_call(USUAL));
        let silent = || patience.with(pending::<Result<(), StoreError>>());
        let is_left = |told| matches!(told, Err(StoreError::Transient(_)));
        assert!(is_left(silent().await));
        let first = began.elapsed();
        assert!(first > STORE_SILENCE_MAX && first < USUAL, "{first:?}");
        let answers = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(1)
        };
        assert_eq!(patience.with(answers).await, Ok(1));
        for _ in 0..100 {
            assert!(is_left(silent().await));
        }
        let all = began.elapsed();
        assert!(all < USUAL, "{all:?}");
    }
}
