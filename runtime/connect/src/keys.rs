//! The keys that the runtime itself understands, in Kafka Connect's names where it has one.

use jackfield_config::End;

/// A key that is honoured.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// As Kafka's `ConfigDef.Type`.
    pub(crate) kind: &'static str,
    pub(crate) default: Option<&'static str>,
    pub(crate) required: bool,
    /// The only end that has it; none: both.
    pub(crate) end: Option<End>,
    pub(crate) importance: &'static str,
    pub(crate) group: &'static str,
    pub(crate) title: &'static str,
    /// Words that it may be, if it is one of some.
    pub(crate) words: &'static [&'static str],
    pub(crate) doc: &'static str,
}

impl Key {
    pub(crate) fn is_of(&self, end: End) -> bool {
        self.end.is_none_or(|only| only == end)
    }
}

pub(crate) const NAME: &str = "name";
pub(crate) const CLASS: &str = "connector.class";
pub(crate) const VERSION: &str = "connector.plugin.version";
pub(crate) const TASKS_MAX: &str = "tasks.max";
pub(crate) const TASKS_ENFORCE: &str = "tasks.max.enforce";
pub(crate) const TOPICS: &str = "topics";
pub(crate) const KEY_CONVERTER: &str = "key.converter";
pub(crate) const VALUE_CONVERTER: &str = "value.converter";
pub(crate) const RELOAD: &str = "config.action.reload";
pub(crate) const TOLERANCE: &str = "errors.tolerance";
pub(crate) const RETRY_TIMEOUT: &str = "errors.retry.timeout";
pub(crate) const LOG_ENABLE: &str = "errors.log.enable";
pub(crate) const LOG_MESSAGES: &str = "errors.log.include.messages";
pub(crate) const DEAD_LETTERS: &str = "errors.deadletterqueue.topic.name";
pub(crate) const DEAD_LETTER_HEADERS: &str = "errors.deadletterqueue.context.headers.enable";
pub(crate) const EXACTLY_ONCE: &str = "exactly.once.support";
pub(crate) const BOUNDARY: &str = "transaction.boundary";
pub(crate) const BOUNDARY_MS: &str = "transaction.boundary.interval.ms";
pub(crate) const NEW_PARTITIONS: &str = "topic.creation.default.partitions";
pub(crate) const NEW_REPLICATION: &str = "topic.creation.default.replication.factor";
/// Further configs of topics that are created.
pub(crate) const NEW_CONFIGS: &str = "topic.creation.default.";
pub(crate) const OFFSET_RESET: &str = "consumer.override.auto.offset.reset";
pub(crate) const DELIVERY: &str = "jackfield.delivery";
pub(crate) const GRANT: &str = "jackfield.grant";
pub(crate) const COMMIT_EVERY: &str = "jackfield.commit.every";
pub(crate) const COMMIT_ROWS: &str = "jackfield.commit.rows";
pub(crate) const COMMIT_BYTES: &str = "jackfield.commit.bytes";
pub(crate) const TRANSACTION_RECORDS: &str = "jackfield.transaction.records";
/// The topic of a feed.
pub(crate) const TOPIC_OF: &str = "topic.";
/// Settings of the plugin whose names the runtime has taken.
pub(crate) const SETTINGS: &str = "settings";

const COMMON: &str = "Common";
const TASKS: &str = "Tasks";
const ERRORS: &str = "Error Handling";
const CREATION: &str = "Topic Creation";
const DELIVERING: &str = "Delivery";

const fn key(
    name: &'static str,
    kind: &'static str,
    group: &'static str,
    doc: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default: None,
        required: false,
        end: None,
        importance: "MEDIUM",
        group,
        title: name,
        words: &[],
        doc,
    }
}

