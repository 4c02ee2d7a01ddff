//! Kafka Connect's herder. What is asked is done where connectors run, to its end, whether or not
//! anybody waits for it.

use super::Herd;
use super::catalogue::Known;
use super::objections::{broken, log, not_built, unknown_plugin};
use async_trait::async_trait;
use futures::future::join_all;
use jackfield_admin::{Herder, Objection, Put, Restart};
use jackfield_config::Config;
use jackfield_connect::entities::{
    ConfigInfos, ConfigKeyInfo, ConnectorInfo, ConnectorOffset, ConnectorOffsets,
    ConnectorStateInfo, Message, PluginInfo, TaskInfo, WorkerStatus,
};
use jackfield_connect::{FlatConfig, TargetState, config_infos, key_infos};
use jackfield_plugin::World;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

/// The herd as the admin server asks it.
pub(crate) struct Shepherd(pub(crate) Arc<Herd>);

impl Shepherd {
    async fn there<T, F>(&self, ask: impl FnOnce(Arc<Herd>) -> F) -> Result<T, Objection>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Objection>> + Send + 'static,
    {
        let asked = self.0.runtime.spawn(ask(Arc::clone(&self.0)));
        asked.await.unwrap_or_else(|error| Err(broken(&error)))
    }
}

#[async_trait]
impl Herder for Shepherd {
    fn cluster(&self) -> String {
        self.0.cluster.clone()
    }

    fn health(&self) -> WorkerStatus {
        self.0.looks().health().status()
    }

    async fn connectors(&self) -> Result<Vec<String>, Objection> {
        Ok(self.0.names())
    }

    async fn info(&self, connector: &str) -> Result<ConnectorInfo, Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move { herd.info_of(&name).await })
            .await
    }

    async fn state(&self, connector: &str) -> Result<ConnectorStateInfo, Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move { herd.state_of(&name).await })
            .await
    }

    async fn tasks(&self, connector: &str) -> Result<Vec<TaskInfo>, Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move { herd.tasks_of(&name).await })
            .await
    }

    async fn create(
        &self,
        connector: &str,
        config: FlatConfig,
        initial: TargetState,
    ) -> Result<ConnectorInfo, Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move {
            herd.make(&name, config, initial).await?;
            herd.info_of(&name).await
        })
        .await
    }

    async fn put(&self, connector: &str, config: FlatConfig) -> Result<Put, Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move { herd.replace(&name, config).await })
            .await
    }

    async fn patch(
        &self,
        connector: &str,
        patch: BTreeMap<String, Option<String>>,
    ) -> Result<ConnectorInfo, Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move { Ok(herd.mend(&name, patch).await?.info) })
            .await
    }

    async fn delete(&self, connector: &str) -> Result<(), Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move { herd.end(&name).await })
            .await
    }

    async fn set_target(&self, connector: &str, target: TargetState) -> Result<(), Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move { herd.aim(&name, target).await })
            .await
    }

    async fn restart(&self, connector: &str, restart: Restart) -> Result<(), Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move { herd.begin_again(&name, restart).await })
            .await
    }

    /// Tasks share their connector's writer and targets: they restart together.
    async fn restart_task(&self, connector: &str, task: u32) -> Result<(), Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move {
            let state = herd.state_of(&name).await?;
            if !state.tasks.iter().any(|it| it.id == task) {
                return Err(Objection {
                    status: 404,
                    code: "unknown-task",
                    message: format!("Unknown task: {name}-{task}"),
                });
            }
            herd.begin_again(&name, Restart::default()).await
        })
        .await
    }

    async fn topics(&self, connector: &str) -> Result<Vec<String>, Objection> {
        self.0.topics_of(connector)
    }

    async fn reset_topics(&self, connector: &str) -> Result<(), Objection> {
        self.0.forget_topics(connector)
    }

    async fn offsets(&self, connector: &str) -> Result<ConnectorOffsets, Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move { herd.offsets_of(&name).await })
            .await
    }

    async fn alter_offsets(
        &self,
        connector: &str,
        offsets: Vec<ConnectorOffset>,
    ) -> Result<Message, Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move { herd.set_offsets(&name, offsets).await })
            .await
    }

    async fn reset_offsets(&self, connector: &str) -> Result<Message, Objection> {
        let name = connector.to_owned();
        self.there(|herd| async move { herd.forget_offsets(&name).await })
            .await
    }

    async fn plugins(&self) -> Result<Vec<PluginInfo>, Objection> {
        self.there(|herd| async move { Ok(herd.plugins().await) })
            .await
    }

    async fn plugin_config(&self, plugin: &str) -> Result<Vec<ConfigKeyInfo>, Objection> {
        let name = plugin.to_owned();
        self.there(|herd| async move { herd.keys(&name).await })
            .await
    }

    async fn validate(&self, plugin: &str, config: FlatConfig) -> Result<ConfigInfos, Objection> {
        let name = plugin.to_owned();
        self.there(|herd| async move { herd.validate(&name, config).await })
            .await
    }

    async fn spread_level(&self, logger: &str, level: &str) -> Result<(), Objection> {
        let (logger, level) = (logger.to_owned(), level.to_owned());
        self.there(|herd| async move {
            let kept = herd.store.keep_level(&logger, &level).await;
            kept.map_err(|error| log("the level can't be told to the others", &error))?;
            herd.seen().levels.insert(logger, level);
            Ok(())
        })
        .await
    }
}

