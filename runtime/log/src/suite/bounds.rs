//! Every wait has an end.

use super::Fixture;
use crate::{Appended, LogError, Pending};
use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Longest wait for one thing. A consumer group of a real broker takes seconds to share partitions
/// out anew, and some tens of them on a machine that is busy with other tests.
const WAIT_MAX: Duration = Duration::from_secs(180);
/// Longest that one promise may take: the longest of them wait for a broker's group a dozen times.
const PROMISE_MAX: Duration = Duration::from_secs(300);

/// Shows one promise, or says why it can't be shown with this fixture.
///
/// # Panics
/// The promise is broken, or takes more than five minutes.
pub async fn show(fixture: &dyn Fixture, promise: &str, shown: impl Future<Output = ()>) {
    if let Some(why) = fixture.lacks(promise) {
        println!("{promise} is not shown: {why}");
        return;
    }
    if tokio::time::timeout(PROMISE_MAX, shown).await.is_err() {
        panic!("not shown within {PROMISE_MAX:?}: {promise}");
    }
}

/// Waits for something that must come.
pub(crate) async fn within<T>(what: &str, coming: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT_MAX, coming).await {
        Ok(it) => it,
        Err(_) => panic!("not within {WAIT_MAX:?}: {what}"),
    }
}

/// Looks at something once, without waiting for it.
pub(crate) async fn look<T>(coming: impl Future<Output = T>) -> Option<T> {
    let mut coming = pin!(coming);
    std::future::poll_fn(|context| match coming.as_mut().poll(context) {
        Poll::Ready(it) => Poll::Ready(Some(it)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The outcome of an append, which must be known by now.
pub(crate) async fn known(pending: Pending) -> Result<Appended, LogError> {
    // Apart from tokio's budget: a task that has used it up is told "not yet" of everything.
    match look(tokio::task::unconstrained(pending)).await {
        Some(outcome) => outcome,
        None => panic!("the outcome of an append is not known yet"),
    }
}
