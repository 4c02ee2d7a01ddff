//! What the topic of configs says and what runs, brought together: at the start, and when another
//! worker was asked for a change.

use super::store::Kept;
use super::{Herd, Made, target};
use crate::declared::Way;
use crate::failing::Failing;
use jackfield_connect::{FlatConfig, TargetState};
use jackfield_log::LogError;
use jackfield_pipeline::{Target, Unchanged};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often the topic is looked at: a change made at one worker is made at the others so soon.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the first look may take, before connectors of the file start without it.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(10);
/// Before a connector that could not be built is tried again: its lake may have been away.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(10);

impl Herd {
    /// What each connector is to do, before any is started. When the log can't be read now,
    /// connectors start, and learn it from [`reconcile`](Self::reconcile).
    pub(crate) async fn targets(&self) -> BTreeMap<String, Target> {
        let read = tokio::time::timeout(FIRST_LOOK_MAX, self.read_kept()).await;
        let kept = match read {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => {
                tracing::warn!(%error, "what connectors are to do can't be read yet: they start");
                return BTreeMap::new();
            }
            Err(_elapsed) => {
                tracing::warn!("what connectors are to do is not told yet: they start");
                return BTreeMap::new();
            }
        };
        let targets = kept.targets.iter();
        let targets = targets.map(|(name, state)| (name.clone(), target(*state)));
        let targets = targets.collect();
        let mut seen = self.seen();
        seen.targets.clone_from(&kept.targets);
        // As in Kafka Connect, levels that were set before this process began are not its own.
        seen.levels = kept.levels;
        targets
    }

    /// Starts the connectors that are kept, as far as the log tells them now.
    pub(crate) async fn begin(self: &Arc<Self>) {
        let _one = self.changing.lock().await;
        match tokio::time::timeout(FIRST_LOOK_MAX, self.read_kept()).await {
            Ok(Ok(kept)) => self.apply(kept).await,
            Ok(Err(error)) => {
                tracing::warn!(%error, "connectors made over REST can't be looked up yet");
            }
            Err(_elapsed) => {
                tracing::warn!("connectors made over REST are not told yet");
            }
        }
    }

    /// Brings both together until `stop`, and waits then for what is being ended: it has as long as
    /// all that the end of the process ends.
    pub(crate) async fn reconcile(self: Arc<Self>, stop: CancellationToken) {
        self.look_until(stop).await;
        self.endings.all_over(self.loader.grace).await;
    }

