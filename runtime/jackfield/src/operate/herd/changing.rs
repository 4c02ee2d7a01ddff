//! Changes: kept in the log, then made so.

use super::making::Checked;
use super::objections::{bad, declared, exists, log, unchanged, unknown};
use super::reconcile::AGAIN_AFTER;
use super::{Herd, Made, target};
use crate::declared::Way;
use jackfield_admin::{Objection, Put, Restart};
use jackfield_config::Config;
use jackfield_connect::{FlatConfig, TargetState, unmasked};
use jackfield_pipeline::{State, Unchanged};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::MutexGuard;

impl Herd {
    pub(super) async fn make(
        &self,
        connector: &str,
        given: FlatConfig,
        initial: TargetState,
    ) -> Result<(), Objection> {
        let _turn = self.turn(connector).await;
        self.make_alone(connector, given, initial).await
    }

    /// While nobody else changes anything.
    async fn make_alone(
        &self,
        connector: &str,
        given: FlatConfig,
        initial: TargetState,
    ) -> Result<(), Objection> {
        let config = self.loader.config();
        self.changeable(connector)?;
        if self.made().contains_key(connector) {
            return Err(exists(connector));
        }
        let checked = self.check(connector, &given, &config).await?;
        let spec = self.build(&checked.declared).await?;
        let kept = |error| log("the connector can't be kept", &error);
        let target_kept = self.store.keep_target(connector, initial).await;
        target_kept.map_err(kept)?;
        self.store.keep(connector, &given).await.map_err(kept)?;
        self.seen().targets.insert(connector.to_owned(), initial);
        self.is_made(connector, given, config, &checked);
        self.loader
            .add_made(checked.declared, spec, target(initial))
            .map_err(|it| unchanged(&it))
    }

    pub(super) async fn replace(
        &self,
        connector: &str,
        given: FlatConfig,
    ) -> Result<Put, Objection> {
        let turn = self.turn(connector).await;
        self.changeable(connector)?;
        let stored = self.made().get(connector).map(|it| it.config.clone());
        let Some(stored) = stored else {
            self.make_alone(connector, given, TargetState::Started)
                .await?;
            let info = self.info_of(connector).await?;
            return Ok(Put {
                info,
                created: true,
            });
        };
        self.replace_in(turn, connector, given, &stored).await
    }

    /// In the turn in which it was looked up what is `stored`, so that it still is.
    async fn replace_in(
        &self,
        turn: MutexGuard<'_, ()>,
        connector: &str,
        given: FlatConfig,
        stored: &FlatConfig,
    ) -> Result<Put, Objection> {
        let config = self.loader.config();
        let given = unmasked(given, stored);
        let checked = self.check(connector, &given, &config).await?;
        let way = self.loader.way(connector, &checked.declared);
        let spec = match way {
            Way::None => None,
            Way::Swap | Way::Replace => Some(self.build(&checked.declared).await?),
        };
        let kept = self.store.keep(connector, &given).await;
        kept.map_err(|error| log("the config can't be kept", &error))?;
        self.is_made(connector, given, config, &checked);
        if let Some(spec) = spec {
            let ending = self.endings.begin(connector);
            drop(turn);
            let changed = self.change_over(ending, checked.declared, spec).await;
            changed.map_err(|it| unchanged(&it))?;
        }
        let info = self.info_of(connector).await?;
        Ok(Put {
            info,
            created: false,
        })
    }

    pub(super) async fn mend(
        &self,
        connector: &str,
        patch: BTreeMap<String, Option<String>>,
    ) -> Result<Put, Objection> {
        // Before the config is read: of two patches at once the later is made to what the earlier
        // left.
        let turn = self.turn(connector).await;
        self.changeable(connector)?;
        let stored = self.made().get(connector).map(|it| it.config.clone());
        let stored = stored.ok_or_else(|| unknown(connector))?;
        let mut config = stored.clone();
        for (key, value) in patch {
            match value {
                _ if key == "name" && value.as_deref() != Some(connector) => {
                    return Err(bad("a connector's name never changes"));
                }
                Some(value) => drop(config.insert(key, value)),
                None => drop(config.remove(&key)),
            }
        }
        self.replace_in(turn, connector, config, &stored).await
    }

    pub(super) async fn end(&self, connector: &str) -> Result<(), Objection> {
        let turn = self.turn(connector).await;
        self.changeable(connector)?;
        if !self.made().contains_key(connector) {
            return Err(unknown(connector));
        }
        let forgotten = self.store.forget(connector).await;
        forgotten.map_err(|error| log("the connector can't be forgotten", &error))?;
        self.made().remove(connector);
        self.seen().targets.remove(connector);
        let ending = self.endings.begin(connector);
        drop(turn);
        self.loader.remove_made(connector).await;
        drop(ending);
        Ok(())
    }

    pub(super) async fn aim(&self, connector: &str, state: TargetState) -> Result<(), Objection> {
        let _turn = self.changing.lock().await;
        self.known(connector)?;
        let kept = self.store.keep_target(connector, state).await;
        kept.map_err(|error| log("the state can't be kept", &error))?;
        self.seen().targets.insert(connector.to_owned(), state);
        match self.loader.pipelines().set_target(connector, target(state)) {
            // It could not be built yet: it is kept what it is to do then.
            Err(Unchanged::Unknown(_)) | Ok(()) => Ok(()),
            Err(other @ (Unchanged::Exists(_) | Unchanged::Stopping)) => Err(unchanged(&other)),
        }
    }

    pub(super) async fn begin_again(
        &self,
        connector: &str,
        restart: Restart,
    ) -> Result<(), Objection> {
        self.known(connector)?;
        let status = self.loader.pipelines().status(connector);
        let failed = status.is_none_or(|it| matches!(it.report().state, State::Failed { .. }));
        if restart.only_failed && !failed {
            return Ok(());
        }
        match self.loader.pipelines().restart(connector) {
            Ok(()) => Ok(()),
            Err(Unchanged::Unknown(_)) => {
                self.try_again(connector);
                Ok(())
            }
            Err(other @ (Unchanged::Exists(_) | Unchanged::Stopping)) => Err(unchanged(&other)),
        }
    }

    /// What could not be built is built with the next look.
    fn try_again(&self, connector: &str) {
        if let Some(made) = self.made().get_mut(connector)
            && let Some((_, at)) = &mut made.refused
        {
            *at = at.checked_sub(AGAIN_AFTER).unwrap_or(*at);
        }
    }

    /// What belongs to the file is changed there.
    fn changeable(&self, connector: &str) -> Result<(), Objection> {
        match self.loader.is_declared(connector) {
            true => Err(declared(connector, self.loader.file_name())),
            false => Ok(()),
        }
    }

    pub(super) fn known(&self, connector: &str) -> Result<(), Objection> {
        let known = self.loader.is_declared(connector) || self.made().contains_key(connector);
        known.then_some(()).ok_or_else(|| unknown(connector))
    }

    pub(super) fn is_made(
        &self,
        connector: &str,
        config: FlatConfig,
        file: Arc<Config>,
        checked: &Checked,
    ) {
        let made = Made {
            config,
            file,
            pipeline: Some(checked.pipeline.clone()),
            refused: None,
        };
        self.made().insert(connector.to_owned(), made);
    }

    pub(super) fn target_of(&self, connector: &str) -> jackfield_pipeline::Target {
        let kept = self.seen().targets.get(connector).copied();
        target(kept.unwrap_or_default())
    }
}
