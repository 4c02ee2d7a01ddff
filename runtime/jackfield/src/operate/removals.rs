//! Connectors that are being taken away. Where the process ends meanwhile, it ends as they do.

use jackfield_pipeline::{Exit, Unchanged};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of them; connectors by name.
#[derive(Default)]
struct Known {
    under_way: BTreeSet<String>,
    /// How a connector ended that was taken away before concerns nobody any more: it was logged.
    process_ends: bool,
    exits: BTreeMap<String, Exit>,
}

/// All removals of the process.
#[derive(Default)]
pub(super) struct Removals {
    known: Mutex<Known>,
}

impl Removals {
    /// Sees a removal through. One that is dropped half-way counts as under way for ever.
    pub(super) async fn see(
        &self,
        connector: &str,
        removal: impl Future<Output = Result<Exit, Unchanged>>,
    ) {
        self.known().under_way.insert(connector.to_owned());
        let removed = removal.await;
        let mut known = self.known();
        known.under_way.remove(connector);
        match removed {
            Ok(exit) if known.process_ends => drop(known.exits.insert(connector.to_owned(), exit)),
            Ok(_) => {}
            // Whoever ends the process has taken it already, and tells how it ended.
            Err(Unchanged::Unknown(_)) => tracing::info!(%connector, "ends with the process"),
            Err(unchanged @ (Unchanged::Exists(_) | Unchanged::Stopping)) => {
                tracing::error!(%connector, %unchanged, "is not removed");
            }
        }
    }

    /// From now on it matters to the process how they end.
    pub(super) fn process_ends(&self) {
        self.known().process_ends = true;
    }

    /// How those ended that were under way when the process was told to end. One that is under way
    /// still is cut off.
    pub(super) fn exits(&self) -> BTreeMap<String, Exit> {
        let known = self.known();
        let mut exits = known.exits.clone();
        let cut_off = known.under_way.iter();
        exits.extend(cut_off.map(|name| (name.clone(), Exit::Killed)));
        exits
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change leaves it consistent, also in a panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::time::Duration;
    use tokio::sync::oneshot;

    fn killed(name: &str) -> BTreeMap<String, Exit> {
        BTreeMap::from([(name.to_owned(), Exit::Killed)])
    }

    #[tokio::test]
    async fn only_those_that_the_end_of_the_process_finds_under_way_are_told() {
        let removals = Removals::default();
        removals.see("before", ready(Ok(Exit::Killed))).await;
        assert_eq!(removals.exits(), BTreeMap::new());
        let (kill, is_killed) = oneshot::channel();
        let under_way = removals.see("under way", async {
            is_killed.await.unwrap();
            Ok(Exit::Killed)
        });
        let process = async {
            removals.process_ends();
            kill.send(()).unwrap();
        };
        tokio::join!(under_way, process);
        assert_eq!(removals.exits(), killed("under way"));

        let not_there = Unchanged::Unknown("ends with the process".to_owned());
        removals.see("told by others", ready(Err(not_there))).await;
        assert_eq!(removals.exits(), killed("under way"));
    }

    #[tokio::test]
    async fn one_that_is_cut_off_counts_as_killed() {
        let removals = Removals::default();
        removals.process_ends();
        let stuck = removals.see("stuck", pending());
        let cut_off = tokio::time::timeout(Duration::ZERO, stuck).await;
        assert!(cut_off.is_err());
        assert_eq!(removals.exits(), killed("stuck"));
    }
}
