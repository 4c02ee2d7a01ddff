//! Keys of what the process tells of itself.

use super::{Field, Need, SECOND, Section, Shape, Text};
use crate::names::NameRule;

pub(super) static TELEMETRY: Section = Section {
    id: "telemetry",
    place: "telemetry",
    what: "telemetry",
    doc: "How the process tells about itself. Metrics are always served below `admin`.",
    fields: &[
        Field {
            key: "logs",
            shape: Shape::Section(&LOGS),
            need: Need::Optional("its own defaults"),
            doc: "The process's own log lines.",
        },
        Field {
            key: "otlp",
            shape: Shape::Section(&OTLP),
            need: Need::Optional("nothing is pushed"),
            doc: "Where metrics and traces are pushed to.",
        },
    ],
};

static OTLP: Section = Section {
    id: "otlp",
    place: "telemetry.otlp",
    what: "an OTLP receiver",
    doc: "Pushes metrics, and traces of single records, to a receiver of OpenTelemetry's protocol. Pipelines never wait for it: what it does not take in time is given up and counted in `jackfield_telemetry_exports_total`.",
    fields: &[
        Field {
            key: "endpoint",
            shape: Shape::Text(Text::HttpUrl),
            need: Need::Required,
            doc: "The receiver, such as `http://localhost:4318`. Over HTTP `v1/metrics` and `v1/traces` are appended.",
        },
        Field {
            key: "protocol",
            shape: Shape::Choice(&[
                ("http", "protocol buffers over HTTP, usually on port 4318"),
                ("http-json", "JSON over HTTP, usually on port 4318"),
                ("grpc", "gRPC, usually on port 4317"),
            ]),
            need: Need::Default("http"),
            doc: "How it is said on the wire.",
        },
        Field {
            key: "headers",
            shape: Shape::Map {
                names: NameRule::Header,
                each: &Shape::Secret(Text::Header),
            },
            need: Need::Optional("none"),
            doc: "Headers of each request, such as an API key. Values are never shown.",
        },
        Field {
            key: "interval",
            shape: Shape::Time {
                min_ms: SECOND / 10,
                max_ms: 3600 * SECOND,
                forever: false,
            },
            need: Need::Default("30s"),
            doc: "Between two pushes. An answer has as long, but no longer than 10 s.",
        },
        Field {
            key: "sample",
            shape: Shape::Whole {
                min: 0,
                max: 1_000_000_000,
            },
            need: Need::Default("100000"),
            doc: "One record in so many is traced from `poll` to `commit`: of each partition the one at every so many-th offset. 0: none.",
        },
    ],
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
