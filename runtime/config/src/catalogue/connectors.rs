//! Keys of pipelines and their connectors.

use super::{DAY, Field, GIB, MIB, Need, SECOND, Section, Shape, Text};
use crate::names::NameRule;

/// Instances of one connector: each has a thread's worth of work and its own memory.
const INSTANCES_MAX: u64 = 64;

pub(crate) static PIPELINE: Section = Section {
    id: "pipeline",
    place: "pipelines.<pipeline>",
    what: "a pipeline",
    doc: "A source, the topics it feeds, and sinks. A pipeline may only produce or only consume. Each end is a connector with a name of its own: `<pipeline>-source`, `<pipeline>-<sink>`.",
    fields: &[
        Field {
            key: "delivery",
            shape: Shape::Choice(&[
                ("exactly-once", "none is lost, none is there twice"),
                (
                    "at-least-once",
                    "none is lost; after a fault some may be there twice",
                ),
            ]),
            need: Need::Default("at-least-once"),
            doc: "What is promised of each record.",
        },
        Field {
            key: "source",
            shape: Shape::Section(&SOURCE),
            need: Need::Optional("the pipeline only consumes"),
            doc: "The producing end.",
        },
        Field {
            key: "topics",
            shape: Shape::Map {
                names: NameRule::Feed,
                each: &Shape::Either {
                    short: &Shape::Choice(&[("drop", "the feed is not wanted")]),
                    long: &TOPIC,
                },
            },
            need: Need::Optional("no topics; a source needs some"),
            doc: "Where each feed of the source goes: a topic, or `drop`. A feed that is not named here is an error. Without a source: names for topics that sinks read.",
        },
        Field {
            key: "sinks",
            shape: Shape::Map {
                names: NameRule::Connector,
                each: &Shape::Section(&SINK),
            },
            need: Need::Optional("the pipeline only produces"),
            doc: "The consuming ends, by name.",
        },
        Field {
            key: "retry",
            shape: Shape::Section(&RETRY),
            need: Need::Optional("its own defaults"),
            doc: "How long to go on trying.",
        },
        Field {
            key: "transaction",
            shape: Shape::Section(&TRANSACTION),
            need: Need::Optional("its own defaults"),
            doc: "How a source's batches are gathered into transactions of the log.",
        },
        Field {
            key: "transforms",
            shape: Shape::NotBuiltIn("remove it: sources and sinks can be joined directly"),
            need: Need::Optional("none"),
            doc: "Components between the log and a sink.",
        },
    ],
};

pub(crate) static SOURCE: Section = Section {
    id: "source",
    place: "pipelines.<pipeline>.source",
    what: "a source",
    doc: "The producing end of a pipeline.",
    fields: &[
        Field {
            key: "plugin",
            shape: Shape::Text(Text::Plugin),
            need: Need::Required,
            doc: "A name from `plugins`.",
        },
        Field {
            key: "settings",
            shape: Shape::Settings,
            need: Need::Optional("`{}`"),
            doc: "For the plugin, which says what they mean: `jackfield plugin inspect <file>` shows it. A plugin never sees a secret: `${file:…}` is refused here.",
        },
        Field {
            key: "allow",
            shape: Shape::Section(&SOURCE_GRANTS),
            need: Need::Optional("nothing"),
            doc: "What the plugin may reach. Nothing unless it is named.",
        },
        Field {
            key: "slots",
            shape: Shape::Whole {
                min: 1,
                max: INSTANCES_MAX,
            },
            need: Need::Default("1"),
            doc: "Most shares that the plugin may split its work into. Each is an instance.",
        },
        Field {
            key: "on-bad-record",
            shape: Shape::Either {
                short: &ON_BAD_RECORD,
                long: &DEAD_LETTER,
            },
            need: Need::Default("stop"),
            doc: "What becomes of an event that can never become a record.",
        },
    ],
};

const ON_BAD_RECORD: Shape = Shape::Choice(&[
    (
        "stop",
        "the connector stops there and shows its coordinates",
    ),
    ("skip", "it is counted and left out"),
]);

pub(crate) static DEAD_LETTER: Section = Section {
    id: "on-bad-record",
    place: "pipelines.<pipeline>.(source|sinks.<sink>).on-bad-record",
    what: "`on-bad-record`",
    doc: "What becomes of a record that can't be delivered, ever.",
    fields: &[Field {
        key: "dead-letter",
        shape: Shape::Section(&DEAD_LETTER_TO),
        need: Need::Required,
        doc: "It goes to a topic of its own, with its coordinates and the reason as headers.",
    }],
};

