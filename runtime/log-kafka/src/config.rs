//! How a Kafka log is set up.

use crate::properties::{self, Mistake};
use jackfield_log::LogError;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How long a record may take to be acknowledged before its append is given up. As long as a
/// leader change takes with some room; a source holds what it cannot append meanwhile.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a transaction waits for further appends to share it.
const LINGER: Duration = Duration::from_millis(5);
/// Records after which a transaction waits for no more appends.
const TRANSACTION_RECORDS_MAX: usize = 100_000;
/// Appends after which a transaction waits for no more: half of what a source has on its way, so that
/// the next transaction fills up while this one is committed.
const TRANSACTION_APPENDS_MAX: usize = 128;
/// How long a member may take to settle partitions that another one wants.
const REVOKE_MAX: Duration = Duration::from_secs(45);
/// How long a member may be silent before its partitions are given away: also how long those of a
/// killed process wait when it does not come back under its name.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a reader looks whether its topics are still the same.
const TOPIC_CHECK_EVERY: Duration = Duration::from_secs(5);
/// Partitions of the topic of positions: enough that connectors don't wait for each other.
const POSITIONS_PARTITIONS: i32 = 5;

/// Where the cluster is and how it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// The installation: its positions are kept apart from those of others in the same cluster.
    pub cluster: String,
    /// Properties by librdkafka's names, `bootstrap.servers` among them. One that would break a
    /// promise of the log is refused when the log is opened.
    pub properties: BTreeMap<String, String>,
    /// A file that holds the token for `sasl.mechanism: OAUTHBEARER`, a JWT that something else
    /// keeps fresh. Read whenever a token is needed.
    pub oauth_token_file: Option<PathBuf>,
    /// Copies of topics that say nothing else. `None`: as the cluster is set up.
    pub replication: Option<i16>,
    /// The topic of positions. `None`: `<cluster>-offsets`.
    pub positions_topic: Option<String>,
    /// Partitions of the topic of positions, if it is to be created.
    pub positions_partitions: i32,
    /// Whether topics of our own that exist already must be known to be compacted. `false` where
    /// nobody answers for topics' settings, as librdkafka's mock cluster does not.
    pub compaction_checked: bool,
    /// How values and keys lie in topics that are not in `formats`.
    pub format: Format,
    /// How values and keys lie, by topic.
    pub formats: BTreeMap<String, Format>,
    /// What readers are called in their groups.
    pub membership: Membership,
    /// How long a record may take to be acknowledged.
    pub delivery_timeout: Duration,
    /// How long a transaction waits for further appends to share it.
    pub linger: Duration,
    /// Records after which a transaction waits for no more appends.
    pub transaction_records_max: usize,
    /// Appends after which a transaction waits for no more.
    pub transaction_appends_max: usize,
    /// How long a reader may take to release what is revoked; after that it is lost.
    pub revoke_max: Duration,
    /// How long a member of a group may be silent.
    pub session_timeout: Duration,
    /// How often a reader looks whether its topics are still the same.
    pub topic_check_every: Duration,
}

/// How the values and the keys of a topic lie in Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Format {
    /// The values.
    pub value: Encoding,
    /// The keys.
    pub key: Encoding,
}

/// How bytes that may have a schema lie in Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Bytes with a schema have the registry's five bytes before them: a zero and the id. Bytes
    /// without a schema lie as they are.
    #[default]
    Registered,
    /// Bytes lie as they are, and have no schema.
    Plain,
}

/// What readers are called in their groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// Members are known by name, `<worker>-<member>`: one that comes back under its name goes on
    /// with its partitions at once, and fences the one before. Each process of an installation
    /// needs another worker's name, or they fence each other.
    Static {
        /// The process, by a name that it keeps over restarts.
        worker: String,
    },
    /// Members are nameless: whoever joins is a new one, and none is fenced by another.
    Dynamic,
}

impl KafkaConfig {
    /// The cluster at these servers, everything else as it is set up by default.
    pub fn new(bootstrap_servers: &str) -> Self {
        let servers = ("bootstrap.servers".into(), bootstrap_servers.into());
        Self {
            cluster: "jackfield".into(),
            properties: BTreeMap::from([servers]),
            oauth_token_file: None,
            replication: None,
            positions_topic: None,
            positions_partitions: POSITIONS_PARTITIONS,
            compaction_checked: true,
            format: Format::default(),
            formats: BTreeMap::new(),
            membership: Membership::Static {
                worker: "jackfield".into(),
            },
            delivery_timeout: DELIVERY_TIMEOUT,
            linger: LINGER,
            transaction_records_max: TRANSACTION_RECORDS_MAX,
            transaction_appends_max: TRANSACTION_APPENDS_MAX,
            revoke_max: REVOKE_MAX,
            session_timeout: SESSION_TIMEOUT,
            topic_check_every: TOPIC_CHECK_EVERY,
        }
    }

    /// The topic of positions.
    pub fn positions_topic(&self) -> String {
        match &self.positions_topic {
            Some(name) => name.clone(),
            None => format!("{}-offsets", self.cluster),
        }
    }

