//! What goes wrong, and when.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::held;
use crate::sink::StoreError;

/// What becomes of one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFate {
    /// It is done, and said so.
    Done,
    /// Someone else was first. Nothing is done.
    Conflict,
    /// Nothing is done, and said so.
    Transient,
    /// It is done; the caller does not hear of it.
    UnknownDone,
    /// Nothing is done; the caller does not hear of it.
    UnknownLost,
    /// The caller does not hear of it; it arrives after that many further calls to the catalog,
    /// if what the catalog goes by still holds then.
    UnknownLate {
        /// Calls until then.
        calls: u32,
    },
}

/// Every call from then on fails, as if the process had been killed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    /// Calls to store and catalog that still work.
    pub after_calls: u32,
    /// Whether the call at which it dies still has its effect.
    pub effective: bool,
}

#[derive(Debug, Default)]
struct State {
    fates: VecDeque<CommitFate>,
    store: VecDeque<(String, StoreError)>,
    kill: Option<Kill>,
    dead: bool,
}

/// The faults ahead.
#[derive(Debug, Default)]
pub struct Faults(Mutex<State>);

/// What a call shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Works,
    WorksUnheard,
    Dead,
}

impl Faults {
    /// The next commits have these fates; after them all is well.
    pub fn commits(&self, fates: impl IntoIterator<Item = CommitFate>) {
        held(&self.0).fates.extend(fates);
    }

    /// The next call to the store whose object's name contains `name` fails so.
    pub fn store(&self, name: &str, error: StoreError) {
        held(&self.0).store.push_back((name.to_owned(), error));
    }

    /// Dies there.
    pub fn kill(&self, kill: Kill) {
        held(&self.0).kill = Some(kill);
    }

    /// A new process: nothing is dead any more, no kill is ahead. True if it had died.
    pub fn revive(&self) -> bool {
        let mut state = held(&self.0);
        state.kill = None;
        std::mem::take(&mut state.dead)
    }

    /// Forgets all faults ahead.
    pub fn clear(&self) {
        *held(&self.0) = State::default();
    }

    pub(super) fn next_commit(&self) -> CommitFate {
        held(&self.0).fates.pop_front().unwrap_or(CommitFate::Done)
    }

    pub(super) fn store_fault(&self, name: &str) -> Option<StoreError> {
        let mut state = held(&self.0);
        let at = state
            .store
            .iter()
            .position(|(part, _)| name.contains(part.as_str()))?;
        state.store.remove(at).map(|(_, error)| error)
    }

    pub(super) fn call(&self) -> Call {
        let mut state = held(&self.0);
        if state.dead {
            return Call::Dead;
        }
        match &mut state.kill {
            None => Call::Works,
            Some(kill) if kill.after_calls > 0 => {
                kill.after_calls -= 1;
                Call::Works
            }
            Some(kill) => {
                let effective = kill.effective;
                state.dead = true;
                if effective {
                    Call::WorksUnheard
                } else {
                    Call::Dead
                }
            }
        }
    }
}
