//! What is put and not committed, summed over a sink connector's tasks.

use jackfield_core::{CommitWhen, Due};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Nothing is waiting.
const NOTHING: u64 = u64::MAX;

/// Counters that tasks add to and the coordinator reads; a put never waits for it.
#[derive(Debug)]
pub(crate) struct Pending {
    rows: AtomicU64,
    bytes: AtomicU64,
    asked: AtomicBool,
    /// When the first of these rows was put, ms on the clock of the pipelines.
    since_ms: AtomicU64,
    when: CommitWhen,
    /// Rung when the first row was put, and when a limit is reached.
    pub(crate) bell: Notify,
}

impl Pending {
    pub(crate) fn new(when: CommitWhen) -> Self {
        Self {
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            since_ms: AtomicU64::new(NOTHING),
            when,
            bell: Notify::new(),
        }
    }

    /// Rows of a put, or passed over.
    pub(crate) fn add(&self, rows: u64, bytes: u64, asked: bool, now: Duration) {
        let total = self.rows.fetch_add(rows, Ordering::AcqRel) + rows;
        let total_bytes = self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(NOTHING - 1);
        let first = self
            .since_ms
            .compare_exchange(NOTHING, now_ms, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if asked {
            self.asked.store(true, Ordering::Release);
        }
        if first || asked || total >= self.when.rows || total_bytes >= self.when.bytes {
            self.bell.notify_one();
        }
    }

    /// Rows put and not committed.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Acquire)
    }

    /// Whether a commit is due.
    pub(crate) fn due(&self, now: Duration) -> Option<Due> {
        let since = self.since_ms.load(Ordering::Acquire);
        let waiting = if since == NOTHING {
            Duration::ZERO
        } else {
            now.saturating_sub(Duration::from_millis(since))
        };
        self.when.due(
            waiting,
            self.rows(),
            self.bytes.load(Ordering::Acquire),
            self.asked.load(Ordering::Acquire),
        )
    }

    /// How long until `every` makes a commit due; `None` when nothing waits.
    pub(crate) fn due_in(&self, now: Duration) -> Option<Duration> {
        let since = self.since_ms.load(Ordering::Acquire);
        (since != NOTHING)
            .then(|| (Duration::from_millis(since) + self.when.every).saturating_sub(now))
    }

    /// Everything put so far is about to be staged: what comes after is counted for the next
    /// commit. Returns the rows, for [`Pending::add`] to put back should that fail.
    pub(crate) fn take(&self) -> (u64, u64) {
        self.since_ms.store(NOTHING, Ordering::Release);
        self.asked.store(false, Ordering::Release);
        (
            self.rows.swap(0, Ordering::AcqRel),
            self.bytes.swap(0, Ordering::AcqRel),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_from_the_first_row() {
        let when = CommitWhen {
            every: Duration::from_secs(10),
            rows: 100,
            bytes: 1 << 20,
        };
        let pending = Pending::new(when);
        assert_eq!(pending.due_in(Duration::from_secs(5)), None);
        pending.add(1, 10, false, Duration::from_secs(5));
        pending.add(1, 10, false, Duration::from_secs(9));
        assert_eq!(
            pending.due_in(Duration::from_secs(9)),
            Some(Duration::from_secs(6))
        );
        assert_eq!(pending.due(Duration::from_secs(14)), None);
        assert_eq!(pending.due(Duration::from_secs(15)), Some(Due::Time));
        assert_eq!(pending.take(), (2, 20));
        assert_eq!(pending.due(Duration::from_secs(99)), None);
    }
}
