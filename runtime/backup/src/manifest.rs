//! The manifest: what a backup holds.

use crate::error::BackupError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The version of the layout and of the manifest.
pub const FORMAT: u32 = 1;
/// The manifest's file.
pub(crate) const MANIFEST: &str = "backup.json";
/// The folder of the copies.
pub(crate) const PARTS: &str = "parts";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// See [`FORMAT`].
    pub format: u32,
    /// The version of Jackfield that made it.
    pub made_by: String,
    /// When, ms since the epoch: nothing newer is in it.
    pub made_at_ms: u64,
    /// By the name of the part.
    pub parts: BTreeMap<String, PartEntry>,
}

/// One part of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartEntry {
    /// Where it lay.
    pub path: PathBuf,
    /// Its folders, relative to it, each after the one that it lies in. A part that is a file has
    /// none.
    pub folders: Vec<PathBuf>,
    /// Permission bits of its folders; its own have an empty path. A folder that is not in it is
    /// made for this user only.
    #[serde(default)]
    pub modes: BTreeMap<PathBuf, u32>,
    /// Its files, relative to it. A part that is a file has one, with an empty path.
    pub files: BTreeMap<PathBuf, FileEntry>,
}

/// One file of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileEntry {
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of what is in it, in hex.
    pub sha256: String,
    /// Permission bits.
    pub mode: u32,
}

/// What every format says, whatever else has changed.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Head {
    format: u32,
    #[serde(default)]
    made_by: String,
}

impl Manifest {
    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// It is no backup, or one of a format that this version does not know.
    pub fn read(backup: &Path) -> Result<Self, BackupError> {
        let no_backup = |reason: String| BackupError::NoBackup {
            path: backup.to_owned(),
            reason,
        };
        let path = backup.join(MANIFEST);
        let text = fs::read_to_string(&path)
            .map_err(|error| no_backup(format!("{}: {error}", path.display())))?;
        let malformed =
            |error: serde_json::Error| no_backup(format!("{}: {error}", path.display()));
        let head: Head = serde_json::from_str(&text).map_err(malformed)?;
        if head.format != FORMAT {
            return Err(BackupError::OtherFormat {
                path: backup.to_owned(),
                found: head.format,
                known: FORMAT,
                made_by: head.made_by,
            });
        }
        serde_json::from_str(&text).map_err(malformed)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        let files = self.parts.values().flat_map(|part| part.files.values());
        files.map(|file| file.bytes).sum()
    }
}
