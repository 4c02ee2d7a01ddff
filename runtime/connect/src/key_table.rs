//! What is told of each key that the runtime itself understands.

use crate::keys::{
    BOUNDARY, BOUNDARY_MS, CLASS, COMMIT_BYTES, COMMIT_EVERY, COMMIT_ROWS, DEAD_LETTER_HEADERS,
    DEAD_LETTERS, DELIVERY, EXACTLY_ONCE, GRANT, KEY_CONVERTER, Key, LOG_ENABLE, LOG_MESSAGES,
    NAME, NEW_PARTITIONS, NEW_REPLICATION, OFFSET_RESET, RELOAD, RETRY_TIMEOUT, TASKS_ENFORCE,
    TASKS_MAX, TOLERANCE, TOPICS, TRANSACTION_RECORDS, VALUE_CONVERTER, VERSION,
};
use jackfield_config::End;

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
