//! Why a connector stays as it is.

use std::time::Duration;

/// A swap that was refused. What runs was not touched, or runs on as if it had not been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No connector has that name.
    #[error("there is no connector `{0}`")]
    Unknown(String),
    /// It does not run in this process, or has ended.
    #[error("connector `{0}` does not run here: there is nothing to swap")]
    NotRunning(String),
    /// Another swap of it is being made or on probation.
    #[error("another swap of it is {0}: wait for its end")]
    Busy(&'static str),
    /// It is what runs already.
    #[error("it runs already: neither the component nor its settings differ")]
    Same,
    /// It was tried before and taken back.
    #[error("it was taken back before, and has not changed since: {0}")]
    KnownBad(String),
    /// The file is no component, is cut off, or speaks another contract.
    #[error("{0}")]
    NotLoadable(String),
    /// The file is not the one that was meant.
    #[error("{0}")]
    WrongDigest(String),
    /// A sink where a source runs, or the other way round.
    #[error("it is a {found}, and a {wanted} runs")]
    WrongWorld {
        /// What runs.
        wanted: &'static str,
        /// What was offered.
        found: &'static str,
    },
    /// It promises less than the pipeline asks for.
    #[error("it delivers at least once, the pipeline asks for exactly-once")]
    WeakerDelivery,
    /// It can't read what the running version saves or stages.
    #[error(
        "it reads {what} of versions {reads_from} to {reads_to}, the running one writes version {written}"
    )]
    StateVersion {
        /// `saved state` or `staged pieces`.
        what: &'static str,
        /// The oldest it reads.
        reads_from: u32,
        /// The newest it reads.
        reads_to: u32,
        /// What the running one writes.
        written: u32,
    },
    /// It reaches for what the running one does not, and the file grants none of it.
    #[error(
        "it needs `{0}`, which the running one does not and which is not granted: add it under `allow`"
    )]
    Grant(&'static str),
    /// Its settings are wrong.
    #[error("its settings are wrong: {0}")]
    Settings(String),
    /// It died or gave up before it took over.
    #[error("it fails: {0}")]
    Fails(String),
    /// The connector could not be brought to rest in time, such as while its log is down.
    #[error("the running version could not be brought to rest{}: {reason}", waited(*.within))]
    NotAtRest {
        /// How long it was waited for; zero: not at all.
        within: Duration,
        /// What it was waiting for, as far as known.
        reason: String,
    },
}

fn waited(within: Duration) -> String {
    if within.is_zero() {
        return String::new();
    }
    format!(" within {} s", within.as_secs())
}

impl Refused {
    /// Whether the same may be taken later, as it is.
    pub fn passes(&self) -> bool {
        match self {
            Self::Busy(_) | Self::NotAtRest { .. } => true,
            Self::Unknown(_)
            | Self::NotRunning(_)
            | Self::Same
            | Self::KnownBad(_)
            | Self::NotLoadable(_)
            | Self::WrongDigest(_)
            | Self::WrongWorld { .. }
            | Self::WeakerDelivery
            | Self::StateVersion { .. }
            | Self::Grant(_)
            | Self::Settings(_)
            | Self::Fails(_) => false,
        }
    }

    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown-connector",
            Self::NotRunning(_) => "not-running",
            Self::Busy(_) => "busy",
            Self::Same => "same",
            Self::KnownBad(_) => "known-bad",
            Self::NotLoadable(_) => "not-loadable",
            Self::WrongDigest(_) => "wrong-digest",
            Self::WrongWorld { .. } => "wrong-world",
            Self::WeakerDelivery => "weaker-delivery",
            Self::StateVersion { .. } => "state-version",
            Self::Grant(_) => "grant",
            Self::Settings(_) => "settings",
            Self::Fails(_) => "fails",
            Self::NotAtRest { .. } => "not-at-rest",
        }
    }
}
