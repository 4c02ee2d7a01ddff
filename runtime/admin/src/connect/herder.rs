//! What Kafka Connect's API asks of whoever runs the connectors. Its word for that is a herder.

use crate::operator::Objection;
use async_trait::async_trait;
use jackfield_connect::entities::{
    ConfigInfos, ConfigKeyInfo, ConnectorInfo, ConnectorOffset, ConnectorOffsets,
    ConnectorStateInfo, Message, PluginInfo, TaskInfo, WorkerStatus,
};
use jackfield_connect::{FlatConfig, TargetState};
use std::collections::BTreeMap;

/// What came of a config that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The connector as it is now.
    pub info: ConnectorInfo,
    /// Whether there was none of this name.
    pub created: bool,
}

/// What a restart is to include.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restart {
    /// Tasks too, not only the connector.
    pub include_tasks: bool,
    /// Only what has FAILED.
    pub only_failed: bool,
}

/// Runs connectors. Answers with an [`Objection`] whose status is the one that Kafka Connect gives:
/// 404 for what is not there, 409 for what is in the way, 400 for what makes no sense. Configs that
/// it gives are masked. It is given up after a while, so what it begins has to be right though
/// nobody waits for its end.
#[async_trait]
pub trait Herder: Send + Sync + 'static {
    /// The log's own name, as `kafka_cluster_id`.
    fn cluster(&self) -> String;

    /// Whether this process can do what it is asked.
    fn health(&self) -> WorkerStatus;

    /// Names of all connectors.
    async fn connectors(&self) -> Result<Vec<String>, Objection>;

    /// A connector as it was made.
    async fn info(&self, connector: &str) -> Result<ConnectorInfo, Objection>;

    /// What a connector is doing.
    async fn state(&self, connector: &str) -> Result<ConnectorStateInfo, Objection>;

    /// A connector's tasks.
    async fn tasks(&self, connector: &str) -> Result<Vec<TaskInfo>, Objection>;

    /// Makes a connector; 409 if there is one of this name.
    async fn create(
        &self,
        connector: &str,
        config: FlatConfig,
        initial: TargetState,
    ) -> Result<ConnectorInfo, Objection>;

    /// Makes a connector or gives one another config.
    async fn put(&self, connector: &str, config: FlatConfig) -> Result<Put, Objection>;

    /// Changes keys of a config; `None` removes one.
    async fn patch(
        &self,
        connector: &str,
        patch: BTreeMap<String, Option<String>>,
    ) -> Result<ConnectorInfo, Objection>;

    /// Ends a connector and forgets it.
    async fn delete(&self, connector: &str) -> Result<(), Objection>;

    /// What a connector is to do from now on.
    async fn set_target(&self, connector: &str, target: TargetState) -> Result<(), Objection>;

    /// Restarts a connector.
    async fn restart(&self, connector: &str, restart: Restart) -> Result<(), Objection>;

    /// Restarts one task of a connector.
    async fn restart_task(&self, connector: &str, task: u32) -> Result<(), Objection>;

    /// Topics that a connector has used since it was asked to forget them.
    async fn topics(&self, connector: &str) -> Result<Vec<String>, Objection>;

    /// Forgets the topics that a connector has used.
    async fn reset_topics(&self, connector: &str) -> Result<(), Objection>;

    /// How far a connector has come.
    async fn offsets(&self, connector: &str) -> Result<ConnectorOffsets, Objection>;

    /// Sets how far a connector has come; 400 unless it is STOPPED.
    async fn alter_offsets(
        &self,
        connector: &str,
        offsets: Vec<ConnectorOffset>,
    ) -> Result<Message, Objection>;

    /// Forgets how far a connector has come; 400 unless it is STOPPED.
    async fn reset_offsets(&self, connector: &str) -> Result<Message, Objection>;

    /// All plugins.
    async fn plugins(&self) -> Result<Vec<PluginInfo>, Objection>;

    /// The keys of a plugin's configs.
    async fn plugin_config(&self, plugin: &str) -> Result<Vec<ConfigKeyInfo>, Objection>;

    /// What is wrong with a config. That something is wrong is no objection.
    async fn validate(&self, plugin: &str, config: FlatConfig) -> Result<ConfigInfos, Objection>;

    /// Tells all other processes of the cluster about a logger's level.
    async fn spread_level(&self, logger: &str, level: &str) -> Result<(), Objection>;
}
