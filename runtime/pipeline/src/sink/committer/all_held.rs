//! What many targets say they hold, asked of some after the others.

use crate::failures::Failed;
use jackfield_plugin::{HELD_POSITIONS_MAX, Holding};
use std::collections::BTreeSet;

/// Targets that are asked for in one call of `stored`: a component asks one after the other, and half
/// a second each fits the two minutes that the call may take.
const NAMES_AT_ONCE: usize = 200;

/// The names of each call. There is one in any case: the settings may name a target that the log does
/// not know yet.
pub(super) fn parts(known: &[String]) -> Vec<&[String]> {
    if known.is_empty() {
        return vec![known];
    }
    known.chunks(NAMES_AT_ONCE).collect()
}

/// The answers so far.
#[derive(Default)]
pub(super) struct AllHeld {
    held: Vec<Holding>,
    told: BTreeSet<String>,
    positions: usize,
}

impl AllHeld {
    /// Adds an answer, without the targets that earlier ones told of: a component may say in each
    /// what it was not asked for.
    ///
    /// # Errors
    /// Together they hold too much.
    pub(super) fn add(&mut self, mut held: Vec<Holding>) -> Result<(), Failed> {
        held.retain(|it| !self.told.contains(&it.target));
        self.told.extend(held.iter().map(|it| it.target.clone()));
        self.positions += held.iter().map(|it| it.positions.len()).sum::<usize>();
        self.held.append(&mut held);
        if self.positions > HELD_POSITIONS_MAX {
            let reason = format!("the targets hold more than {HELD_POSITIONS_MAX} positions");
            return Err(Failed::for_good("stored", reason));
        }
        Ok(())
    }

    /// All that was told.
    pub(super) fn into_held(self) -> Vec<Holding> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_asked_for_once_and_few_at_a_time() {
        let names: Vec<String> = (0..=2 * NAMES_AT_ONCE).map(|it| it.to_string()).collect();
        let parts = parts(&names);
        let counts: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        assert_eq!(counts, [NAMES_AT_ONCE, NAMES_AT_ONCE, 1]);
        assert_eq!(parts.concat(), names);
    }

    #[test]
    fn who_knows_no_name_asks_too() {
        assert_eq!(parts(&[]).len(), 1);
    }

    #[test]
    fn what_is_told_again_counts_once() {
        let of = |target: &str| Holding {
            target: target.to_owned(),
            positions: Vec::new(),
        };
        let mut all = AllHeld::default();
        all.add(vec![of("a"), of("by itself")]).unwrap();
        all.add(vec![of("b"), of("by itself")]).unwrap();
        assert_eq!(all.into_held(), [of("a"), of("by itself"), of("b")]);
    }
}
