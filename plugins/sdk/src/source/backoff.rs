//! How long to wait before trying something at the origin again.

use std::time::Duration;

use super::Host;

/// Exponential waits with jitter, which never give up: a source that stops trying only looks alive.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waits that begin at about `first` and double up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            attempts: 0,
        }
    }

    /// The wait after one more failure: between a half and the whole of what is due, so that those
    /// who failed together do not come back together.
    pub fn next(&mut self, host: &Host) -> Duration {
        let factor = 1u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        self.attempts = self.attempts.saturating_add(1);
        let due = self.first.saturating_mul(factor).min(self.longest);
        due.mul_f64(0.5 + 0.5 * host.fraction())
    }

    /// It worked: the next failure starts from the first wait.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Failures since it last worked.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}
