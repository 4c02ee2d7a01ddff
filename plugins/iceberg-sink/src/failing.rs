//! Of several tables, those that can't be written for: the others go on.

use std::collections::BTreeMap;

use jackfield_sdk::Failure;
use jackfield_sdk::sink::Piece;

use crate::piece::{self, Unwritten};

/// Calls in a row that a table may fail before the others go on without it: enough for a connection
/// that breaks. All of them count towards the one deadline of the task, which fails with all its
/// tables; a catalog that is away for longer is waited for by the table's commit.
pub(crate) const CALLS_MAX: u32 = 4;

/// Bytes of a reason: those of all tables that a task may have fit into a `stage` beside its pieces.
const REASON_BYTES_MAX: usize = 4 * 1024;

/// Tables that are left out, and why: their records are dropped, and their commits fail.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    targets: BTreeMap<String, Unwritten>,
    /// Of the pieces that say so.
    piece_bytes: usize,
    /// The table that the last calls ended at, and how many these were. A call that is to be
    /// repeated ends at one table; its repetition may get past that and end at the next.
    ended_at: Option<(String, u32)>,
    /// Whether a table was waited for in vain: then no other is, since the waits of all add up.
    waited: bool,
    /// Whether a table was opened since.
    opened: bool,
}

impl Failing {
    pub(crate) fn has(&self, target: &str) -> bool {
        self.targets.contains_key(target)
    }

    pub(crate) fn count(&self) -> usize {
        self.targets.len()
    }

    /// How large the pieces are that say why.
    pub(crate) fn piece_bytes(&self) -> usize {
        self.piece_bytes
    }

    /// Whether the table is left out from now on. What was put for it since the last commit goes
    /// with it, and its commit says so.
    ///
    /// # Errors
    /// The failure is not the table's, or the call is worth repeating.
    pub(crate) fn fail(&mut self, target: &str, failure: Failure) -> Result<(), Failure> {
        let why = match failure {
            // The host wants the call back: nothing is wrong.
            interrupted @ Failure::Retry { after_ms: 0, .. } => return Err(interrupted),
            Failure::Misconfigured(why) | Failure::Broken(why) => Unwritten::ForGood(why),
            // Its rows are gone, and nobody else's.
            Failure::Rewind(why) => Unwritten::ForNow(why),
            Failure::Retry { after_ms, reason } => {
                if !self.waited && self.called(target) < CALLS_MAX {
                    return Err(Failure::Retry { after_ms, reason });
                }
                self.waited = true;
                self.opened = false;
                Unwritten::ForNow(reason)
            }
            failure @ (Failure::Rejected(_) | Failure::Fenced(_)) => return Err(failure),
        };
        self.forget_calls(target);
        let why = cut(why);
        self.piece_bytes += bytes_of(target, &why);
        if let Some(before) = self.targets.insert(target.to_owned(), why) {
            self.piece_bytes -= bytes_of(target, &before);
        }
        Ok(())
    }

    /// Calls in a row that ended at that table, with this one.
    fn called(&mut self, target: &str) -> u32 {
        let before = match &self.ended_at {
            Some((last, calls)) if last == target => *calls,
            Some(_) | None => 0,
        };
        self.ended_at = Some((target.to_owned(), before + 1));
        before + 1
    }

    /// The table was opened.
    pub(crate) fn works(&mut self, target: &str) {
        self.opened = true;
        self.forget_calls(target);
    }

    /// A call got to its end, and the host counts its waits anew. Tables are waited for again, if
    /// the catalog has been seen to answer.
    pub(crate) fn got_through(&mut self) {
        if self.opened {
            self.waited = false;
        }
    }

    fn forget_calls(&mut self, target: &str) {
        if self.ended_at.as_ref().is_some_and(|(it, _)| it == target) {
            self.ended_at = None;
        }
    }

    /// All is put again. What calls ended at, and what was waited for, stays: it may still be away.
    pub(crate) fn discard(&mut self) {
        self.targets.clear();
        self.piece_bytes = 0;
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> {
        let targets = self.targets.iter();
        targets.map(|(target, why)| piece::of_unwritten(target, why))
    }
}

fn bytes_of(target: &str, why: &Unwritten) -> usize {
    target.len() + piece::of_unwritten(target, why).bytes.len()
}

fn cut(mut why: Unwritten) -> Unwritten {
    let (Unwritten::ForGood(reason) | Unwritten::ForNow(reason)) = &mut why;
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    why
}
