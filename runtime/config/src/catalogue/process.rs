//! Keys of the process: the log, lakes, plugins, and what it tells of itself.

use super::{Field, LAKE, Need, PIPELINE, Section, Shape, Text};
use crate::names::NameRule;

const SECOND: u64 = 1000;
const DAY: u64 = 24 * 3600 * SECOND;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

pub(crate) static FILE: Section = Section {
    id: "file",
    place: "",
    what: "the file",
    doc: "Keys at the top. Keys that begin with `x-` are left alone: a place for YAML anchors.",
    fields: &[
        Field {
            key: "log",
            shape: Shape::Section(&LOG),
            need: Need::Optional("an embedded log with its own defaults"),
            doc: "What keeps the records between sources and sinks.",
        },
        Field {
            key: "lakes",
            shape: Shape::Map {
                names: NameRule::Lake,
                each: &Shape::Section(&LAKE),
            },
            need: Need::Optional("no lakes"),
            doc: "Places to write tables to, by name. A lake's name is its catalog's name: `SqlCatalog(\"local\", …)` in PyIceberg opens the lake `local`.",
        },
        Field {
            key: "plugins",
            shape: Shape::Map {
                names: NameRule::Connector,
                each: &Shape::Either {
                    short: &Shape::Text(Text::Path),
                    long: &PLUGIN,
                },
            },
            need: Need::Optional("no plugins"),
            doc: "WASM components, by the name that pipelines use. The short form is the component's file.",
        },
        Field {
            key: "pipelines",
            shape: Shape::Map {
                names: NameRule::Connector,
                each: &Shape::Section(&PIPELINE),
            },
            need: Need::Required,
            doc: "What runs, by name.",
        },
        Field {
            key: "state",
            shape: Shape::Text(Text::Path),
            need: Need::Default("data/state"),
            doc: "Folder of what the process keeps beside the log, such as compiled plugins. It is private: nobody else may be able to write there.",
        },
        Field {
            key: "memory",
            shape: Shape::Size {
                min: MIB,
                max: 1024 * GIB,
            },
            need: Need::Optional("no bound of its own"),
            doc: "Most memory that all components may take together. Checked before anything runs: the `memory` of the plugin of each connector, times the instances it has (slots; tasks and one committer), has to fit.",
        },
        Field {
            key: "admin",
            shape: Shape::Section(&ADMIN),
            need: Need::Optional("its own defaults"),
            doc: "The HTTP server of health, metrics and administration.",
        },
        Field {
            key: "telemetry",
            shape: Shape::Section(&TELEMETRY),
            need: Need::Optional("its own defaults"),
            doc: "How the process tells about itself.",
        },
    ],
};

static LOG: Section = Section {
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
            shape: Shape::NotBuiltIn("use `embedded: { dir: data/log }`"),
            need: Need::Optional("no Kafka"),
            doc: "A Kafka cluster and its schema registry.",
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

static ADMIN: Section = Section {
    id: "admin",
    place: "admin",
    what: "the admin server",
    doc: "The HTTP server of health, metrics and administration.",
    fields: &[Field {
        key: "listen",
        shape: Shape::Text(Text::Address),
        need: Need::Default("127.0.0.1:8083"),
        doc: "IP address and port. Port 0 takes any that is free. Only this machine can reach the default.",
    }],
};

static TELEMETRY: Section = Section {
    id: "telemetry",
    place: "telemetry",
    what: "telemetry",
    doc: "How the process tells about itself. Metrics are always served below `admin`.",
    fields: &[Field {
        key: "logs",
        shape: Shape::Section(&LOGS),
        need: Need::Optional("its own defaults"),
        doc: "The process's own log lines.",
    }],
};

static LOGS: Section = Section {
    id: "logs",
    place: "telemetry.logs",
    what: "log lines",
    doc: "The process's own log lines, on standard error.",
    fields: &[
        Field {
            key: "format",
            shape: Shape::Choice(&[
                ("auto", "text on a terminal, JSON elsewhere"),
                ("text", "lines for people"),
                ("json", "one JSON object a line"),
            ]),
            need: Need::Default("auto"),
            doc: "Shape of the lines.",
        },
        Field {
            key: "level",
            shape: Shape::Choice(&[
                ("error", "data loss, or someone must act"),
                ("warn", "something went wrong and was dealt with"),
                ("info", "what happened, seldom enough to read"),
                ("debug", "why it happened"),
                ("trace", "everything"),
            ]),
            need: Need::Default("info"),
            doc: "The least important level that is written.",
        },
    ],
};

pub(crate) static PLUGIN: Section = Section {
    id: "plugin",
    place: "plugins.<plugin>",
    what: "a plugin",
    doc: "A WASM component and what it may take.",
    fields: &[
        Field {
            key: "file",
            shape: Shape::Text(Text::Path),
            need: Need::Required,
            doc: "The component. It is copied when it is loaded: overwriting it is harmless.",
        },
        Field {
            key: "sha256",
            shape: Shape::Text(Text::Sha256),
            need: Need::Optional("any file is taken"),
            doc: "The file's SHA-256, as `sha256sum` prints it. Another file is refused before it is compiled.",
        },
        Field {
            key: "memory",
            shape: Shape::Size {
                min: MIB,
                max: 4 * GIB,
            },
            need: Need::Default("256MiB"),
            doc: "Most memory of one instance. Beyond, the instance is replaced.",
        },
        Field {
            key: "call-time",
            shape: Shape::Time {
                min_ms: 10,
                max_ms: 600 * SECOND,
                forever: false,
            },
            need: Need::Optional("the host's own limits"),
            doc: "Longest that one `poll` or `put` may run. Beyond, the instance is replaced.",
        },
    ],
};
