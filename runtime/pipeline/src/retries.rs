//! Attempts of one task, counted against the connector's patience.

use crate::clock::{Clock, SeededJitter};
use crate::failures::Failed;
use jackfield_core::{Backoff, Patience, Wait};
use std::time::Duration;

/// How often one task failed since its last progress.
pub(crate) struct Retries {
    backoff: Backoff,
    jitter: SeededJitter,
    clock: Clock,
    failures: u32,
    /// Failures below which it is not given up.
    failures_min: u32,
}

impl Retries {
    pub(crate) fn new(patience: Patience, clock: Clock) -> Self {
        Self {
            backoff: Backoff::new(patience),
            jitter: SeededJitter::from_os(),
            clock,
            failures: 0,
            failures_min: 0,
        }
    }

    /// Gives up only when so many attempts have failed: of what is tried seldom, patience may end
    /// between the first two.
    pub(crate) fn after_failures(mut self, failures_min: u32) -> Self {
        self.failures_min = failures_min;
        self
    }

    /// What these attempts are for was reached: failures are counted anew.
    pub(crate) fn progressed(&mut self) {
        self.backoff.progressed();
        self.failures = 0;
    }

    /// Whether the last attempt failed.
    pub(crate) fn failing(&self) -> bool {
        self.failures > 0
    }

    /// How long to wait before the next attempt.
    ///
    /// # Errors
    /// The failure itself, for good, when there was no progress for too long.
    pub(crate) fn wait(&mut self, failed: &Failed) -> Result<Duration, Failed> {
        self.failures = self.failures.saturating_add(1);
        match self.backoff.failed(self.clock.now(), &mut self.jitter) {
            Wait::For(wait) => Ok(wait.max(failed.not_before)),
            Wait::GiveUp if self.failures < self.failures_min => Ok(failed.not_before),
            Wait::GiveUp => Err(Failed::for_good(
                failed.what,
                format!(
                    "{} (gave up after {} attempts without progress)",
                    failed.reason, self.failures
                ),
            )),
        }
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

    fn failed() -> Failed {
        Failed::new("stage", Consequence::Retry, "the store is away")
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_tried_seldom_is_tried_often_enough() {
        let mut retries = Retries::new(PATIENCE, Clock::start()).after_failures(3);
        for _ in 0..2 {
            assert!(retries.wait(&failed()).is_ok());
            tokio::time::advance(LONGER).await;
        }
        let given_up = retries.wait(&failed()).unwrap_err();
        assert_eq!(given_up.consequence, Consequence::Fail);
        assert!(given_up.reason.contains("after 3 attempts"), "{given_up}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_tried_often_is_given_up_with_patience() {
        let mut retries = Retries::new(PATIENCE, Clock::start()).after_failures(3);
        for _ in 0..4 {
            assert!(retries.wait(&failed()).is_ok());
        }
        tokio::time::advance(LONGER).await;
        assert!(retries.wait(&failed()).is_err());
        retries.progressed();
        assert!(!retries.failing());
        assert!(retries.wait(&failed()).is_ok(), "counted anew");
    }
}
