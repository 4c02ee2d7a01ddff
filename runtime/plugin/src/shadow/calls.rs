//! What a shadow asked of the world, compared with what the running version asked.

use std::collections::VecDeque;
use std::time::Duration;

/// Calls of either side that wait for the same one of the other; beyond that they are only
/// counted.
const WAITING_MAX: usize = 4096;
/// Bytes of a call in a report; the rest is cut.
const SHOWN_BYTES_MAX: usize = 512;

/// Who made a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Only the running version.
    Running,
    /// Only the new version.
    New,
}

/// A call that only one of the two made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallDifference {
    /// Who.
    pub by: Side,
    /// What, such as `requests GET …`.
    pub call: String,
}

/// How the calls compare.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallReport {
    /// Made by both.
    pub same: u64,
    /// Made by one; those of the last moments may only not have been made yet by the other.
    pub different: Vec<CallDifference>,
    /// Further ones, not listed.
    pub more: u64,
}

/// Pairs the calls of the two as they come, in any order.
#[derive(Debug, Default)]
pub(super) struct Calls {
    running: VecDeque<(Duration, String)>,
    new: VecDeque<(Duration, String)>,
    same: u64,
    dropped: u64,
}

impl Calls {
    /// One of the two made a call at `now`.
    pub(super) fn made(&mut self, by: Side, now: Duration, mut call: String) {
        call.truncate(call.floor_char_boundary(SHOWN_BYTES_MAX));
        // A message may be much longer, and thousands of calls wait.
        call.shrink_to_fit();
        let (own, other) = match by {
            Side::Running => (&mut self.running, &mut self.new),
            Side::New => (&mut self.new, &mut self.running),
        };
        if let Some(at) = other.iter().position(|(_, it)| *it == call) {
            other.remove(at);
            self.same += 1;
            return;
        }
        if own.len() == WAITING_MAX {
            own.pop_front();
            self.dropped += 1;
        }
        own.push_back((now, call));
    }

    /// What is left over of calls made before `before`; at most `max` of them are listed.
    pub(super) fn report(&self, before: Duration, max: usize) -> CallReport {
        let sides = [(Side::Running, &self.running), (Side::New, &self.new)];
        let mut all = sides.into_iter().flat_map(|(by, calls)| {
            let old = calls.iter().filter(move |(at, _)| *at < before);
            old.map(move |(_, call)| CallDifference {
                by,
                call: call.clone(),
            })
        });
        let different: Vec<_> = all.by_ref().take(max).collect();
        CallReport {
            same: self.same,
            different,
            more: all.count() as u64 + self.dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_waits_costs_no_more_than_what_is_shown_of_it() {
        let mut calls = Calls::default();
        calls.made(Side::Running, Duration::ZERO, "x".repeat(64 * 1024));
        assert!(calls.running[0].1.capacity() < 2 * SHOWN_BYTES_MAX);
    }

    #[test]
    fn calls_are_paired_whoever_was_first() {
        let mut calls = Calls::default();
        let at = Duration::from_secs;
        calls.made(Side::Running, at(1), "a".into());
        calls.made(Side::New, at(2), "b".into());
        calls.made(Side::New, at(3), "a".into());
        calls.made(Side::Running, at(4), "c".into());
        calls.made(Side::New, at(9), "late".into());
        let report = calls.report(at(5), 1);
        assert_eq!((report.same, report.more), (1, 1));
        let first = CallDifference {
            by: Side::Running,
            call: "c".into(),
        };
        assert_eq!(report.different, [first]);
    }
}
