//! How an embedded log is set up.

use std::path::PathBuf;
use std::time::Duration;

/// How often old records are looked for: deletions come in small pieces, and a topic with a short
/// retention is not kept much longer than asked.
const RETENTION_EVERY: Duration = Duration::from_secs(5);

/// Where a log lives and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// The folder; created when missing. Only one process can have it open.
    pub dir: PathBuf,
    /// How long records are kept, by the time they were appended, where a topic's `retention.ms`
    /// says nothing else. `None`: for ever.
    pub retention: Option<Duration>,
    /// How much of each partition is kept, bytes, where a topic's `retention.bytes` says nothing
    /// else. `None`: no limit.
    pub retention_bytes: Option<u64>,
    /// How often old records are looked for.
    pub retention_every: Duration,
    /// Bytes of the disk that are left free: appends are refused before they would be taken. The
    /// engine needs them to move what it holds from its journal into its tables.
    pub reserve_bytes: u64,
}

/// Room for the journals that the engine may hold before it moves them into tables, since for a
/// moment both are there.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

impl EmbeddedConfig {
    /// A log in that folder which keeps everything.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            retention: None,
            retention_bytes: None,
            retention_every: RETENTION_EVERY,
            reserve_bytes: RESERVE_BYTES,
        }
    }
}
