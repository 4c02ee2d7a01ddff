//! What Kafka Connect's REST API sends and takes, field by field as its own `rest.entities` have it.

use crate::FlatConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `GET /`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// The version of Kafka Connect whose API this is: clients gate what they do on it.
    pub version: String,
    /// Of this program.
    pub commit: String,
    /// Of the log.
    pub kafka_cluster_id: String,
}

/// `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// `healthy`, `starting` or `unhealthy`.
    pub status: String,
    /// For people.
    pub message: String,
}

/// A task of a connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskId {
    /// The connector.
    pub connector: String,
    /// From 0.
    pub task: u32,
}

/// Which end a connector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorType {
    /// Produces into the log.
    Source,
    /// Consumes from the log.
    Sink,
}

/// A connector as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorInfo {
    /// Its name.
    pub name: String,
    /// Its config, secrets masked.
    pub config: FlatConfig,
    /// Its tasks.
    pub tasks: Vec<TaskId>,
    /// Which end it is.
    #[serde(rename = "type")]
    pub end: ConnectorType,
}

/// What the connector itself is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorState {
    /// UNASSIGNED, RUNNING, PAUSED, STOPPED, FAILED or RESTARTING.
    pub state: String,
    /// The process that runs it.
    pub worker_id: String,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Of its plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What a task is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskState {
    /// From 0.
    pub id: u32,
    /// As of a connector, but never STOPPED: a stopped connector has no tasks.
    pub state: String,
    /// The process that runs it.
    pub worker_id: String,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Of its plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// `GET /connectors/{c}/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorStateInfo {
    /// Its name.
    pub name: String,
    /// Of the connector.
    pub connector: ConnectorState,
    /// Of its tasks.
    pub tasks: Vec<TaskState>,
    /// Which end it is.
    #[serde(rename = "type")]
    pub end: ConnectorType,
}

/// A task and its config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Which one.
    pub id: TaskId,
    /// All tasks of a connector have the connector's config.
    pub config: FlatConfig,
}

/// How far a connector has come in one partition of its origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectorOffset {
    /// Of a sink `{kafka_topic, kafka_partition}`; of a source what its plugin says.
    pub partition: BTreeMap<String, Value>,
    /// Of a sink `{kafka_offset}`. None in a request resets it.
    pub offset: Option<BTreeMap<String, Value>>,
}

/// `GET`, `PATCH /connectors/{c}/offsets`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectorOffsets {
    /// By partition.
    pub offsets: Vec<ConnectorOffset>,
}

/// What was done, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// For people.
    pub message: String,
}

/// Topics that a connector has used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveTopics {
    /// Their names.
    pub topics: Vec<String>,
}

/// A plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// What `connector.class` says.
    pub class: String,
    /// `source`, `sink` or `transformation`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A key of a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigKeyInfo {
    /// The key.
    pub name: String,
    /// BOOLEAN, STRING, INT, LONG, DOUBLE, LIST or PASSWORD.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether there is no default.
    pub required: bool,
    /// What stands in when it is left out.
    pub default_value: Option<String>,
    /// HIGH, MEDIUM or LOW.
    pub importance: String,
    /// What it means.
    pub documentation: String,
    /// What it is shown with.
    pub group: Option<String>,
    /// Where in its group, from 1.
    pub order: i32,
    /// SHORT, MEDIUM, LONG or NONE.
    pub width: String,
    /// A title.
    pub display_name: String,
    /// Keys that depend on it.
    pub dependents: Vec<String>,
}

/// What a config says for a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigValueInfo {
    /// The key.
    pub name: String,
    /// The value or the default, masked if it is a secret.
    pub value: Option<String>,
    /// What else it may be.
    pub recommended_values: Vec<String>,
    /// What is wrong.
    pub errors: Vec<String>,
    /// Whether a form shows it.
    pub visible: bool,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigInfo {
    /// The key.
    pub definition: ConfigKeyInfo,
    /// The value.
    pub value: ConfigValueInfo,
}

/// The answer to validation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigInfos {
    /// The plugin.
    pub name: String,
    /// Keys with errors.
    pub error_count: usize,
    /// Groups of keys.
    pub groups: Vec<String>,
    /// All keys.
    pub configs: Vec<ConfigInfo>,
}

/// The level of a logger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggerLevel {
    /// ERROR, WARN, INFO, DEBUG, TRACE or OFF.
    pub level: String,
    /// ms since 1970, if it was changed since the start.
    pub last_modified: Option<i64>,
}
