//! A pipeline: a source, the topics it feeds, the sinks that read them.

use super::RecordFormat;
use crate::secret::Secret;
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

/// A source, the topics of its feeds, and sinks: each optional, at least one end there.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineConfig {
    /// What is promised of each record.
    pub delivery: Delivery,
    /// The producing end.
    pub source: Option<SourceConfig>,
    /// Where each feed's records go. Without a source: names for topics that sinks read.
    pub topics: BTreeMap<String, FeedTopic>,
    /// The consuming ends, by name.
    pub sinks: BTreeMap<String, SinkConfig>,
    /// How long to go on trying.
    pub retry: RetryConfig,
    /// How a source's batches are gathered into transactions of the log.
    pub transaction: TransactionConfig,
}

/// What is promised of each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// None is lost; after a fault some may be there twice.
    AtLeastOnce,
    /// None is lost, none is there twice.
    ExactlyOnce,
}

/// The producing end of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceConfig {
    /// `<pipeline>-source`.
    pub connector: String,
    /// The plugin's name in [`Config::plugins`](super::Config::plugins).
    pub plugin: String,
    /// For the plugin; to be checked against its schema by [`Settings::check`].
    pub settings: Settings,
    /// What the plugin may reach. A source has no lake.
    pub allow: Grants,
    /// Most shares that the work is split into.
    pub slots_max: u32,
    /// For events that can never become records.
    pub on_bad_record: BadRecord,
}

/// Where the records of a feed go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedTopic {
    /// Into a topic.
    Topic(TopicConfig),
    /// Nowhere: the feed is not wanted.
    Drop,
}

/// A topic, as it is created when it does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// By Kafka's rules.
    pub name: String,
    /// At least 1.
    pub partitions: i32,
    /// Kafka's names and values (`retention.ms`, `retention.bytes`, and what `configs:` says).
    pub configs: BTreeMap<String, String>,
    /// How records lie in Kafka. `None`: as the log has it.
    pub format: Option<RecordFormat>,
}

/// A consuming end of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkConfig {
    /// `<pipeline>-<sink>`.
    pub connector: String,
    /// The plugin's name in [`Config::plugins`](super::Config::plugins).
    pub plugin: String,
    /// What it reads; at least one, none twice.
    pub topics: Vec<SinkTopic>,
    /// How many instances share the partitions.
    pub tasks: u32,
    /// When what was put becomes visible.
    pub commit: CommitConfig,
    /// For records that the plugin rejects.
    pub on_bad_record: BadRecord,
    /// For the plugin; to be checked against its schema by [`Settings::check`].
    pub settings: Settings,
    /// What the plugin may reach. A sink has no WebSockets.
    pub allow: Grants,
    /// Where reading begins when nothing was committed yet.
    pub start: StartAt,
}

/// A topic that a sink reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkTopic {
    /// The topic's name.
    pub name: String,
    /// The partitions it is created with when it does not exist.
    pub partitions: i32,
    /// The configs it is created with when it does not exist.
    pub configs: BTreeMap<String, String>,
    /// How records lie in Kafka. `None`: as the log has it.
    pub format: Option<RecordFormat>,
}

/// Whichever limit is reached first makes a commit due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitConfig {
    /// Longest time that a record waits, put but not visible.
    pub every: Duration,
    /// Rows since the last commit, over all tasks.
    pub rows_max: u64,
    /// Bytes since the last commit, over all tasks.
    pub bytes_max: u64,
}

/// What becomes of a record that can't be delivered, ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadRecord {
    /// The connector stops there and shows its coordinates.
    Stop,
    /// It is counted and left out.
    Skip,
    /// It goes to a topic of its own, with its coordinates and the reason as headers.
    DeadLetter {
        /// A topic that no source writes and that this sink does not read.
        topic: String,
    },
}

/// Where reading begins when nothing was committed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// At the oldest record that is kept.
    Earliest,
    /// At the next record that is written.
    Latest,
}

/// What a plugin may reach. Nothing unless it is named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// A name in [`Config::lakes`](super::Config::lakes).
    pub lake: Option<String>,
    /// Where requests may go.
    pub http: Vec<HttpGrant>,
    /// Where WebSockets may be opened.
    pub websocket: Vec<WebSocketGrant>,
}

/// Requests to this origin, at and below this path, are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGrant {
    /// `http` or `https`, without user, query and fragment.
    pub url: Url,
    /// Added by the host to every request under this grant: the plugin never sees them. Names in
    /// lower case.
    pub headers: BTreeMap<String, Secret>,
}

/// WebSockets to this origin, at and below this path, are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketGrant {
    /// `ws` or `wss`, without user, query and fragment.
    pub url: Url,
}

/// How long to go on trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// A connector that makes no progress for so long is FAILED.
    pub deadline: Duration,
}

/// How a source's batches wait for each other, so that the log makes larger transactions of them.
/// Whichever limit is reached first ends the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionConfig {
    /// Longest time that a batch waits for others. Zero: not at all.
    pub linger: Duration,
    /// Records that wait for no more.
    pub records_max: u32,
}