    /// Everything that is wrong about the properties, with the reason.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = properties::mistakes(&self.properties);
        if self.cluster.is_empty() {
            mistakes.push(Mistake::of_all("the cluster has no name"));
        }
        if self.delivery_timeout.is_zero() {
            let what = "the delivery timeout is zero: nothing could be appended";
            mistakes.push(Mistake::of_all(what));
        }
        mistakes
    }

    pub(crate) fn check(&self) -> Result<(), LogError> {
        let mistakes = self.mistakes();
        if mistakes.is_empty() {
            return Ok(());
        }
        let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Err(LogError::Rejected(mistakes.join("; ")))
    }

    pub(crate) fn format_of(&self, topic: &str) -> Format {
        self.formats.get(topic).copied().unwrap_or(self.format)
    }

    /// How long the brokers keep a transaction open whose writer is gone: readers wait for it.
    pub(crate) fn transaction_timeout(&self) -> Duration {
        self.delivery_timeout + Duration::from_secs(10)
    }

    /// What any client has. Ours win over the user's, which were checked not to be among them.
    pub(crate) fn client(&self, own: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "jackfield");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        // A topic that nobody declared is a mistake, not a topic.
        config.set("allow.auto.create.topics", "false");
        for (name, value) in own {
            config.set(*name, *value);
        }
        config
    }

    /// The same for a client that nobody polls: what it has to say would only pile up. What fails
    /// is told by the call that needed it.
    pub(crate) fn silent(mut config: ClientConfig) -> ClientConfig {
        config.set_log_level(RDKafkaLogLevel::Critical);
        config
    }

    /// The client for questions, whose log is looked at with each question.
    pub(crate) fn terse(mut config: ClientConfig) -> ClientConfig {
        config.set_log_level(RDKafkaLogLevel::Error);
        config
    }

    /// What any producer has.
    pub(crate) fn producer(&self, own: &[(&str, &str)]) -> ClientConfig {
        let mut config = self.client(&[]);
        let unless_set = |config: &mut ClientConfig, name: &str, value: &str| {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        };
        unless_set(&mut config, "compression.codec", "zstd");
        // What a transaction holds is bounded by the appends in flight; these must not be less.
        unless_set(&mut config, "queue.buffering.max.messages", "1000000");
        unless_set(&mut config, "queue.buffering.max.kbytes", "262144");
        // The transaction lingers, so its messages need not.
        unless_set(&mut config, "linger.ms", "1");
        config.set("enable.idempotence", "true");
        config.set("acks", "all");
        // Positions by key, as Java clients place them: Connect's tools write there too.
        config.set("partitioner", "murmur2_random");
        config.set(
            "message.timeout.ms",
            self.delivery_timeout.as_millis().to_string(),
        );
        for (name, value) in own {
            config.set(*name, *value);
        }
        config
    }

    /// The name in the cluster of a group of this installation's.
    pub(crate) fn group(&self, name: &str) -> String {
        format!("{}-{name}", self.cluster)
    }

    /// What any consumer has.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client(&[]);
        let unless_set = |config: &mut ClientConfig, name: &str, value: &str| {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        };
        // For each partition, since each has a queue of its own.
        unless_set(&mut config, "queued.max.messages.kbytes", "1024");
        // It counts values only, and each record costs librdkafka 304 bytes and its key besides. So
        // many records with values of 256 bytes are 1 MiB.
        unless_set(&mut config, "queued.min.messages", "4000");
        unless_set(&mut config, "fetch.message.max.bytes", "524288");
        unless_set(&mut config, "fetch.queue.backoff.ms", "10");
        config.set("group.id", group);
        config.set("isolation.level", "read_committed");
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        // A position that is gone is told, never moved.
        config.set("auto.offset.reset", "error");
        config
    }
}

impl fmt::Debug for KafkaConfig {
    /// Properties by name only: some of their values are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("cluster", &self.cluster)
            .field("properties", &self.properties.keys())
            .field("formats", &self.formats)
            .field("membership", &self.membership)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_compressed_by_zstd_unless_something_else_is_asked_for() {
        let mut config = KafkaConfig::new("localhost:1");
        let codec = |config: &KafkaConfig| {
            let native = config.producer(&[]);
            native.get("compression.codec").map(str::to_owned)
        };
        assert_eq!(codec(&config).as_deref(), Some("zstd"));
        let own = ("compression.codec".to_owned(), "lz4".to_owned());
        config.properties.extend([own]);
        assert_eq!(codec(&config).as_deref(), Some("lz4"));
    }

    /// Records without values count for nothing among the bytes that are fetched ahead.
    #[test]
    fn what_is_fetched_ahead_is_bounded_in_records_too() {
        let mut config = KafkaConfig::new("localhost:1");
        let records = |config: &KafkaConfig| {
            let native = config.consumer("group");
            native.get("queued.min.messages").map(str::to_owned)
        };
        assert_eq!(records(&config).as_deref(), Some("4000"));
        let own = ("queued.min.messages".to_owned(), "100000".to_owned());
        config.properties.extend([own]);
        assert_eq!(records(&config).as_deref(), Some("100000"));
    }
}