/// All of them, in the order in which they are shown.
pub(crate) static KEYS: &[Key] = &[
    Key {
        required: true,
        importance: "HIGH",
        title: "Connector name",
        ..key(
            NAME,
            "STRING",
            COMMON,
            "Unique among all connectors, and it never changes.",
        )
    },
    Key {
        required: true,
        importance: "HIGH",
        title: "Connector class",
        ..key(
            CLASS,
            "STRING",
            COMMON,
            "The plugin's name in the file's `plugins`.",
        )
    },
    Key {
        title: "Connector version",
        ..key(
            VERSION,
            "STRING",
            COMMON,
            "The version that the plugin must have; empty or `latest`: any.",
        )
    },
    Key {
        default: Some("1"),
        importance: "HIGH",
        title: "Tasks max",
        ..key(
            TASKS_MAX,
            "INT",
            TASKS,
            "Tasks of a sink, which share its partitions; most shares that a source may split its work into.",
        )
    },
    Key {
        default: Some("true"),
        importance: "LOW",
        title: "Enforce tasks max",
        words: &["true"],
        ..key(
            TASKS_ENFORCE,
            "BOOLEAN",
            TASKS,
            "There are never more tasks than `tasks.max`.",
        )
    },
    Key {
        required: true,
        end: Some(End::Sink),
        importance: "HIGH",
        title: "Topics",
        ..key(
            TOPICS,
            "LIST",
            COMMON,
            "What it reads: names of topics, separated by commas.",
        )
    },
    Key {
        importance: "LOW",
        title: "Key converter class",
        words: &["org.apache.kafka.connect.storage.StringConverter"],
        ..key(
            KEY_CONVERTER,
            "CLASS",
            COMMON,
            "Keys are UTF-8 strings; nothing else can be asked for.",
        )
    },
    Key {
        importance: "LOW",
        title: "Value converter class",
        words: &[
            "io.confluent.connect.avro.AvroConverter",
            "org.apache.kafka.connect.json.JsonConverter",
        ],
        ..key(
            VALUE_CONVERTER,
            "CLASS",
            COMMON,
            "What `format` of the log already is; nothing else can be asked for.",
        )
    },
    Key {
        default: Some("restart"),
        importance: "LOW",
        title: "Reload Action",
        words: &["none", "restart"],
        ..key(
            RELOAD,
            "STRING",
            COMMON,
            "Configs hold no variables, so nothing outside of them can change.",
        )
    },
    Key {
        default: Some("none"),
        title: "Error Tolerance",
        words: &["none", "all"],
        ..key(
            TOLERANCE,
            "STRING",
            ERRORS,
            "A record that can't be delivered, ever, stops the connector (`none`), or is counted and left out (`all`).",
        )
    },
    Key {
        default: Some("300000"),
        title: "Retry Timeout for Errors",
        ..key(
            RETRY_TIMEOUT,
            "LONG",
            ERRORS,
            "A connector that fails and makes no progress for so long is FAILED, ms. It goes on trying until then.",
        )
    },
    Key {
        default: Some("false"),
        title: "Log Errors",
        words: &["false"],
        ..key(
            LOG_ENABLE,
            "BOOLEAN",
            ERRORS,
            "Bad records are counted, and kept as dead letters if a topic is named; they are not logged one by one.",
        )
    },
    Key {
        default: Some("false"),
        title: "Log Error Details",
        words: &["false"],
        ..key(
            LOG_MESSAGES,
            "BOOLEAN",
            ERRORS,
            "What is in records is never logged.",
        )
    },
    Key {
        default: Some(""),
        title: "Dead Letter Queue Topic Name",
        ..key(
            DEAD_LETTERS,
            "STRING",
            ERRORS,
            "Where records go that can't be delivered, with their coordinates and the reason as headers. Needs `errors.tolerance=all`.",
        )
    },
    Key {
        default: Some("true"),
        title: "Enable Error Context Headers",
        words: &["true"],
        ..key(
            DEAD_LETTER_HEADERS,
            "BOOLEAN",
            ERRORS,
            "Dead letters always have them.",
        )
    },
    Key {
        default: Some("requested"),
        end: Some(End::Source),
        title: "Exactly once support",
        words: &["requested", "required"],
        ..key(
            EXACTLY_ONCE,
            "STRING",
            DELIVERING,
            "`required` is the same as `jackfield.delivery=exactly-once`.",
        )
    },
    Key {
        default: Some("poll"),
        end: Some(End::Source),
        title: "Transaction Boundary",
        words: &["poll", "interval"],
        ..key(
            BOUNDARY,
            "STRING",
            DELIVERING,
            "`poll`: a transaction for what there is; `interval`: a record waits for others as long as `transaction.boundary.interval.ms` says.",
        )
    },
    Key {
        end: Some(End::Source),
        importance: "LOW",
        title: "Transaction boundary interval",
        ..key(
            BOUNDARY_MS,
            "LONG",
            DELIVERING,
            "Longest that a record waits for others, ms.",
        )
    },
    Key {
        default: Some("10000"),
        end: Some(End::Source),
        importance: "LOW",
        title: "Records of a transaction",
        ..key(
            TRANSACTION_RECORDS,
            "INT",
            DELIVERING,
            "Most records of one transaction.",
        )
    },
    Key {
        default: Some("1"),
        end: Some(End::Source),
        importance: "LOW",
        title: "Partitions of new topics",
        ..key(
            NEW_PARTITIONS,
            "INT",
            CREATION,
            "Partitions of topics that do not exist yet.",
        )
    },
    Key {
        default: Some("-1"),
        end: Some(End::Source),
        importance: "LOW",
        title: "Replication of new topics",
        words: &["-1"],
        ..key(NEW_REPLICATION, "SHORT", CREATION, "As the log has it.")
    },
    Key {
        default: Some("earliest"),
        end: Some(End::Sink),
        title: "Start",
        words: &["earliest", "latest"],
        ..key(
            OFFSET_RESET,
            "STRING",
            COMMON,
            "Where reading begins when nothing was committed yet.",
        )
    },
    Key {
        default: Some("at-least-once"),
        importance: "HIGH",
        title: "Delivery",
        words: &["at-least-once", "exactly-once"],
        ..key(
            DELIVERY,
            "STRING",
            DELIVERING,
            "What is promised of each record.",
        )
    },
    Key {
        importance: "HIGH",
        title: "Grant",
        ..key(
            GRANT,
            "STRING",
            COMMON,
            "What the plugin may reach: a name in the file's `grants`. Nothing without.",
        )
    },
    Key {
        default: Some("10s"),
        end: Some(End::Sink),
        title: "Commit every",
        ..key(
            COMMIT_EVERY,
            "STRING",
            DELIVERING,
            "Longest that a record waits, put but not visible: `500ms`, `10s`, `5m`.",
        )
    },
    Key {
        default: Some("1000000"),
        end: Some(End::Sink),
        title: "Commit after rows",
        ..key(
            COMMIT_ROWS,
            "LONG",
            DELIVERING,
            "Rows since the last commit, over all tasks.",
        )
    },
    Key {
        default: Some("512MiB"),
        end: Some(End::Sink),
        title: "Commit after bytes",
        ..key(
            COMMIT_BYTES,
            "STRING",
            DELIVERING,
            "Bytes since the last commit, over all tasks: `64MiB`.",
        )
    },
];

/// The key of that name.
pub(crate) fn known(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether a key is the runtime's and not a setting of the plugin: honoured or not.
pub(crate) fn is_taken(name: &str) -> bool {
    known(name).is_some()
        || name == SETTINGS
        || name.starts_with("settings.")
        || name.starts_with(TOPIC_OF)
        || name.starts_with("jackfield.")
        || crate::refused::reason(name).is_some()
}
