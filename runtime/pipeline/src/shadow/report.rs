//! What became of a shadow.

use super::compare::Compared;
use crate::swap::VersionName;
use serde::Serialize;
use std::collections::BTreeMap;

/// Why a shadow ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum ShadowEnd {
    /// Its time was over.
    Over,
    /// It did not keep up with the running version, was overtaken before it had begun, or
    /// there was no commit to begin with.
    TooSlow {
        /// Where.
        reason: String,
    },
    /// It died, gave up, or broke the contract.
    Failed {
        /// In which call, and why.
        reason: String,
    },
    /// The running version stopped, began anew, or was replaced.
    RunningEnded {
        /// How that was noticed.
        reason: String,
    },
}

/// Whether a shadow still runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ShadowState {
    /// It runs.
    Shadowing,
    /// It was thrown away.
    Ended(ShadowEnd),
}

/// A call to the world that only one of the two made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CallDiffers {
    /// `running` or `new`.
    pub by: &'static str,
    /// What, such as `requests GET …`.
    pub call: String,
}

/// What the two asked of the world. Timers run apart in two instances, so that differences here
/// are for people to judge.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CallsCompared {
    /// Made by both.
    pub same: u64,
    /// Made by one of them.
    pub different: Vec<CallDiffers>,
    /// Further ones.
    pub more: u64,
}

/// Figures that both report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Figures {
    /// Records that a source gave, or a sink was given.
    pub records: u64,
    /// Events or records rejected.
    pub rejected: u64,
    /// Dropped since they had been seen before.
    pub duplicates: u64,
    /// Known to be lost.
    pub missing: u64,
    /// Fetched a second way.
    pub recovered: u64,
}

/// One target of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Written {
    /// Commits.
    pub commits: u64,
    /// Rows that they made visible.
    pub rows: u64,
    /// Files of these.
    pub files: u64,
    /// Bytes of those.
    pub bytes: u64,
}

/// What a sink's two versions did with the same batches.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SinkCompared {
    /// Commits of the running version, by target.
    pub running: BTreeMap<String, Written>,
    /// Commits of the new version to the overlay, by target.
    pub new: BTreeMap<String, Written>,
    /// Records that only one of the two rejected, and other things that differ; the first few.
    pub differences: Vec<String>,
    /// Further ones.
    pub more: u64,
}

/// A version that ran beside the one that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShadowReport {
    /// Counts the shadows of the connector in this process, from 1.
    pub number: u64,
    /// The connector.
    pub connector: String,
    /// What runs.
    pub from: VersionName,
    /// What was compared with it.
    pub to: VersionName,
    /// Who asked for it.
    pub by: String,
    /// When it began, ms since the epoch.
    pub at_ms: i64,
    /// For how long it was asked for.
    pub asked_ms: u64,
    /// For how long it ran.
    pub lasted_ms: u64,
    /// Whether it still runs, and how it ended.
    #[serde(flatten)]
    pub state: ShadowState,
    /// Whether records, rejections, rows or schemas differ.
    pub differs: bool,
    /// Events that it was given, of a source; or batches, of a sink.
    pub given: u64,
    /// CPU time of its calls.
    pub cpu_ms: u64,
    /// The running version's figures, over the same time.
    pub running: Figures,
    /// The new version's.
    pub new: Figures,
    /// A source's records.
    pub records: Compared,
    /// What a source asked of the world.
    pub calls: CallsCompared,
    /// A sink's rows.
    pub sink: SinkCompared,
}
