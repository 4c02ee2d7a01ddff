//! Why nothing was started.

use crate::client::AskError;
use crate::exit::Exit;
use crate::health::Unwell;
use crate::state::StateError;
use jackfield_backup::BackupError;
use jackfield_config::{Findings, LoadError as ConfigError};
use jackfield_log::LogError;
use jackfield_pipeline::Unchanged;
use jackfield_plugin::{BadGrant, CallError, LoadError, NetworkError};
use jackfield_schema::SchemaError;

/// A start that did not happen. Its text is for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Findings(Findings),
    #[error("plugin `{plugin}`: {error}")]
    Plugin { plugin: String, error: LoadError },
    #[error("plugin `{plugin}`: {error}")]
    Describe { plugin: String, error: CallError },
    #[error("{0}")]
    Engine(LoadError),
    #[error("{connector}: {error}")]
    Grant { connector: String, error: BadGrant },
    #[error("{0}")]
    Network(#[from] NetworkError),
    #[error("the log: {0}")]
    Log(#[from] LogError),
    #[error("the schema registry: {0}")]
    Registry(#[from] SchemaError),
    #[error("{0}")]
    RegistrySettings(String),
    #[error("this worker has no name: {0}")]
    Worker(std::io::Error),
    #[error("the lake `{lake}`: {reason}")]
    Lake { lake: String, reason: String },
    #[error("telemetry: {0}")]
    Telemetry(String),
    #[error("the admin server: {0}")]
    Admin(String),
    #[error("{0}")]
    Start(#[from] Unchanged),
    #[error("{0}")]
    Ask(#[from] AskError),
    #[error("{0}")]
    Unwell(#[from] Unwell),
    #[error("{0}")]
    Backup(#[from] BackupError),
    #[error("{0}")]
    State(#[from] StateError),
    #[error("pages of the manual: {0}")]
    Pages(std::io::Error),
    #[error("a temporary folder can't be made: {0}")]
    Scratch(std::io::Error),
    #[error("signals: {0}")]
    Signals(std::io::Error),
}

impl StartError {
    /// The exit code that it leads to.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::Findings(_)
            | Self::Plugin { .. }
            | Self::Describe { .. }
            | Self::RegistrySettings(_)
            | Self::Grant { .. } => Exit::Invalid,
            Self::Engine(_)
            | Self::Network(_)
            | Self::Log(_)
            | Self::Registry(_)
            | Self::Worker(_)
            | Self::Lake { .. }
            | Self::Telemetry(_)
            | Self::Admin(_)
            | Self::Pages(_)
            | Self::Start(_)
            | Self::Unwell(_)
            | Self::Backup(_)
            | Self::State(_)
            | Self::Scratch(_)
            | Self::Signals(_) => Exit::Failed,
            Self::Ask(error) => match error {
                AskError::Url { .. }
                | AskError::Unreadable { .. }
                | AskError::NoClient(_)
                | AskError::Recording { .. } => Exit::Invalid,
                AskError::Unreachable { .. }
                | AskError::OtherCertificate { .. }
                | AskError::Token(_) => Exit::Unreachable,
                AskError::Refused { .. } => Exit::Objected,
                AskError::Answer { .. } | AskError::Unwritable { .. } | AskError::Late(_) => {
                    Exit::Failed
                }
            },
        }
    }
}
