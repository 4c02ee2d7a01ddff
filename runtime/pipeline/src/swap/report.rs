//! What became of a swap, for people.

use super::VersionName;
use serde::Serialize;

/// How far a swap has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing stands in its way; it was only asked whether.
    Prepared,
    /// The new version runs, and the old one can still take over again.
    OnProbation,
    /// The new version stays.
    Kept,
    /// The old version runs again.
    RolledBack {
        /// Why.
        reason: String,
    },
}

/// One swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SwapReport {
    /// Counts the swaps of the connector in this process, from 1.
    pub number: u64,
    /// The connector.
    pub connector: String,
    /// What ran before.
    pub from: VersionName,
    /// What was to run.
    pub to: VersionName,
    /// Who asked for it.
    pub by: String,
    /// When it was cut over, ms since the epoch.
    pub at_ms: i64,
    /// For how long nothing was taken, µs: the longest of its slots or tasks. None of a swap that was
    /// not made, or after which the work is split in another way: all slots of both versions are
    /// others then.
    pub pause_us: Option<u64>,
    /// A source's inbox events, or a sink's rows, that were taken and not durable when the old
    /// version was told to rest.
    pub in_flight: u64,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}