impl Herd {
    /// Those that can be loaded; of others the log tells.
    async fn plugins(&self) -> Vec<PluginInfo> {
        let config = self.loader.config();
        let mut asked = Vec::with_capacity(config.plugins.len());
        for name in config.plugins.keys() {
            asked.push(self.plugin(&config, name));
        }
        // Each is loaded beside the others: the answer waits for the slowest, and not for all.
        let told = join_all(asked).await;
        told.into_iter().flatten().collect()
    }

    async fn plugin(&self, config: &Config, name: &str) -> Option<PluginInfo> {
        match self.catalogue.get(&self.loader, config, name).await? {
            Ok(known) => Some(info(name, &known)),
            Err(error) => {
                tracing::warn!(plugin = %name, %error, "a plugin can't be shown");
                None
            }
        }
    }

    async fn keys(&self, plugin: &str) -> Result<Vec<ConfigKeyInfo>, Objection> {
        let config = self.loader.config();
        let known = self.catalogue.get(&self.loader, &config, plugin).await;
        let known = known.ok_or_else(|| unknown_plugin(plugin))?;
        let known = known.map_err(|error| not_built(&error))?;
        let described = known.described(plugin);
        Ok(key_infos(&described.ok_or_else(|| unknown_plugin(plugin))?))
    }

    async fn validate(&self, plugin: &str, flat: FlatConfig) -> Result<ConfigInfos, Objection> {
        let config = self.loader.config();
        let known = self.catalogue.get(&self.loader, &config, plugin).await;
        let known = known.ok_or_else(|| unknown_plugin(plugin))?;
        let known = known.map_err(|error| not_built(&error))?;
        let described = known.described(plugin);
        let described = described.ok_or_else(|| unknown_plugin(plugin))?;
        let connector = flat.get("name").cloned().unwrap_or_default();
        let stored = self.made().get(&connector).map(|it| it.config.clone());
        let flat = jackfield_connect::unmasked(flat, &stored.unwrap_or_default());
        let errors = match self.read(&connector, &flat, &config, plugin, &known)? {
            Ok(wanted) => self.by_component(&wanted, &known).await?,
            Err(errors) => errors,
        };
        Ok(config_infos(&described, &flat, &errors))
    }
}

fn info(name: &str, known: &Known) -> PluginInfo {
    let kind = match known.loaded.plugin.world() {
        World::Source => "source",
        World::Sink => "sink",
        World::Transform => "transformation",
    };
    PluginInfo {
        class: name.to_owned(),
        kind: kind.to_owned(),
        version: Some(known.loaded.description.version.clone()),
    }
}
