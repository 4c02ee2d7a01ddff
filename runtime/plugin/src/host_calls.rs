//! How often an instance may call the host: whoever calls more often is held back.
//!
//! A call costs the host as much as it costs the component, or more: the threads, the database and
//! the bucket that calls use are shared with the neighbours.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Calls of an instance a second, in the long run: a source that fills a batch a poll makes some
/// thousands.
pub(crate) const CALLS_PER_SECOND: u32 = 50_000;
/// Calls at once, such as while a sink closes some thousand files.
pub(crate) const CALLS_BURST: u32 = 100_000;
/// What a call counts that goes out of the process, or to a disk: store, catalog, registry and
/// HTTP. So there are 5,000 of them a second, and 10,000 at once.
pub(crate) const OUTSIDE_CALLS: u64 = 10;

/// The calls of one instance. Counting never waits: the debt is paid where the component computes
/// on, at the next tick of the engine's clock.
#[derive(Debug)]
pub(crate) struct HostCalls {
    made: AtomicU64,
    left: f64,
    at: Instant,
}

impl HostCalls {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            made: AtomicU64::new(0),
            left: f64::from(CALLS_BURST),
            at: now,
        }
    }

    /// A call that counts as so many.
    pub(crate) fn count(&self, calls: u64) {
        self.made.fetch_add(calls, Relaxed);
    }

    /// How long the instance must rest for what it made by now.
    pub(crate) fn debt(&mut self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        let earned = elapsed * f64::from(CALLS_PER_SECOND);
        self.left = (self.left + earned).min(f64::from(CALLS_BURST));
        self.at = now;
        self.left -= std::mem::take(self.made.get_mut()) as f64;
        Duration::from_secs_f64((-self.left).max(0.0) / f64::from(CALLS_PER_SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_is_over_it_is_paid_for() {
        let start = Instant::now();
        let mut calls = HostCalls::new(start);
        calls.count(u64::from(CALLS_BURST));
        assert_eq!(calls.debt(start), Duration::ZERO);
        calls.count(u64::from(CALLS_PER_SECOND));
        assert_eq!(calls.debt(start), Duration::from_secs(1));
        let later = start + Duration::from_secs(1);
        assert_eq!(calls.debt(later), Duration::ZERO, "it was paid");
        calls.count(u64::from(CALLS_PER_SECOND) / 2);
        assert_eq!(calls.debt(later), Duration::from_millis(500));
    }

    #[test]
    fn what_is_not_used_adds_up_to_a_burst_only() {
        let start = Instant::now();
        let mut calls = HostCalls::new(start);
        let later = start + Duration::from_secs(3600);
        assert_eq!(calls.debt(later), Duration::ZERO);
        calls.count(u64::from(CALLS_BURST + CALLS_PER_SECOND));
        assert_eq!(calls.debt(later), Duration::from_secs(1));
    }
}
