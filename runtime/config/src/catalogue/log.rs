//! Keys of the log: the embedded one, or Kafka with its schema registry.

use super::{DAY, Field, GIB, MIB, Need, SECOND, Section, Shape, Text};
use crate::names::NameRule;

pub(super) static LOG: Section = Section {
    id: "log",
    place: "log",
    what: "a log",
    doc: "What keeps the records between sources and sinks.",
    fields: &[
        Field {
            key: "embedded",
            shape: Shape::Section(&EMBEDDED_LOG),
            need: Need::Optional("its own defaults"),
            doc: "A log in a local folder, of this process alone.",
        },
        Field {
            key: "kafka",
            shape: Shape::Section(&KAFKA_LOG),
            need: Need::Optional("the embedded log"),
            doc: "A Kafka cluster and its schema registry, instead of `embedded`.",
        },
    ],
};

static KAFKA_LOG: Section = Section {
    id: "kafka-log",
    place: "log.kafka",
    what: "a Kafka log",
    doc: "A Kafka cluster and its schema registry. Several processes may run the same file: each connector runs in one of them, the others wait. docs/KAFKA.md says what lies where.",
    fields: &[
        Field {
            key: "bootstrap.servers",
            shape: Shape::Text(Text::Servers),
            need: Need::Required,
            doc: "Some brokers of the cluster.",
        },
        Field {
            key: "schema.registry.url",
            shape: Shape::Secret(Text::RegistryUrls),
            need: Need::Optional("no registry; `format: avro` needs one"),
            doc: "A registry with Confluent's REST API. Of several URLs the next is asked when one does not serve. A path is kept. A URL may hold a user and a password, so it is never shown.",
        },
        Field {
            key: "schema-registry",
            shape: Shape::Section(&SCHEMA_REGISTRY),
            need: Need::Optional("its own defaults"),
            doc: "Who we are to the registry, and whom we trust.",
        },
        Field {
            key: "format",
            shape: FORMAT,
            need: Need::Default("avro"),
            doc: "How records that have a schema lie in topics. A topic may say otherwise.",
        },
        Field {
            key: "subjects",
            shape: Shape::Choice(&[
                ("topic", "`<topic>-value` and `<topic>-key`"),
                ("record", "the record's full name"),
                ("topic-record", "`<topic>-<full name>`"),
            ]),
            need: Need::Default("topic"),
            doc: "Which subject a schema is registered under, by the names of Confluent's strategies. JSON topics are read by `topic` only.",
        },
        Field {
            key: "cluster",
            shape: Shape::Text(Text::Name),
            need: Need::Default("jackfield"),
            doc: "Names this installation: its own topics, groups and writers begin with it, so that several can share a Kafka cluster.",
        },
        Field {
            key: "worker",
            shape: Shape::Text(Text::Name),
            need: Need::Optional(
                "a name that is kept in `state`, another one for each process at a time",
            ),
            doc: "Names this process in consumer groups. It comes back under its name after a restart and goes on at once; two at a time under one name fence each other.",
        },
        Field {
            key: "membership",
            shape: Shape::Choice(&[
                ("static", "by `worker`: who comes back goes on at once"),
                ("dynamic", "nameless: who comes is a new one"),
            ]),
            need: Need::Default("static"),
            doc: "How a process is known in consumer groups. Nameless ones fence nobody there; what a killed one had waits for `session-timeout`, also when it comes back sooner.",
        },
        Field {
            key: "replication",
            shape: Shape::Whole { min: 1, max: 100 },
            need: Need::Optional("as the cluster has it"),
            doc: "Copies of topics that are created.",
        },
        Field {
            key: "positions-topic",
            shape: Shape::Text(Text::Topic),
            need: Need::Optional("`<cluster>-offsets`"),
            doc: "Where sources' positions are kept, in the form of Kafka Connect's offset topic.",
        },
        Field {
            key: "delivery-timeout",
            shape: Shape::Time {
                min_ms: SECOND,
                max_ms: 600 * SECOND,
                forever: false,
            },
            need: Need::Default("30s"),
            doc: "How long a record may take to be acknowledged before its append is given up.",
        },
        Field {
            key: "session-timeout",
            shape: Shape::Time {
                min_ms: 6 * SECOND,
                max_ms: 300 * SECOND,
                forever: false,
            },
            need: Need::Default("10s"),
            doc: "How long a process may be silent before another one takes its connectors over. The brokers bound it (`group.min.session.timeout.ms`).",
        },
        Field {
            key: "oauth-token-file",
            shape: Shape::Text(Text::Path),
            need: Need::Optional("no token"),
            doc: "The token for `sasl.mechanism: OAUTHBEARER`: a JWT that something else keeps fresh.",
        },
        Field {
            key: "properties",
            shape: Shape::Map {
                names: NameRule::Property,
                each: &Shape::Secret(Text::Property),
            },
            need: Need::Optional("librdkafka's own, but for compression by zstd"),
            doc: "Any property of librdkafka, security among them. Those that would break a promise are refused with the reason. Values are never shown; relative paths of `ssl.….location` start at this file's folder.",
        },
    ],
};

