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
}

impl Retries {
    pub(crate) fn new(patience: Patience, clock: Clock) -> Self {
        Self {
            backoff: Backoff::new(patience),
            jitter: SeededJitter::from_os(),
            clock,
        }
    }

    /// Something became durable: failures are counted anew.
    pub(crate) fn progressed(&mut self) {
        self.backoff.progressed();
    }

    /// How long to wait before the next attempt.
    ///
    /// # Errors
    /// The failure itself, for good, when there was no progress for too long.
    pub(crate) fn wait(&mut self, failed: &Failed) -> Result<Duration, Failed> {
        match self.backoff.failed(self.clock.now(), &mut self.jitter) {
            Wait::For(wait) => Ok(wait.max(failed.not_before)),
            Wait::GiveUp => Err(Failed::for_good(
                failed.what,
                format!(
                    "{} (gave up after {} attempts without progress)",
                    failed.reason,
                    self.backoff.attempts()
                ),
            )),
        }
    }
}
