//! How long to wait before trying again, and when to stop trying.

use std::time::Duration;

/// The port for randomness: a number in `0.0..1.0`.
pub trait Jitter {
    /// The next number in `0.0..1.0`.
    fn fraction(&mut self) -> f64;
}

/// First wait: long enough not to spin, short enough that a single trap is barely seen.
const FIRST: Duration = Duration::from_millis(100);
/// Longest wait: an outage that ends is noticed within it.
const LONGEST: Duration = Duration::from_secs(30);

/// How long a connector may go without progress before it is FAILED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Time since the last progress after which no further attempt is made.
    pub deadline: Duration,
}

/// What [`Backoff::failed`] decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Try again after this long.
    For(Duration),
    /// There was no progress for as long as [`Patience`] allows.
    GiveUp,
}

/// Exponential waits with full jitter, reset by progress.
///
/// Full jitter (a wait anywhere in `0..=ceiling`, but at least a quarter of it) keeps many
/// connectors that failed together from coming back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    patience: Patience,
    attempts: u32,
    failing_since: Option<Duration>,
}

impl Backoff {
    /// A backoff that has not failed yet.
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            attempts: 0,
            failing_since: None,
        }
    }

    /// Something durable happened: the next failure starts from the first wait again.
    pub fn progressed(&mut self) {
        self.attempts = 0;
        self.failing_since = None;
    }

    /// Failures since the last progress.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// An attempt failed at `now` (monotonic, from any fixed start).
    pub fn failed(&mut self, now: Duration, jitter: &mut dyn Jitter) -> Wait {
        let since = *self.failing_since.get_or_insert(now);
        if now.saturating_sub(since) >= self.patience.deadline {
            return Wait::GiveUp;
        }
        let ceiling = FIRST
            .saturating_mul(1u32.checked_shl(self.attempts).unwrap_or(u32::MAX))
            .min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        Wait::For(ceiling.mul_f64(0.25 + 0.75 * jitter.fraction().clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(f64);
    impl Jitter for Fixed {
        fn fraction(&mut self) -> f64 {
            self.0
        }
    }

    fn minutes(n: u64) -> Patience {
        Patience {
            deadline: Duration::from_secs(60 * n),
        }
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        let mut backoff = Backoff::new(minutes(60));
        let mut last = Duration::ZERO;
        for attempt in 0..80 {
            let Wait::For(wait) = backoff.failed(Duration::ZERO, &mut Fixed(1.0)) else {
                panic!("gave up at attempt {attempt}")
            };
            assert!(wait >= last && wait <= LONGEST);
            last = wait;
        }
        assert_eq!(last, LONGEST);
    }

    #[test]
    fn gives_up_only_after_the_deadline_without_progress() {
        let mut backoff = Backoff::new(minutes(5));
        assert!(matches!(
            backoff.failed(Duration::ZERO, &mut Fixed(0.0)),
            Wait::For(_)
        ));
        assert!(matches!(
            backoff.failed(Duration::from_secs(299), &mut Fixed(0.0)),
            Wait::For(_)
        ));
        backoff.progressed();
        assert!(matches!(
            backoff.failed(Duration::from_secs(300), &mut Fixed(0.0)),
            Wait::For(_)
        ));
        assert_eq!(
            backoff.failed(Duration::from_secs(600), &mut Fixed(0.0)),
            Wait::GiveUp
        );
    }
}
