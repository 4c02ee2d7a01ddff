//! Making a backup.

use crate::copy;
use crate::error::BackupError;
use crate::manifest::{FORMAT, MANIFEST, Manifest, PARTS, PartEntry};
use crate::restore::UNFINISHED;
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
    // A slash at its end would put what is unfinished into the backup itself.
    let into: PathBuf = into.components().collect();
    if fs::symlink_metadata(&into).is_ok() {
        return Err(BackupError::InTheWay {
            path: into,
            mend: "name a folder that is not there yet",
        });
    }
    let unfinished = with_suffix(&into, ".unfinished");
    copy::remove_unfinished(&unfinished)?;
    copy::folder(&unfinished)?;
    let saving = Saving {
        apart: parts
            .iter()
            .map(|part| part.path.as_path())
            .chain([unfinished.as_path()])
            .flat_map(met_as)
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
    fs::rename(&unfinished, &into).map_err(BackupError::io(&into))?;
    let above = into.parent().filter(|it| !it.as_os_str().is_empty());
    copy::sync(above.unwrap_or(Path::new(".")))?;
    Ok(manifest)
}

struct Saving {
    /// Parts of their own, and the backup itself: not saved as part of what they lie in. Without
    /// links and `..` in the folders above them.
    apart: Vec<PathBuf>,
}

impl Saving {
    fn part(&self, part: &Part, to: &Path) -> Result<Option<PartEntry>, BackupError> {
        let path = absolute(&part.path);
        if path.to_str().is_none() {
            return Err(BackupError::NotText { path });
        }
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::io(&path)(error)),
        };
        let mut entry = PartEntry {
            path: path.clone(),
            folders: Vec::new(),
            modes: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        if metadata.is_file() {
            copy::folder(to.parent().unwrap_or(to))?;
            let copied = copy::file(&path, to, None)?;
            entry.files.insert(PathBuf::new(), copied);
            return Ok(Some(entry));
        }
        copy::folder(to)?;
        entry.modes.insert(PathBuf::new(), copy::mode(&metadata));
        self.below(&resolved(&path), to, part, Path::new(""), &mut entry)?;
        Ok(Some(entry))
    }

    fn below(
        &self,
        from: &Path,
        to: &Path,
        part: &Part,
        relative: &Path,
        entry: &mut PartEntry,
    ) -> Result<(), BackupError> {
        let top = relative.as_os_str().is_empty();
        for name in names(from)? {
            let path = from.join(&name);
            let left_out = name == UNFINISHED || part.without.iter().any(|it| name == it.as_str());
            if top && left_out || self.apart.contains(&path) {
                continue;
            }
            if name.to_str().is_none() {
                return Err(BackupError::NotText { path });
            }
            let metadata = fs::symlink_metadata(&path).map_err(BackupError::io(&path))?;
            let relative = relative.join(&name);
            if metadata.is_dir() {
                copy::folder(&to.join(&name))?;
                entry.folders.push(relative.clone());
                entry.modes.insert(relative.clone(), copy::mode(&metadata));
                self.below(&path, &to.join(&name), part, &relative, entry)?;
            } else if metadata.is_file() {
                let copied = copy::file(&path, &to.join(&name), None)?;
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
    let text = serde_json::to_vec_pretty(manifest).expect("every name was found to be text");
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

/// What is walked below a folder above meets a path under its own name, and what it leads to under
/// the real one.
fn met_as(path: &Path) -> [PathBuf; 2] {
    let path = absolute(path);
    let led_to = resolved(&path);
    match path.parent().zip(path.file_name()) {
        Some((above, name)) => [resolved(above).join(name), led_to],
        None => [path, led_to],
    }
}

/// Without links and `..`. What is not there is met nowhere, and taken as it is.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