static DEAD_LETTER_TO: Section = Section {
    id: "dead-letter",
    place: "pipelines.<pipeline>.(source|sinks.<sink>).on-bad-record.dead-letter",
    what: "`dead-letter`",
    doc: "Where dead letters go.",
    fields: &[Field {
        key: "topic",
        shape: Shape::Text(Text::Topic),
        need: Need::Required,
        doc: "A topic that no source writes and that this sink does not read. Created with one partition. Connectors may share it.",
    }],
};

pub(crate) static TOPIC: Section = Section {
    id: "topic",
    place: "pipelines.<pipeline>.topics.<feed>",
    what: "a topic",
    doc: "A topic, as it is created when it does not exist. One topic has one writing pipeline.",
    fields: &[
        Field {
            key: "name",
            shape: Shape::Text(Text::Topic),
            need: Need::Required,
            doc: "The topic's name, by Kafka's rules.",
        },
        Field {
            key: "partitions",
            shape: Shape::Whole { min: 1, max: 1000 },
            need: Need::Default("1"),
            doc: "Into how many partitions records are spread, by key.",
        },
        Field {
            key: "retention",
            shape: Shape::Time {
                min_ms: SECOND,
                max_ms: 3650 * DAY,
                forever: true,
            },
            need: Need::Optional("as the log has it"),
            doc: "How long records are kept.",
        },
        Field {
            key: "retention-bytes",
            shape: Shape::Size {
                min: MIB,
                max: 1024 * 1024 * GIB,
            },
            need: Need::Optional("as the log has it"),
            doc: "How much of each partition is kept.",
        },
        Field {
            key: "format",
            shape: super::log::FORMAT,
            need: Need::Optional("as the log has it"),
            doc: "How records lie in Kafka; the embedded log has one form only.",
        },
        Field {
            key: "configs",
            shape: Shape::Map {
                names: NameRule::TopicSetting,
                each: &Shape::Text(Text::TopicSetting),
            },
            need: Need::Optional("none"),
            doc: "Further configs by Kafka's names, such as `compression.type: zstd`. A log passes over those that mean nothing to it.",
        },
    ],
};

pub(crate) static SINK: Section = Section {
    id: "sink",
    place: "pipelines.<pipeline>.sinks.<sink>",
    what: "a sink",
    doc: "A consuming end of a pipeline.",
    fields: &[
        Field {
            key: "plugin",
            shape: Shape::Text(Text::Plugin),
            need: Need::Required,
            doc: "A name from `plugins`.",
        },
        Field {
            key: "topics",
            shape: Shape::List {
                each: &Shape::Text(Text::FeedOrTopic),
                min: 1,
            },
            need: Need::Required,
            doc: "What it reads: feeds of this pipeline, or names of topics that are declared anywhere in the file.",
        },
        Field {
            key: "tasks",
            shape: Shape::Whole {
                min: 1,
                max: INSTANCES_MAX,
            },
            need: Need::Default("1"),
            doc: "How many instances share the partitions. One more commits.",
        },
        Field {
            key: "commit",
            shape: Shape::Section(&COMMIT),
            need: Need::Optional("its own defaults"),
            doc: "When what was put becomes visible.",
        },
        Field {
            key: "on-bad-record",
            shape: Shape::Either {
                short: &ON_BAD_RECORD,
                long: &DEAD_LETTER,
            },
            need: Need::Default("stop"),
            doc: "What becomes of a record that the plugin rejects.",
        },
        Field {
            key: "settings",
            shape: Shape::Settings,
            need: Need::Optional("`{}`"),
            doc: "For the plugin, which says what they mean: `jackfield plugin inspect <file>` shows it. A plugin never sees a secret: `${file:…}` is refused here.",
        },
        Field {
            key: "allow",
            shape: Shape::Section(&SINK_GRANTS),
            need: Need::Optional("nothing"),
            doc: "What the plugin may reach. Nothing unless it is named.",
        },
        Field {
            key: "start",
            shape: Shape::Choice(&[
                ("earliest", "at the oldest record that is kept"),
                ("latest", "at the next record that is written"),
            ]),
            need: Need::Default("earliest"),
            doc: "Where reading begins when nothing was committed yet.",
        },
    ],
};

static COMMIT: Section = Section {
    id: "commit",
    place: "pipelines.<pipeline>.sinks.<sink>.commit",
    what: "`commit`",
    doc: "Whichever limit is reached first makes a commit due.",
    fields: &[
        Field {
            key: "every",
            shape: Shape::Time {
                min_ms: 100,
                max_ms: DAY,
                forever: false,
            },
            need: Need::Default("10s"),
            doc: "Longest that a record waits, put but not visible.",
        },
        Field {
            key: "rows",
            shape: Shape::Whole {
                min: 1,
                max: 1_000_000_000,
            },
            need: Need::Default("1000000"),
            doc: "Rows since the last commit, over all tasks.",
        },
        Field {
            key: "bytes",
            shape: Shape::Size {
                min: 1024,
                max: 64 * GIB,
            },
            need: Need::Default("512MiB"),
            doc: "Bytes of records since the last commit, over all tasks.",
        },
    ],
};

