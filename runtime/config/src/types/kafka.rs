//! A Kafka cluster as the log, and its schema registry.

use crate::placed::Placed;
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A log over a Kafka cluster. What librdkafka says of the properties is for whoever opens it:
/// [`KafkaLogConfig::place`] locates that in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaLogConfig {
    /// `host:port`, several separated by commas.
    pub bootstrap_servers: String,
    /// The schema registry. There is one wherever a topic's format is [`RecordFormat::Avro`].
    pub registry: Option<RegistryConfig>,
    /// How records lie in topics that say nothing else.
    pub format: RecordFormat,
    /// Which subject a schema is registered under.
    pub subjects: Subjects,
    /// Names this installation within the cluster.
    pub cluster: String,
    /// Names this process. `None`: by the machine and the state folder.
    pub worker: Option<String>,
    /// How it is known in consumer groups.
    pub membership: GroupMembership,
    /// Copies of topics that are created. `None`: as the cluster has it.
    pub replication: Option<i16>,
    /// Where positions are kept. `None`: `<cluster>-offsets`.
    pub positions_topic: Option<String>,
    /// How long a record may take to be acknowledged.
    pub delivery_timeout: Duration,
    /// How long a process may be silent before another one takes over.
    pub session_timeout: Duration,
    /// Holds the token for OAUTHBEARER, an absolute path.
    pub oauth_token_file: Option<PathBuf>,
    /// By librdkafka's names; paths in them are absolute.
    pub properties: BTreeMap<String, Secret>,
    /// Where all of this stands in the file.
    pub place: Placed,
}

/// How records that have a schema lie in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFormat {
    /// The registry's five bytes and the Avro datum.
    Avro,
    /// JSON text.
    Json,
}

/// How subjects are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subjects {
    /// By the topic.
    Topic,
    /// By the record.
    Record,
    /// By both.
    TopicRecord,
}

/// How a process is known in consumer groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupMembership {
    /// By its name: who comes back under it goes on at once.
    Static,
    /// Not at all: who comes is a new one.
    Dynamic,
}

/// A registry with Confluent's REST API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// URLs separated by commas; they may hold a user and a password.
    pub urls: Secret,
    /// User and password; never together with a token.
    pub user: Option<(String, Secret)>,
    /// Whoever holds it.
    pub token: Option<Secret>,
    /// Authorities that are trusted instead of the machine's: PEM, an absolute path.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key: PEM, absolute paths.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether schemas that a subject lacks are registered.
    pub auto_register: bool,
}
