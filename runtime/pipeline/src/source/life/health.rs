//! How a life gets on: whether its polls succeed, and whether what they bring becomes durable.

use crate::clock::Clock;
use crate::failures::Failed;
use crate::retries::Retries;
use jackfield_core::Patience;
use std::time::Duration;
use tokio::time::Instant;

/// A life that was well for so long was healthy, also where there was nothing to make durable.
const HEALTHY_AFTER: Duration = Duration::from_secs(120);

/// Polls have a count of their own. The slot's is of lives, and must not begin anew with a poll: a
/// log that is down lets every life poll.
pub(crate) struct Health {
    polls: Retries,
    born: Instant,
    /// When its last poll had succeeded and nothing was on its way to the log.
    well_at: Instant,
    /// Something became durable in this life.
    progressed: bool,
}

impl Health {
    /// Of a life that begins to poll now.
    pub(super) fn new(patience: Patience, clock: Clock) -> Self {
        let now = Instant::now();
        Self {
            polls: Retries::new(patience, clock),
            born: now,
            well_at: now,
            progressed: false,
        }
    }

    /// A poll succeeded, whatever it brought.
    pub(super) fn polled(&mut self) {
        self.polls.progressed();
    }

    /// A poll asked to be made again: how long to wait.
    ///
    /// # Errors
    /// None has succeeded for too long.
    pub(super) fn poll_failed(&mut self, failed: &Failed) -> Result<Duration, Failed> {
        self.polls.wait(failed)
    }

    /// An append became durable.
    pub(super) fn appended(&mut self) {
        self.progressed = true;
    }

    /// So many polls are not settled now.
    pub(super) fn look(&mut self, in_flight: usize) {
        if in_flight == 0 && !self.polls.failing() {
            self.well_at = Instant::now();
        }
    }

    /// Whether the failure that ends this life is counted as a first one.
    pub(crate) fn was_healthy(&self) -> bool {
        self.progressed || self.well_at - self.born >= HEALTHY_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_core::Consequence;

    const PATIENCE: Patience = Patience {
        deadline: Duration::from_secs(300),
    };
    const LONGER: Duration = Duration::from_secs(301);

    fn health() -> Health {
        Health::new(PATIENCE, Clock::start())
    }

    fn failed() -> Failed {
        Failed::new("poll", Consequence::Retry, "the origin is away")
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_works_again_is_forgiven_the_failures_before() {
        let mut health = health();
        assert!(health.poll_failed(&failed()).is_ok());
        health.polled();
        tokio::time::advance(LONGER).await;
        assert!(health.poll_failed(&failed()).is_ok());
        tokio::time::advance(LONGER).await;
        let given_up = health.poll_failed(&failed()).unwrap_err();
        assert_eq!(given_up.consequence, Consequence::Fail);
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_is_healthy_for_what_became_durable() {
        let mut health = health();
        health.polled();
        health.look(1);
        assert!(!health.was_healthy());
        health.appended();
        assert!(health.was_healthy());
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_with_nothing_to_do_is_healthy_after_a_while() {
        let mut health = health();
        tokio::time::advance(HEALTHY_AFTER).await;
        assert!(!health.was_healthy(), "nobody knows yet");
        health.polled();
        health.look(0);
        assert!(health.was_healthy());
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_that_only_waits_for_the_log_or_the_origin_is_not_healthy() {
        let mut health = health();
        health.polled();
        tokio::time::advance(LONGER).await;
        health.look(1);
        assert!(!health.was_healthy(), "its append never came back");
        assert!(health.poll_failed(&failed()).is_ok());
        health.look(0);
        assert!(!health.was_healthy(), "its polls fail");
    }
}
