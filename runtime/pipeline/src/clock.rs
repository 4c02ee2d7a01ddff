//! The drivers' time and randomness, handed to `jackfield-core` as values.

use jackfield_core::Jitter;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Monotonic time since the process started its pipelines; never the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The wall clock, ms since the epoch: for what people and records are told. Nothing waits by it.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Jitter from a seed.
#[derive(Debug)]
pub struct SeededJitter(StdRng);

impl SeededJitter {
    /// Jitter that can be replayed from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Jitter that differs between processes, so that many that failed together don't come back
    /// together.
    pub fn from_os() -> Self {
        Self(StdRng::from_os_rng())
    }
}

impl Jitter for SeededJitter {
    fn fraction(&mut self) -> f64 {
        self.0.random()
    }
}
