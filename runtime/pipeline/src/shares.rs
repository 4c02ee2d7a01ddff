//! Whether a sink's lag is that of all that it is to read. What nobody has assigned to it yet has no
//! lag here, and is no empty feed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest that a partition which none of the tasks reads is on its way to one of them, counted from
/// the last change: members hear within a tenth of their session (4.5 s of 45 s) that they are to
/// join anew, whoever has it may take 45 s to release it, and then it is given. After so long it is
/// another process's.
const ON_ITS_WAY_MAX: Duration = Duration::from_secs(55);

/// What the tasks of a sink's life were told of their shares of the partitions.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Tasks of which the log has not said what their joining the group brought.
    unanswered: u32,
    /// Partitions of all topics that the sink reads.
    partitions: usize,
    /// When a task was last given a partition, lost one, or was told that there is none for it.
    changed: Duration,
    /// The lag is known, and of all.
    whole: bool,
}

impl Shares {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change below leaves the figures whole, also in a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A life begins: so many tasks are about to join, to read so many partitions.
    pub(crate) fn begin(&self, tasks: u32, partitions: usize, now: Duration) {
        *self.lock() = Inner {
            unanswered: tasks,
            partitions,
            changed: now,
            whole: false,
        };
    }

    /// A task was told for the first time what is its own, which may be nothing.
    pub(crate) fn answered(&self, now: Duration) {
        let mut inner = self.lock();
        inner.unanswered = inner.unanswered.saturating_sub(1);
        inner.change(now);
    }

    /// A task has other partitions than before: what is known of the lag is of those of before.
    pub(crate) fn changed(&self, now: Duration) {
        self.lock().change(now);
    }

    /// The lag was looked up at `at` or later, of so many partitions as the tasks read then.
    pub(crate) fn looked_up(&self, at: Duration, read: usize) {
        let mut inner = self.lock();
        let settled = read >= inner.partitions || at >= inner.changed + ON_ITS_WAY_MAX;
        inner.whole = inner.unanswered == 0 && at > inner.changed && settled;
    }

    /// Whether the lag is known, and of all that the sink is to read.
    pub(crate) fn whole(&self) -> bool {
        self.lock().whole
    }
}

impl Inner {
    fn change(&mut self, now: Duration) {
        self.changed = now;
        self.whole = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn all_tasks_are_answered_and_the_lag_was_looked_up_since() {
        let shares = Shares::default();
        shares.begin(2, 3, at(0));
        shares.looked_up(at(60_000), 0);
        assert!(!shares.whole(), "nobody was answered");
        shares.answered(at(60_001));
        shares.looked_up(at(60_002), 3);
        assert!(!shares.whole(), "one was not answered");
        shares.answered(at(60_003));
        assert!(!shares.whole(), "not looked up since");
        // Of a look that began before, nobody knows which partitions it saw.
        shares.looked_up(at(60_003), 3);
        assert!(!shares.whole());
        shares.looked_up(at(60_004), 3);
        assert!(shares.whole());
        shares.begin(2, 3, at(60_005));
        assert!(!shares.whole(), "another life");
    }

    #[test]
    fn what_one_task_lets_go_is_waited_for_but_not_for_ever() {
        let shares = Shares::default();
        shares.begin(1, 2, at(0));
        shares.answered(at(1));
        shares.looked_up(at(2), 2);
        assert!(shares.whole());
        shares.changed(at(3));
        shares.looked_up(at(4), 1);
        assert!(!shares.whole(), "one is on its way");
        shares.looked_up(at(3) + ON_ITS_WAY_MAX, 1);
        assert!(shares.whole(), "it is another process's");
    }
}
