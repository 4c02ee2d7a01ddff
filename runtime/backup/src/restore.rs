//! Putting a backup back.

use crate::copy;
use crate::error::BackupError;
use crate::manifest::{Manifest, PARTS, PartEntry};
use crate::save::{absolute, names};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where what was not put back to the end lies, within the part's folder.
const UNFINISHED: &str = ".restoring";

/// Where a part is to lie again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The part's name in the backup.
    pub name: String,
    /// Where it is to lie.
    pub path: PathBuf,
    /// Names that may be there already, and stay.
    pub may_hold: Vec<String>,
}

/// Puts the parts of a backup that have a place there, and gives their names. Nothing may run
/// there meanwhile.
///
/// # Errors
/// [`BackupError::Damaged`], [`BackupError::InTheWay`], [`BackupError::NoBackup`] and
/// [`BackupError::OtherFormat`] come before anything is touched.
pub fn restore(backup: &Path, places: &[Place]) -> Result<Vec<String>, BackupError> {
    let manifest = Manifest::read(backup)?;
    let mut wanted = Vec::new();
    for place in places {
        if let Some(part) = manifest.parts.get(&place.name) {
            verify(&backup.join(PARTS).join(&place.name), part)?;
            free(place, part)?;
            wanted.push((place, part));
        }
    }
    for (place, part) in &wanted {
        put(&backup.join(PARTS).join(&place.name), part, &place.path)?;
    }
    let put_back = wanted.iter().map(|(place, _)| place.name.clone());
    Ok(put_back.collect())
}

/// Whether the copy is what it was when it was made.
fn verify(copied: &Path, part: &PartEntry) -> Result<(), BackupError> {
    for path in part.files.keys().chain(&part.folders) {
        // A manifest that was tampered with could name files elsewhere.
        if !path
            .components()
            .all(|it| matches!(it, Component::Normal(_)))
        {
            return Err(BackupError::Damaged {
                path: path.clone(),
                reason: "is no path below its part".to_owned(),
            });
        }
    }
    for (relative, entry) in &part.files {
        let path = below(copied, relative);
        let damaged = |reason: String| BackupError::Damaged {
            path: path.clone(),
            reason,
        };
        let found =
            copy::look(&path).map_err(|error| damaged(format!("can't be read: {error}")))?;
        if (found.bytes, &found.sha256) != (entry.bytes, &entry.sha256) {
            return Err(damaged("is not what was saved".to_owned()));
        }
    }
    Ok(())
}

/// Whether nothing is where the part is to be.
fn free(place: &Place, part: &PartEntry) -> Result<(), BackupError> {
    let in_the_way = |path: &Path| BackupError::InTheWay {
        path: path.to_owned(),
        mend: "stop what uses it, and move it away first",
    };
    if fs::symlink_metadata(&place.path).is_err() {
        return Ok(());
    }
    if is_file(part) || !place.path.is_dir() {
        return Err(in_the_way(&place.path));
    }
    for name in names(&place.path)? {
        let stays = name == UNFINISHED || place.may_hold.iter().any(|it| name == it.as_str());
        if !stays {
            return Err(in_the_way(&place.path.join(name)));
        }
    }
    Ok(())
}

fn put(copied: &Path, part: &PartEntry, to: &Path) -> Result<(), BackupError> {
    let to = absolute(to);
    if is_file(part) {
        let above = to.parent().unwrap_or(Path::new("/"));
        copy::folder(above)?;
        copy::file(copied, &to)?;
        return copy::sync(above);
    }
    // Copied beside its place and then moved there, so that what a stop leaves behind is not
    // taken for the whole.
    let unfinished = to.join(UNFINISHED);
    copy::remove_unfinished(&unfinished)?;
    copy::folder(&unfinished)?;
    for folder in &part.folders {
        copy::folder(&unfinished.join(folder))?;
    }
    for relative in part.files.keys() {
        copy::file(&copied.join(relative), &unfinished.join(relative))?;
    }
    for folder in &part.folders {
        copy::sync(&unfinished.join(folder))?;
    }
    for name in names(&unfinished)? {
        let into = to.join(&name);
        fs::rename(unfinished.join(&name), &into).map_err(BackupError::io(&into))?;
    }
    fs::remove_dir(&unfinished).map_err(BackupError::io(&unfinished))?;
    copy::sync(&to)
}

/// A part that is one file has an empty path.
fn is_file(part: &PartEntry) -> bool {
    part.files.contains_key(Path::new(""))
}

/// `join` of an empty path would end in a slash.
fn below(folder: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() {
        folder.to_owned()
    } else {
        folder.join(relative)
    }
}