static RETRY: Section = Section {
    id: "retry",
    place: "pipelines.<pipeline>.retry",
    what: "`retry`",
    doc: "How long to go on trying.",
    fields: &[Field {
        key: "deadline",
        shape: Shape::Time {
            min_ms: SECOND,
            max_ms: 30 * DAY,
            forever: false,
        },
        need: Need::Default("5m"),
        doc: "A connector that fails and makes no progress for so long is FAILED: a person must act.",
    }],
};

static TRANSACTION: Section = Section {
    id: "transaction",
    place: "pipelines.<pipeline>.transaction",
    what: "`transaction`",
    doc: "How a source's batches wait for each other, so that the log makes fewer, larger transactions of them. Whichever limit is reached first ends the wait.",
    fields: &[
        Field {
            key: "linger",
            shape: Shape::Time {
                min_ms: 0,
                max_ms: 60 * SECOND,
                forever: false,
            },
            need: Need::Default("0ms"),
            doc: "Longest that a batch waits for others. A log may gather what comes at once for some milliseconds more.",
        },
        Field {
            key: "records",
            shape: Shape::Whole {
                min: 1,
                max: 1_000_000,
            },
            need: Need::Default("10000"),
            doc: "As many records wait for no more.",
        },
    ],
};

const HTTP: Field = Field {
    key: "http",
    shape: Shape::List {
        each: &Shape::Either {
            short: &Shape::Text(Text::HttpUrl),
            long: &HTTP_GRANT,
        },
        min: 0,
    },
    need: Need::Optional("no requests"),
    doc: "Where requests may go: to these origins, at and below these paths. The short form is the URL.",
};

const WEBSOCKET: Field = Field {
    key: "websocket",
    shape: Shape::List {
        each: &Shape::Either {
            short: &Shape::Text(Text::WebSocketUrl),
            long: &WEBSOCKET_GRANT,
        },
        min: 0,
    },
    need: Need::Optional("no WebSockets"),
    doc: "Where WebSockets may be opened: at these origins, at and below these paths. The short form is the URL.",
};

const LAKE_OF: Field = Field {
    key: "lake",
    shape: Shape::Text(Text::Lake),
    need: Need::Optional("no lake"),
    doc: "A name from `lakes`: its tables, and the files below its warehouse.",
};

pub(crate) static GRANT: Section = Section {
    id: "grant",
    place: "grants.<grant>",
    what: "a grant",
    doc: "What the plugin of a connector made over REST may reach, if it names this grant. A source has no use for `lake`, a sink none for `websocket`.",
    fields: &[LAKE_OF, WEBSOCKET, HTTP],
};

static SOURCE_GRANTS: Section = Section {
    id: "source-grants",
    place: "pipelines.<pipeline>.source.allow",
    what: "what a source may be allowed",
    doc: "What a source's plugin may reach.",
    fields: &[WEBSOCKET, HTTP],
};

static SINK_GRANTS: Section = Section {
    id: "sink-grants",
    place: "pipelines.<pipeline>.sinks.<sink>.allow",
    what: "what a sink may be allowed",
    doc: "What a sink's plugin may reach.",
    fields: &[LAKE_OF, HTTP],
};

pub(crate) static WEBSOCKET_GRANT: Section = Section {
    id: "websocket-grant",
    place: "pipelines.<pipeline>.source.allow.websocket[]",
    what: "a WebSocket grant",
    doc: "Where WebSockets may be opened.",
    fields: &[Field {
        key: "url",
        shape: Shape::Text(Text::WebSocketUrl),
        need: Need::Required,
        doc: "`wss://host/path`: this origin, at and below this path.",
    }],
};

pub(crate) static HTTP_GRANT: Section = Section {
    id: "http-grant",
    place: "pipelines.<pipeline>.(source|sinks.<sink>).allow.http[]",
    what: "an HTTP grant",
    doc: "Where requests may go, and what the host adds to them.",
    fields: &[
        Field {
            key: "url",
            shape: Shape::Text(Text::HttpUrl),
            need: Need::Required,
            doc: "`https://host/path`: this origin, at and below this path.",
        },
        Field {
            key: "headers",
            shape: Shape::Map {
                names: NameRule::Header,
                each: &Shape::Secret(Text::Header),
            },
            need: Need::Optional("none"),
            doc: "Added by the host on the way out, unseen by the plugin: `{ X-MBX-APIKEY: \"${file:/run/secrets/key}\" }`. Never shown.",
        },
    ],
};
