//! The validated configuration: whoever holds a [`Config`] need not check anything in it again.
//!
//! Paths are absolute, variables are replaced, references lead somewhere, names fit their rules,
//! numbers are within their limits, and what was left out has its default.

mod kafka;
mod lake;
mod pipeline;

pub use kafka::{GroupMembership, KafkaLogConfig, RecordFormat, RegistryConfig, Subjects};
pub use lake::{CatalogConfig, LakeConfig, OAuthConfig, RestConfig, StoreOption};
pub use pipeline::{
    BadRecord, CommitConfig, Delivery, FeedTopic, Grants, HttpGrant, PipelineConfig, RetryConfig,
    SinkConfig, SinkTopic, SourceConfig, StartAt, TopicConfig, TransactionConfig, WebSocketGrant,
};

use crate::finding::Findings;
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// A whole file, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The folder that relative paths in the file start from.
    pub base_dir: PathBuf,
    /// What the process keeps beside the log: compiled plugins, above all. Private to it.
    pub state_dir: PathBuf,
    /// Most memory that the components of all connectors may take together, bytes. When it is
    /// given, the sum of the `memory` of every instance that the file asks for fits.
    pub memory_bytes_max: Option<u64>,
    /// What keeps the records between sources and sinks.
    pub log: LogConfig,
    /// The HTTP server of health, metrics and administration.
    pub admin: AdminConfig,
    /// How the process tells about itself.
    pub telemetry: TelemetryConfig,
    /// Places to write tables to, by name. A lake's name is its catalog's name.
    pub lakes: BTreeMap<String, LakeConfig>,
    /// Components, by the name that pipelines use.
    pub plugins: BTreeMap<String, PluginConfig>,
    /// Pipelines by name.
    pub pipelines: BTreeMap<String, PipelineConfig>,
    /// What connectors made over REST may reach, by the name that they refer to.
    pub grants: BTreeMap<String, Grants>,
    /// What is allowed but probably not meant, such as a plugin that nothing uses.
    pub warnings: Findings,
}

/// The log that records pass through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogConfig {
    /// A folder of this process's own.
    Embedded(EmbeddedLogConfig),
    /// A Kafka cluster.
    Kafka(Box<KafkaLogConfig>),
}

/// A log in a local folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedLogConfig {
    /// The folder. Only one process can have it open.
    pub dir: PathBuf,
    /// How long records are kept, by the time they were appended. `None`: for ever.
    pub retention: Option<Duration>,
    /// How much of each partition is kept, bytes. `None`: no limit.
    pub retention_bytes: Option<u64>,
}

/// The HTTP server of health, metrics and administration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Port 0 lets the system choose one. Not loopback only with a token or with `expose`.
    pub listen: SocketAddr,
    /// The bearer token of those who may see and change connectors; none: one of the process's own.
    pub token: Option<Secret>,
    /// Other machines may be let in though the file has no token.
    pub expose: bool,
    /// Who is asked for it. Never [`AdminAuth::None`] where others than this machine are let in.
    pub auth: AdminAuth,
    /// Names that requests may call the server by, beside its addresses. Lower case, no port.
    pub hosts: Vec<String>,
    /// Whose files a swap may name, if any.
    pub components: Option<PathBuf>,
    /// HTTPS, if these are given.
    pub tls: Option<AdminTls>,
}

/// Who may see and change connectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAuth {
    /// Whoever has the token.
    Token,
    /// Whoever reaches the server.
    None,
}

/// Files of the admin server's certificate, PEM. That they exist is for the server to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminTls {
    /// The certificate and its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How the process tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// Shape of the log lines.
    pub format: LogFormat,
    /// Least important level that is written.
    pub level: LogLevel,
    /// Where metrics and traces are pushed to, if anywhere.
    pub otlp: Option<OtlpConfig>,
}

/// A receiver of OpenTelemetry's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpConfig {
    /// The receiver's origin, and a path if it has one.
    pub endpoint: Url,
    /// How it is said on the wire.
    pub protocol: OtlpProtocol,
    /// Headers of each request; names in lower case.
    pub headers: BTreeMap<String, Secret>,
    /// Between two pushes.
    pub interval: Duration,
    /// One record in so many is traced. `None`: none is.
    pub sample: Option<NonZeroU32>,
}

/// How OTLP is said on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// Protocol buffers over HTTP.
    Http,
    /// JSON over HTTP.
    HttpJson,
    /// gRPC.
    Grpc,
}

/// Shape of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Importance of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Data loss, or someone must act.
    Error,
    /// Something went wrong and was dealt with.
    Warn,
    /// What happened, seldom enough to read.
    Info,
    /// Why it happened.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level's name in lower case, as `tracing` filters write it.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// A component file and what it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginConfig {
    /// The component, an absolute path. That it exists is for the loader to say.
    pub file: PathBuf,
    /// What the file's SHA-256 must be: 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// Most linear memory of one instance, bytes.
    pub memory_bytes_max: u64,
    /// Longest that one `poll` or `put` may run before it is stopped. `None`: as the host has it.
    pub call_time_max: Option<Duration>,
}

/// Which end of a pipeline a connector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Produces into the log.
    Source,
    /// Consumes from the log.
    Sink,
}

/// A connector by name: the unit that the admin API, metrics and swaps speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorRef<'a> {
    /// `<pipeline>-source` or `<pipeline>-<sink>`.
    pub name: &'a str,
    /// The pipeline it belongs to.
    pub pipeline: &'a str,
    /// Which end it is.
    pub end: End,
    /// The plugin's name in [`Config::plugins`].
    pub plugin: &'a str,
}

impl Config {
    /// All connectors of the file, by pipeline, the source first.
    pub fn connectors(&self) -> impl Iterator<Item = ConnectorRef<'_>> {
        self.pipelines.iter().flat_map(|(name, pipeline)| {
            let source = pipeline.source.iter().map(move |source| ConnectorRef {
                name: &source.connector,
                pipeline: name,
                end: End::Source,
                plugin: &source.plugin,
            });
            let sinks = pipeline.sinks.values().map(move |sink| ConnectorRef {
                name: &sink.connector,
                pipeline: name,
                end: End::Sink,
                plugin: &sink.plugin,
            });
            source.chain(sinks)
        })
    }
}
