//! Keys at the top of the file, and of its plugins.

use super::admin::ADMIN;
use super::log::LOG;
use super::telemetry::TELEMETRY;
use super::{Field, GIB, GRANT, LAKE, MIB, Need, PIPELINE, SECOND, Section, Shape, Text};
use crate::names::NameRule;

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
            need: Need::Optional(
                "only connectors made over REST run; the file needs `grants` then",
            ),
            doc: "What runs, by name.",
        },
        Field {
            key: "grants",
            shape: Shape::Map {
                names: NameRule::Connector,
                each: &Shape::Section(&GRANT),
            },
            need: Need::Optional("connectors made over REST reach nothing"),
            doc: "What connectors made over REST may reach: such a connector names one of these in `jackfield.grant`. docs/REST.md says how.",
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
