//! Connectors that are being ended. One that is stuck takes as long as it may drain, and nobody who
//! changes another one waits for that.

use super::Herd;
use super::objections::{unchanged, unknown};
use crate::declared::Declared;
use crate::wiring::Spec;
use jackfield_admin::Objection;
use std::collections::BTreeSet;
use tokio::sync::{MutexGuard, watch};

/// Names of those that are being ended.
#[derive(Default)]
pub(super) struct Endings(watch::Sender<BTreeSet<String>>);

/// One that is being ended, until this is dropped.
pub(super) struct Ending {
    name: String,
    all: watch::Sender<BTreeSet<String>>,
}

impl Endings {
    /// From now on this one is being ended. Called while nobody else changes anything.
    pub(super) fn begin(&self, name: &str) -> Ending {
        self.0.send_modify(|all| {
            all.insert(name.to_owned());
        });
        Ending {
            name: name.to_owned(),
            all: self.0.clone(),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.borrow().contains(name)
    }

    async fn over(&self, name: &str) {
        let mut all = self.0.subscribe();
        let over = all.wait_for(|all| !all.contains(name)).await;
        // Where nobody is left who could end anything, it is over too.
        drop(over);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.all.send_modify(|all| {
            all.remove(&self.name);
        });
    }
}

impl Herd {
    /// The turn to change this connector, once it is not being ended any more.
    pub(super) async fn turn(&self, connector: &str) -> MutexGuard<'_, ()> {
        loop {
            self.endings.over(connector).await;
            let turn = self.changing.lock().await;
            if !self.endings.has(connector) {
                return turn;
            }
        }
    }

    /// Ends what runs, and starts what is to run instead of it. Others have their turns meanwhile.
    pub(super) async fn change_over(
        &self,
        ending: Ending,
        declared: Declared,
        spec: Spec,
    ) -> Result<(), Objection> {
        let connector = declared.connector().to_owned();
        self.loader.remove_made(&connector).await;
        let _turn = self.changing.lock().await;
        drop(ending);
        if !self.made().contains_key(&connector) {
            return Err(unknown(&connector));
        }
        let target = self.target_of(&connector);
        let added = self.loader.add_made(declared, spec, target);
        added.map_err(|it| unchanged(&it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_one_waits_for_no_other() {
        let endings = Endings::default();
        let (one, other) = (endings.begin("one"), endings.begin("other"));
        assert!(endings.has("one") && !endings.has("third"));
        endings.over("third").await;
        drop(one);
        endings.over("one").await;
        assert!(endings.has("other"));
        drop(other);
        endings.over("other").await;
    }
}
