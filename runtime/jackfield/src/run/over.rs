//! The end of a task that was told to end.

use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Waits for its end, but only until then: what goes on is cut off.
pub(super) async fn over(task: &'static str, mut handle: JoinHandle<()>, until: Instant) {
    match tokio::time::timeout_at(until, &mut handle).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(task, %error, "has broken: it did not go on to the end"),
        Err(_elapsed) => {
            handle.abort();
            tracing::warn!(task, "cut off: it did not end in time");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn what_ends_in_time_is_waited_for_and_no_longer() {
        let begun = Instant::now();
        let ends = tokio::spawn(tokio::time::sleep(LIMIT / 2));
        over("ends", ends, begun + LIMIT).await;
        assert!(begun.elapsed() >= LIMIT / 2, "it was waited for");
        assert!(begun.elapsed() < LIMIT, "and no longer");
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_is_cut_off() {
        let begun = Instant::now();
        let (held, dropped) = oneshot::channel::<()>();
        let stuck = tokio::spawn(async move {
            let _held = held;
            std::future::pending().await
        });
        over("stuck", stuck, begun + LIMIT).await;
        assert!(begun.elapsed() >= LIMIT);
        let gone = tokio::time::timeout(LIMIT, dropped).await;
        assert!(gone.unwrap().is_err(), "its task is no more");
    }
}
