//! What time it is for a shadow: now, or what the events of a recording say.

use crate::inbox::now_ns;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// A resolution that a guest is told: the receive times are this fine.
const RESOLUTION: Duration = Duration::from_nanos(1);

/// The clock of a stage. Clones are the same clock.
#[derive(Debug, Clone)]
pub(crate) enum Timeline {
    /// It runs by itself.
    Live {
        /// When the stage was made.
        since: Instant,
    },
    /// It stands still but for what is waited and received.
    Replayed {
        /// ns since the epoch.
        now_ns: Arc<AtomicI64>,
        /// Where it began, ns since the epoch.
        began_ns: i64,
    },
}

impl Timeline {
    /// The time of this machine.
    pub(crate) fn live() -> Self {
        Self::Live {
            since: Instant::now(),
        }
    }

    /// Begins at `began_ns`, ns since the epoch.
    pub(crate) fn replayed(began_ns: i64) -> Self {
        Self::Replayed {
            now_ns: Arc::new(AtomicI64::new(began_ns)),
            began_ns,
        }
    }

    /// Since the stage was made.
    pub(crate) fn elapsed(&self) -> Duration {
        match self {
            Self::Live { since } => since.elapsed(),
            Self::Replayed { now_ns, began_ns } => {
                let ns = now_ns.load(Ordering::Acquire).saturating_sub(*began_ns);
                Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
            }
        }
    }

    /// ns since the epoch.
    pub(crate) fn wall_ns(&self) -> i64 {
        match self {
            Self::Live { .. } => now_ns(),
            Self::Replayed { now_ns, .. } => now_ns.load(Ordering::Acquire),
        }
    }

    /// The wall's time so long after the stage was made, ns since the epoch.
    pub(crate) fn wall_of(&self, elapsed: Duration) -> i64 {
        let began_ns = match self {
            Self::Live { since } => now_ns().saturating_sub(ns(since.elapsed())),
            Self::Replayed { began_ns, .. } => *began_ns,
        };
        began_ns.saturating_add(ns(elapsed))
    }

    /// It is at least this late, ns since the epoch. Nothing moves a clock that runs by itself.
    pub(crate) fn reach(&self, at_ns: i64) {
        if let Self::Replayed { now_ns, .. } = self {
            now_ns.fetch_max(at_ns, Ordering::AcqRel);
        }
    }
}

fn ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl HostWallClock for Timeline {
    fn resolution(&self) -> Duration {
        RESOLUTION
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.wall_ns()).unwrap_or(0))
    }
}

impl HostMonotonicClock for Timeline {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