/// How records that have a schema lie in a topic of Kafka.
pub(super) const FORMAT: Shape = Shape::Choice(&[
    (
        "avro",
        "the registry's five bytes and the Avro datum, as other clients of the registry write it",
    ),
    (
        "json",
        "JSON text, converted by the newest schema of the topic's subject",
    ),
]);

static SCHEMA_REGISTRY: Section = Section {
    id: "schema-registry",
    place: "log.kafka.schema-registry",
    what: "a schema registry",
    doc: "Who we are to the registry, and whom we trust.",
    fields: &[
        Field {
            key: "user",
            shape: Shape::Text(Text::Name),
            need: Need::Optional("nobody, or whom the URL names"),
            doc: "For basic authentication; or an API key.",
        },
        Field {
            key: "password",
            shape: Shape::Secret(Text::Property),
            need: Need::Optional("none"),
            doc: "The user's; or the API key's secret.",
        },
        Field {
            key: "token",
            shape: Shape::Secret(Text::Property),
            need: Need::Optional("none"),
            doc: "For bearer authentication, instead of a user.",
        },
        Field {
            key: "ca",
            shape: Shape::Text(Text::Path),
            need: Need::Optional("the machine's authorities"),
            doc: "Certificate authorities that are trusted instead, PEM.",
        },
        Field {
            key: "certificate",
            shape: Shape::Text(Text::Path),
            need: Need::Optional("none"),
            doc: "Our certificate with those between it and its authority, PEM. It needs `key`.",
        },
        Field {
            key: "key",
            shape: Shape::Text(Text::Path),
            need: Need::Optional("none"),
            doc: "Its private key, PEM, not encrypted.",
        },
        Field {
            key: "auto-register",
            shape: Shape::Choice(&[
                ("true", "schemas that a subject lacks are registered"),
                ("false", "a person registers them before a source may write"),
            ]),
            need: Need::Default("true"),
            doc: "Who registers schemas.",
        },
    ],
};

static EMBEDDED_LOG: Section = Section {
    id: "embedded-log",
    place: "log.embedded",
    what: "an embedded log",
    doc: "A log in a local folder. Only one process can have it open.",
    fields: &[
        Field {
            key: "dir",
            shape: Shape::Text(Text::Path),
            need: Need::Default("data/log"),
            doc: "The folder.",
        },
        Field {
            key: "retention",
            shape: Shape::Time {
                min_ms: SECOND,
                max_ms: 3650 * DAY,
                forever: true,
            },
            need: Need::Default("7d"),
            doc: "How long records are kept, by the time they were appended. A topic may say otherwise.",
        },
        Field {
            key: "retention-bytes",
            shape: Shape::Size {
                min: MIB,
                max: 1024 * 1024 * GIB,
            },
            need: Need::Optional("no limit"),
            doc: "How much of each partition is kept. A topic may say otherwise.",
        },
    ],
};
