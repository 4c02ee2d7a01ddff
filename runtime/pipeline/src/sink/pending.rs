//! What is put and not committed, summed over a sink connector's tasks.

use jackfield_core::{CommitWhen, Due};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Nothing is waiting.
const NOTHING: u64 = u64::MAX;
/// Rows that may be put ahead of a stage however few make a commit due: with fewer the time that a
/// commit takes would be the sink's pace.
const AHEAD_ROWS_MIN: u64 = 10_000;
/// Bytes that may be put ahead of a stage, likewise: little of an instance's memory.
const AHEAD_BYTES_MIN: u64 = 8 * 1024 * 1024;

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
        if rows == 0 && bytes == 0 {
            return;
        }
        let total = self.rows.fetch_add(rows, Ordering::AcqRel) + rows;
        let total_bytes = self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(NOTHING - 1);
        // Also where an earlier put has left a beginning whose rows an interval has taken.
        let first = total == rows && total_bytes == bytes;
        if first {
            self.since_ms.store(now_ms, Ordering::Release);
        } else {
            // Who loses finds the time of a put that is no later than this one.
            let _set_already = self.since_ms.compare_exchange(
                NOTHING,
                now_ms,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
        }
        if asked {
            self.asked.store(true, Ordering::Release);
        }
        if first || asked || total >= self.when.rows || total_bytes >= self.when.bytes {
            self.bell.notify_one();
        }
    }

    /// A component has no room until it has staged what it was put.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// Whether nothing is put that is not staged.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows() == 0 && self.bytes() == 0
    }

    /// Whether as much is put ahead of a stage as one interval takes. A commit is due then, too.
    pub(crate) fn is_full(&self) -> bool {
        self.rows() >= self.when.rows.max(AHEAD_ROWS_MIN)
            || self.bytes() >= self.when.bytes.max(AHEAD_BYTES_MIN)
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
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
            self.bytes(),
            self.asked.load(Ordering::Acquire),
        )
    }

    /// How long until `every` makes a commit due; `None` when nothing waits.
    pub(crate) fn due_in(&self, now: Duration) -> Option<Duration> {
        let since = self.since_ms.load(Ordering::Acquire);
        // A put that runs beside `take` may leave a beginning of nothing, which is never due.
        (since != NOTHING && !self.is_empty())
            .then(|| (Duration::from_millis(since) + self.when.every).saturating_sub(now))
    }

    /// Everything put so far is about to be staged: what comes after is counted for the next
    /// commit. Gives the rows.
    pub(crate) fn take(&self) -> u64 {
        self.since_ms.store(NOTHING, Ordering::Release);
        self.asked.store(false, Ordering::Release);
        let rows = self.rows.swap(0, Ordering::AcqRel);
        self.bytes.swap(0, Ordering::AcqRel);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEN: CommitWhen = CommitWhen {
        every: Duration::from_secs(10),
        rows: 100,
        bytes: 1 << 20,
    };

    #[test]
    fn time_runs_from_the_first_row() {
        let pending = Pending::new(WHEN);
        assert_eq!(pending.due_in(Duration::from_secs(5)), None);
        pending.add(1, 10, false, Duration::from_secs(5));
        pending.add(1, 10, false, Duration::from_secs(9));
        assert_eq!(
            pending.due_in(Duration::from_secs(9)),
            Some(Duration::from_secs(6))
        );
        assert_eq!(pending.due(Duration::from_secs(14)), None);
        assert_eq!(pending.due(Duration::from_secs(15)), Some(Due::Time));
        assert_eq!((pending.rows(), pending.bytes()), (2, 20));
        assert_eq!(pending.take(), 2);
        assert!(pending.is_empty());
        assert_eq!(pending.due(Duration::from_secs(99)), None);
    }

    #[test]
    fn nothing_is_never_due() {
        let late = Duration::from_secs(99);
        let pending = Pending::new(WHEN);
        pending.add(0, 0, false, Duration::from_secs(5));
        assert_eq!((pending.due_in(late), pending.due(late)), (None, None));
        // As a put leaves it whose rows an interval has taken already.
        pending.since_ms.store(5000, Ordering::Release);
        assert_eq!((pending.due_in(late), pending.due(late)), (None, None));
    }

    #[test]
    fn what_was_asked_for_and_not_staged_is_asked_for_still() {
        let pending = Pending::new(WHEN);
        let now = Duration::from_secs(5);
        pending.add(1, 10, true, now);
        pending.take();
        assert_eq!(pending.due(now), None);
        for (asked, due) in [(false, None), (true, Some(Due::Asked))] {
            pending.add(1, 10, asked, now);
            assert_eq!(pending.due(now), due);
            pending.take();
        }
        pending.add(1, 10, false, now);
        assert_eq!(pending.due(now), None);
        pending.ask();
        assert_eq!(pending.due(now), Some(Due::Asked));
    }

    #[test]
    fn what_is_full_is_due_and_small_intervals_hold_nobody_back() {
        let now = Duration::ZERO;
        let wide = CommitWhen {
            rows: 2 * AHEAD_ROWS_MIN,
            bytes: 2 * AHEAD_BYTES_MIN,
            ..WHEN
        };
        for (when, rows, bytes) in [
            (WHEN, AHEAD_ROWS_MIN, 1),
            (WHEN, 1, AHEAD_BYTES_MIN),
            (wide, wide.rows, 1),
            (wide, 1, wide.bytes),
        ] {
            let pending = Pending::new(when);
            let last = (u64::from(rows > 1), u64::from(bytes > 1));
            pending.add(rows - last.0, bytes - last.1, false, now);
            assert!(!pending.is_full(), "{when:?} {rows} {bytes}");
            pending.add(last.0, last.1, false, now);
            assert!(pending.is_full(), "{when:?} {rows} {bytes}");
            assert!(pending.due(now).is_some(), "{when:?} {rows} {bytes}");
            pending.take();
            assert!(!pending.is_full(), "{when:?} {rows} {bytes}");
        }
    }
}
