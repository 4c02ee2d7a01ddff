//! Two sequences of records, which are paired from their heads on.

use super::{Basis, Compared, Last};
use bytes::Bytes;
use std::collections::VecDeque;

/// How far each of two sequences is looked through for where they meet again.
const WINDOW_RECORDS: usize = 256;
/// What a record costs beside its bytes.
pub(super) const RECORD_OVERHEAD_BYTES: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Running,
    New,
}

#[derive(Debug)]
pub(super) struct Kept {
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<(String, Option<Bytes>)>,
    pub(super) basis: Basis,
}

impl Kept {
    fn same(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value && self.headers == other.headers
    }

    pub(super) fn cost(&self) -> usize {
        let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        bytes(&self.key) + bytes(&self.value) + RECORD_OVERHEAD_BYTES
    }
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) running: VecDeque<Kept>,
    pub(super) new: VecDeque<Kept>,
}

/// What the heads of two sequences say.
enum Step {
    /// They are the same.
    Same,
    /// So many of the new version's come before the two meet again.
    Extra(usize),
    /// So many of the running version's do.
    Missing(usize),
    /// They stand for each other, and differ.
    Changed,
    /// More has to come first.
    Wait,
}

fn step(lane: &Lane, last: bool) -> Step {
    let (Some(a), Some(b)) = (lane.running.front(), lane.new.front()) else {
        return Step::Wait;
    };
    if a.same(b) {
        return Step::Same;
    }
    let find = |records: &VecDeque<Kept>, wanted: &Kept| {
        let mut window = records.iter().take(WINDOW_RECORDS);
        window.position(|it| it.same(wanted))
    };
    match (find(&lane.new, a), find(&lane.running, b)) {
        (Some(extra), None) => Step::Extra(extra),
        (None, Some(missing)) => Step::Missing(missing),
        (Some(extra), Some(missing)) if extra <= missing => Step::Extra(extra),
        (Some(_), Some(missing)) => Step::Missing(missing),
        (None, None) => {
            let full = lane.running.len().min(lane.new.len()) >= WINDOW_RECORDS;
            if full || last {
                Step::Changed
            } else {
                Step::Wait
            }
        }
    }
}

/// Pairs what can be paired by now.
pub(super) fn settle(
    feed: &str,
    lane: &mut Lane,
    tally: &mut Compared,
    waiting: &mut [usize; 2],
    last: Option<Last>,
) {
    loop {
        match step(lane, last.is_some()) {
            Step::Wait => return,
            Step::Same => {
                lane.pop(waiting);
                tally.feed(feed).same += 1;
            }
            Step::Changed => {
                if let (Some(running), Some(new)) = lane.pop(waiting) {
                    let due = last.is_none_or(|it| {
                        it.due(Side::Running, running.basis) && it.due(Side::New, new.basis)
                    });
                    tally.changed(feed, &running, &new, due);
                }
            }
            Step::Extra(count) => {
                for kept in lane.new.drain(..count) {
                    waiting[Side::New as usize] -= kept.cost();
                    tally.alone(feed, Side::New, &kept, true);
                }
            }
            Step::Missing(count) => {
                for kept in lane.running.drain(..count) {
                    waiting[Side::Running as usize] -= kept.cost();
                    tally.alone(feed, Side::Running, &kept, true);
                }
            }
        }
    }
}

impl Lane {
    fn pop(&mut self, waiting: &mut [usize; 2]) -> (Option<Kept>, Option<Kept>) {
        let (running, new) = (self.running.pop_front(), self.new.pop_front());
        waiting[Side::Running as usize] -= running.as_ref().map_or(0, Kept::cost);
        waiting[Side::New as usize] -= new.as_ref().map_or(0, Kept::cost);
        (running, new)
    }
}
