//! Keys of the process: the log, lakes, plugins, and what it tells of itself.

use super::{Field, GRANT, LAKE, Need, PIPELINE, Section, Shape, Text};
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

static ADMIN: Section = Section {
    id: "admin",
    place: "admin",
    what: "the admin server",
    doc: "The HTTP server of health, metrics and administration.",
    fields: &[
        Field {
            key: "listen",
            shape: Shape::Text(Text::Address),
            need: Need::Default("127.0.0.1:8083"),
            doc: "IP address and port. Port 0 takes any that is free. Only this machine can reach the default; any other address needs `token`, or `expose`.",
        },
        Field {
            key: "expose",
            shape: Shape::Choice(&[
                (
                    "false",
                    "other machines are let in only with a `token` of the file",
                ),
                (
                    "true",
                    "whoever reaches the address sees health and metrics; the rest needs the token of the state folder",
                ),
            ]),
            need: Need::Default("false"),
            doc: "Whether to listen on an address that other machines reach though the file has no `token`.",
        },
        Field {
            key: "auth",
            shape: Shape::Choice(&[
                (
                    "token",
                    "the bearer token, or the token as the password of basic authentication with any user",
                ),
                (
                    "none",
                    "nobody is asked: every process on this machine may change connectors. On loopback only",
                ),
            ]),
            need: Need::Default("token"),
            doc: "Who may see and change connectors. `none` is for clients of Kafka Connect that know no token.",
        },
        Field {
            key: "hosts",
            shape: Shape::List {
                each: &Shape::Text(Text::Name),
                min: 0,
            },
            need: Need::Optional("only its addresses, and `localhost` on loopback"),
            doc: "Further names that requests may call this server by, without a port: those of its certificate, or of a Kubernetes service. Any other `Host` is refused, so that no page in a browser comes in under a name of its own.",
        },
        Field {
            key: "components",
            shape: Shape::Text(Text::Path),
            need: Need::Optional("a swap's component is uploaded"),
            doc: "Folder whose files a swap may name instead of uploading a component: `jackfield swap CONNECTOR --named FILE`, `POST /connectors/CONNECTOR/swap?file=FILE`. Nothing outside of it can be named.",
        },
        Field {
            key: "tls",
            shape: Shape::Section(&ADMIN_TLS),
            need: Need::Optional("plain HTTP"),
            doc: "HTTPS instead of HTTP, for all that the server answers.",
        },
        Field {
            key: "token",
            shape: Shape::Secret(Text::Header),
            need: Need::Optional("a random one, kept in `admin-token` in the state folder"),
            doc: "Who may see and change connectors: the bearer token of a request. Health and metrics need none.",
        },
    ],
};

static ADMIN_TLS: Section = Section {
    id: "admin-tls",
    place: "admin.tls",
    what: "`tls`",
    doc: "The server's certificate. Read when the process starts.",
    fields: &[
        Field {
            key: "cert",
            shape: Shape::Text(Text::Path),
            need: Need::Required,
            doc: "PEM file of the certificate and its chain.",
        },
        Field {
            key: "key",
            shape: Shape::Text(Text::Path),
            need: Need::Required,
            doc: "PEM file of its private key.",
        },
    ],
};

static TELEMETRY: Section = Section {
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
