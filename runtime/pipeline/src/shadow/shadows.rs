//! The shadows of one connector.

use super::report::{ShadowReport, ShadowState};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Reports that are kept.
const HISTORY_MAX: usize = 8;

#[derive(Default)]
struct Kept {
    history: VecDeque<ShadowReport>,
    begun: u64,
    running: bool,
}

/// What became of a connector's shadows; one runs at a time.
#[derive(Default)]
pub(crate) struct Shadows {
    kept: Mutex<Kept>,
}

impl Shadows {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change below leaves it whole, also in a panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the one shadow, with its number; none while another has it.
    pub(crate) fn take_place(&self) -> Option<u64> {
        let mut kept = self.kept();
        if kept.running {
            return None;
        }
        kept.running = true;
        kept.begun += 1;
        Some(kept.begun)
    }

    /// The place is free again.
    pub(crate) fn give_place_back(&self) {
        self.kept().running = false;
    }

    /// How a shadow stands.
    pub(crate) fn put(&self, report: ShadowReport) {
        let mut kept = self.kept();
        if let Some(known) = kept
            .history
            .iter_mut()
            .find(|it| it.number == report.number)
        {
            *known = report;
            return;
        }
        if kept.history.len() == HISTORY_MAX {
            kept.history.pop_front();
        }
        kept.history.push_back(report);
    }

    /// The last ones, the oldest first.
    pub(crate) fn history(&self) -> Vec<ShadowReport> {
        self.kept().history.iter().cloned().collect()
    }
}

impl ShadowReport {
    /// Whether it runs no more.
    pub fn has_ended(&self) -> bool {
        match self.state {
            ShadowState::Shadowing => false,
            ShadowState::Ended(_) => true,
        }
    }
}
