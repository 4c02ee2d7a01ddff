//! The last failures of a connector, for people.

use crate::clock::now_ms;
use crate::failures::Failed;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Failures that are kept: what led to the state that somebody looks into, and some before.
const KEPT_MAX: usize = 16;
/// Of a trace, bytes: a stack of a component with its reason. A thousand connectors that all fail
/// keep 64 MiB.
const TRACE_BYTES_MAX: usize = 4 * 1024;

/// Something went wrong, once or many times in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// When it went wrong last, ms since the epoch.
    pub at_ms: i64,
    /// How many times in a row it was this.
    pub times: u64,
    /// What it led to, as the metric of errors words it.
    pub consequence: &'static str,
    /// What went wrong, with the component's trace where there is one.
    pub trace: String,
}

/// The last failures, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    count: u64,
    last: VecDeque<Failure>,
}

impl Recent {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change below leaves the list consistent, also in a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, failed: &Failed) {
        let mut trace = failed.to_string();
        trace.truncate(trace.floor_char_boundary(TRACE_BYTES_MAX));
        let consequence = failed.consequence.as_str();
        let at_ms = now_ms();
        let mut kept = self.kept();
        kept.count += 1;
        // What is tried again fails the same way again: that must not push out what came before.
        if let Some(last) = kept.last.back_mut()
            && last.consequence == consequence
            && last.trace == trace
        {
            last.at_ms = at_ms;
            last.times += 1;
            return;
        }
        if kept.last.len() == KEPT_MAX {
            kept.last.pop_front();
        }
        kept.last.push_back(Failure {
            at_ms,
            times: 1,
            consequence,
            trace,
        });
    }

    /// How many there were since the process started.
    pub(crate) fn count(&self) -> u64 {
        self.kept().count
    }

    /// The oldest first.
    pub(crate) fn all(&self) -> Vec<Failure> {
        self.kept().last.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_core::Consequence;

    fn failed(reason: &str) -> Failed {
        Failed::new("put", Consequence::Retry, reason)
    }

    #[test]
    fn the_last_ones_are_kept_and_repetitions_are_one() {
        let recent = Recent::default();
        for number in 0..20 {
            recent.add(&failed(&number.to_string()));
        }
        for _ in 0..1000 {
            recent.add(&failed("again"));
        }
        let all = recent.all();
        assert_eq!((recent.count(), all.len()), (1020, KEPT_MAX));
        assert_eq!(all[0].trace, "put: 5");
        let last = &all[KEPT_MAX - 1];
        assert_eq!((last.times, last.trace.as_str()), (1000, "put: again"));
        assert_eq!(last.consequence, "retry");
    }

    #[test]
    fn a_long_trace_is_cut_between_characters() {
        let recent = Recent::default();
        recent.add(&failed(&"ü".repeat(TRACE_BYTES_MAX)));
        let trace = &recent.all()[0].trace;
        assert!(trace.len() <= TRACE_BYTES_MAX && trace.ends_with('ü'));
    }
}