    async fn look_until(self: &Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = Failing::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look() => looked,
            };
            // The next look tries again.
            if let Some(error) = failing.first(looked) {
                tracing::warn!(%error, "connectors made over REST can't be looked up for now");
            }
        }
    }

    async fn look(self: &Arc<Self>) -> Result<(), LogError> {
        let _one = self.changing.lock().await;
        let kept = self.read_kept().await?;
        self.apply(kept).await;
        Ok(())
    }

    /// What the topic says, where `/health` hears whether it could be read.
    async fn read_kept(&self) -> Result<Kept, LogError> {
        let read = self.store.read().await;
        self.looks().ended(read.is_ok());
        read
    }

    async fn apply(self: &Arc<Self>, kept: Kept) {
        self.end_what_is_gone(&kept);
        for (name, config) in &kept.connectors {
            self.make_so(name, config, &kept).await;
        }
        self.aim_all(&kept.targets);
        self.hear_levels(&kept);
        *self.seen() = kept;
    }

    /// What is being ended already is looked at again when that is over.
    fn end_what_is_gone(self: &Arc<Self>, kept: &Kept) {
        let gone: Vec<String> = {
            let made = self.made();
            let names = made.keys().filter(|it| !kept.connectors.contains_key(*it));
            let names = names.filter(|it| !self.endings.has(it));
            names.cloned().collect()
        };
        for name in gone {
            self.made().remove(&name);
            let (herd, ending) = (Arc::clone(self), self.endings.begin(&name));
            let connector = name.clone();
            self.endings.spawn(&self.runtime, &name, async move {
                herd.loader.remove_made(&connector).await;
                drop(ending);
            });
        }
    }

    /// Makes one connector what its config says, by the file as it is now.
    async fn make_so(self: &Arc<Self>, name: &str, config: &FlatConfig, kept: &Kept) {
        if self.endings.has(name) {
            return;
        }
        let file = self.loader.config();
        if self.loader.is_declared(name) {
            if self.made().remove(name).is_some() {
                tracing::error!(connector = %name, "made over REST, and declared in the file since: the file's runs");
            }
            return;
        }
        let unchanged = |made: &Made| {
            let refused = made.refused.as_ref();
            made.config == *config
                && Arc::ptr_eq(&made.file, &file)
                && refused.is_none_or(|(_, at)| at.elapsed() < AGAIN_AFTER)
        };
        if self.made().get(name).is_some_and(unchanged) {
            return;
        }
        let made = self.check(name, config, &file).await;
        let checked = match made {
            Ok(checked) => checked,
            Err(objection) => return self.refuse(name, config, file, &objection.message),
        };
        let spec = match self.loader.way(name, &checked.declared) {
            Way::None => None,
            Way::Swap | Way::Replace => match self.build(&checked.declared).await {
                Ok(spec) => Some(spec),
                Err(objection) => return self.refuse(name, config, file, &objection.message),
            },
        };
        self.is_made(name, config.clone(), file, &checked);
        let Some(spec) = spec else {
            return;
        };
        let state = kept.targets.get(name).copied().unwrap_or_default();
        self.seen().targets.insert(name.to_owned(), state);
        if self.loader.declared(name).is_none() {
            let added = self.loader.add_made(checked.declared, spec, target(state));
            return made_so(name, added);
        }
        let (herd, ending) = (Arc::clone(self), self.endings.begin(name));
        let connector = name.to_owned();
        self.endings.spawn(&self.runtime, name, async move {
            let changed = herd.change_over(ending, checked.declared, spec).await;
            made_so(&connector, changed);
        });
    }

    /// It goes on as it was, if it runs.
    fn refuse(
        &self,
        name: &str,
        config: &FlatConfig,
        file: Arc<jackfield_config::Config>,
        why: &str,
    ) {
        let mut made = self.made();
        let before = made.get(name).cloned();
        let said = before.as_ref().and_then(|it| it.refused.as_ref());
        if said.is_none_or(|(said, _)| said != why) {
            tracing::error!(connector = %name, why, "can't run as it was asked for over REST");
        }
        let now = Made {
            config: config.clone(),
            file,
            pipeline: before.and_then(|it| it.pipeline),
            refused: Some((why.to_owned(), Instant::now())),
        };
        made.insert(name.to_owned(), now);
    }

    fn aim_all(&self, targets: &BTreeMap<String, TargetState>) {
        let pipelines = self.loader.pipelines();
        for (name, state) in targets {
            let wanted = target(*state);
            if pipelines.target(name).is_ok_and(|now| now != wanted)
                && let Err(unchanged) = pipelines.set_target(name, wanted)
            {
                tracing::warn!(connector = %name, %unchanged, "is not told what to do");
            }
        }
    }

    fn hear_levels(&self, kept: &Kept) {
        for (logger, level) in &kept.levels {
            if self.seen().levels.get(logger) == Some(level) {
                continue;
            }
            if let Err(error) = self.levels.set(logger, level) {
                tracing::warn!(logger, level, %error, "a level for the whole cluster is not set");
            }
        }
    }
}

fn made_so(name: &str, outcome: Result<(), Unchanged>) {
    match outcome {
        Ok(()) => tracing::info!(connector = %name, "made as it was asked for over REST"),
        // It is kept what it is to be: the next start makes it so.
        Err(Unchanged::Stopping) => {
            tracing::info!(connector = %name, "is not started: the process is stopping");
        }
        Err(why @ (Unchanged::Exists(_) | Unchanged::Unknown(_))) => {
            tracing::error!(connector = %name, %why, "is not started");
        }
    }
}
