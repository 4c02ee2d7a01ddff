//! What went wrong, named by what is to be done.

use std::io;
use std::path::{Path, PathBuf};

/// A backup that was not made, or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Nothing is overwritten: choose another name, or move away what is there.
    #[error("{path} is there already, and nothing is overwritten: {mend}", path = path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
        /// What to do.
        mend: &'static str,
    },
    /// The folder holds no backup.
    #[error("{path} holds no backup: {reason}", path = path.display())]
    NoBackup {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A version made it that this one does not know.
    #[error(
        "{path} is a backup of format {found}, made by Jackfield {made_by}; this version reads format {known}: put it back with the version that made it, then upgrade",
        path = path.display()
    )]
    OtherFormat {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format of this version.
        known: u32,
        /// The version that made it.
        made_by: String,
    },
    /// A file of the backup is not what it was: use another backup.
    #[error("the backup is damaged, and nothing was put back: {path} {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it differs.
        reason: String,
    },
    /// Links and devices are not copied: a backup has to hold all that it names.
    #[error("{path} is neither a file nor a folder, and can't be part of a backup", path = path.display())]
    NoFile {
        /// What was found.
        path: PathBuf,
    },
    /// The manifest is text, so each name in it has to be: rename the file.
    #[error("{path} has a name that is not UTF-8, and can't be part of a backup", path = path.display())]
    NotText {
        /// What was found.
        path: PathBuf,
    },
    /// A process may write what is copied: stop it first.
    #[error("{found}: stop the process first, and try again")]
    InUse {
        /// What tells that it runs.
        found: String,
    },
    /// A file or folder can't be read or written.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl BackupError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}
