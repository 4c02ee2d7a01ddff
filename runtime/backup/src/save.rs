//! Making a backup.

use crate::copy;
use crate::error::BackupError;
use crate::manifest::{FORMAT, MANIFEST, Manifest, PARTS, PartEntry};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file or folder to save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name in the backup.
    pub name: String,
    /// Where it lies. What is not there is not part of the backup.
    pub path: PathBuf,
    /// Names directly below it that are left out, since they are made anew when missing.
    pub without: Vec<String>,
}

/// Copies the parts into a new folder. Whatever writes to them must not run.
///
/// A part that lies below another one is saved as its own only.
///
/// # Errors
/// Nothing is left under the backup's name.
pub fn save(
    parts: &[Part],
    into: &Path,
    made_by: &str,
    made_at_ms: u64,
) -> Result<Manifest, BackupError> {
    if fs::symlink_metadata(into).is_ok() {
        return Err(BackupError::InTheWay {
            path: into.to_owned(),
            mend: "name a folder that is not there yet",
        });
    }
    let unfinished = with_suffix(into, ".unfinished");
    copy::remove_unfinished(&unfinished)?;
    copy::folder(&unfinished)?;
    let saving = Saving {
        apart: parts
            .iter()
            .map(|part| absolute(&part.path))
            .chain([absolute(&unfinished)])
            .collect(),
    };
    let mut saved = BTreeMap::new();
    for part in parts {
        if let Some(entry) = saving.part(part, &unfinished.join(PARTS).join(&part.name))? {
            saved.insert(part.name.clone(), entry);
        }
    }
    let manifest = Manifest {
        format: FORMAT,
        made_by: made_by.to_owned(),
        made_at_ms,
        parts: saved,
    };
    write_manifest(&unfinished, &manifest)?;
    fs::rename(&unfinished, into).map_err(BackupError::io(into))?;
    let above = into.parent().filter(|it| !it.as_os_str().is_empty());
    copy::sync(above.unwrap_or(Path::new(".")))?;
    Ok(manifest)
}

struct Saving {
    /// Parts of their own, and the backup itself: not saved as part of what they lie in.
    apart: Vec<PathBuf>,
}

impl Saving {
    fn part(&self, part: &Part, to: &Path) -> Result<Option<PartEntry>, BackupError> {
        let path = absolute(&part.path);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::io(&path)(error)),
        };
        let mut entry = PartEntry {
            path: path.clone(),
            folders: Vec::new(),
            files: BTreeMap::new(),
        };
        if metadata.is_file() {
            copy::folder(to.parent().unwrap_or(to))?;
            entry.files.insert(PathBuf::new(), copy::file(&path, to)?);
            return Ok(Some(entry));
        }
        copy::folder(to)?;
        self.below(&path, to, &part.without, Path::new(""), &mut entry)?;
        Ok(Some(entry))
    }

    fn below(
        &self,
        from: &Path,
        to: &Path,
        without: &[String],
        relative: &Path,
        entry: &mut PartEntry,
    ) -> Result<(), BackupError> {
        for name in names(from)? {
            let path = from.join(&name);
            let left_out = without.iter().any(|it| name == it.as_str());
            if left_out || self.apart.contains(&path) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).map_err(BackupError::io(&path))?;
            let relative = relative.join(&name);
            if metadata.is_dir() {
                copy::folder(&to.join(&name))?;
                entry.folders.push(relative.clone());
                self.below(&path, &to.join(&name), &[], &relative, entry)?;
            } else if metadata.is_file() {
                let copied = copy::file(&path, &to.join(&name))?;
                entry.files.insert(relative, copied);
            } else {
                return Err(BackupError::NoFile { path });
            }
        }
        copy::sync(to)
    }
}

fn write_manifest(backup: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let path = backup.join(MANIFEST);
    let text = serde_json::to_vec_pretty(manifest).expect("paths of this process's are text");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(BackupError::io(&path))?;
    file.write_all(&text).map_err(BackupError::io(&path))?;
    file.sync_all().map_err(BackupError::io(&path))?;
    copy::sync(backup)
}

/// The names in a folder, in order.
pub(crate) fn names(folder: &Path) -> Result<Vec<OsString>, BackupError> {
    let entries = fs::read_dir(folder).map_err(BackupError::io(folder))?;
    let mut names = entries
        .map(|entry| entry.map(|it| it.file_name()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(BackupError::io(folder))?;
    names.sort();
    Ok(names)
}

pub(crate) fn absolute(path: &Path) -> PathBuf {
    // Fails only where there is no current folder; the path is then taken as it is.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
