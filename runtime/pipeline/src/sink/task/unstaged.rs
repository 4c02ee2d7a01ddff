//! What a task has put and not staged, by its own count: what it could not stage is counted again,
//! and nothing of what the tasks beside it have staged.

use crate::failures::Failed;
use crate::sink::pending::Pending;
use jackfield_core::Consequence;
use std::time::Duration;

/// Whether a component asks to be called again at once, or as soon as it has staged.
pub(super) fn asks_for_no_wait(failed: &Failed) -> bool {
    failed.consequence == Consequence::Retry && failed.not_before.is_zero()
}

/// The part of one task in what is pending.
#[derive(Debug, Default)]
pub(super) struct Unstaged {
    rows: u64,
    bytes: u64,
    /// The component asked for the stage.
    asked: bool,
    /// The component was put some of it: what was only passed over it knows nothing of.
    pub(super) put: bool,
}

impl Unstaged {
    /// Rows of a put, or passed over: counted here and for the connector.
    pub(super) fn add(
        &mut self,
        pending: &Pending,
        (rows, bytes): (u64, u64),
        asked: bool,
        now: Duration,
    ) {
        self.rows += rows;
        self.bytes += bytes;
        self.asked |= asked;
        pending.add(rows, bytes, asked, now);
    }

    /// The component has no room until it has staged.
    pub(super) fn ask(&mut self, pending: &Pending) {
        self.asked = true;
        pending.ask();
    }

    /// All of it is staged, or is read again.
    pub(super) fn gone(&mut self) {
        *self = Self::default();
    }

    /// It was taken into an interval and not staged: due again, and at once only where this component
    /// asked for that, since every other task stages with it. What was put between the two is
    /// counted twice until the next interval takes all: a batch at most, since a stage goes first.
    pub(super) fn put_back(&self, pending: &Pending, now: Duration) {
        pending.add(self.rows, self.bytes, self.asked, now);
    }

    /// The component stages the rest when it is called again: that is not left to the next
    /// interval's time.
    pub(super) fn ask_for_rest(&self, pending: &Pending) {
        if self.put {
            pending.ask();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_core::{CommitWhen, Due};

    const WHEN: CommitWhen = CommitWhen {
        every: Duration::from_secs(10),
        rows: 1000,
        bytes: 1 << 20,
    };
    const NOW: Duration = Duration::from_secs(5);

    /// A task that was put so many rows.
    fn put(pending: &Pending, rows: u64) -> Unstaged {
        let mut task = Unstaged::default();
        task.add(pending, (rows, 10 * rows), false, NOW);
        task.put = true;
        task
    }

    #[test]
    fn only_what_is_not_staged_is_counted_again() {
        let pending = Pending::new(WHEN);
        let (mut healthy, stuck) = (put(&pending, 900), put(&pending, 30));
        assert_eq!(pending.rows(), 930);
        for _ in 0..3 {
            pending.take();
            healthy.gone();
            stuck.put_back(&pending, NOW);
            assert_eq!(pending.rows(), 30);
        }
        pending.take();
        healthy.put_back(&pending, NOW);
        assert!(pending.is_empty(), "who has nothing keeps nothing waiting");
    }

    #[test]
    fn a_stage_is_asked_for_still_only_by_who_asked_and_could_not() {
        for (asked, due) in [(false, None), (true, Some(Due::Asked))] {
            let pending = Pending::new(WHEN);
            let (mut healthy, mut stuck) = (Unstaged::default(), Unstaged::default());
            healthy.add(&pending, (1, 10), !asked, NOW);
            stuck.add(&pending, (1, 10), asked, NOW);
            pending.take();
            healthy.gone();
            stuck.put_back(&pending, NOW);
            assert_eq!(pending.due(NOW), due);
        }
    }

    #[test]
    fn a_full_component_asks_until_it_has_staged() {
        let pending = Pending::new(WHEN);
        let mut task = put(&pending, 1);
        task.ask(&pending);
        for _ in 0..3 {
            assert_eq!(pending.due(NOW), Some(Due::Asked));
            pending.take();
            task.put_back(&pending, NOW);
        }
        pending.take();
        task.gone();
        task.add(&pending, (1, 10), false, NOW);
        pending.take();
        task.put_back(&pending, NOW);
        assert_eq!(pending.due(NOW), None);
    }

    #[test]
    fn the_rest_of_a_stage_is_due_at_once() {
        let pending = Pending::new(WHEN);
        let task = put(&pending, 1);
        let due = NOW + WHEN.every;
        assert_eq!(pending.due(due), Some(Due::Time));
        pending.take();
        task.ask_for_rest(&pending);
        task.put_back(&pending, due);
        assert_eq!(pending.due(due), Some(Due::Asked));

        let mut passed = Unstaged::default();
        let pending = Pending::new(WHEN);
        passed.add(&pending, (0, 10), false, NOW);
        passed.ask_for_rest(&pending);
        assert_eq!(pending.due(NOW), None, "it was put nothing");
    }
}
