//! Putting a backup back.

use crate::copy;
use crate::error::BackupError;
use crate::manifest::{FileEntry, Manifest, PARTS, PartEntry};
use crate::save::{absolute, names, with_suffix};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// Where what was not put back to the end lies: within the part's folder, or with this behind a
/// file's name.
pub(crate) const UNFINISHED: &str = ".restoring";

/// Where a part is to lie again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The part's name in the backup.
    pub name: String,
    /// Where it is to lie.
    pub path: PathBuf,
    /// Names in it that may be there already, and stay. No part brings anything into them.
    pub may_hold: Vec<String>,
    /// Files that whoever opens the part would take for some of it: none of them may be there.
    pub beside: Vec<PathBuf>,
}

/// Puts the parts of a backup that have a place there, and gives their names. Nothing may run
/// there meanwhile.
///
/// # Errors
/// [`BackupError::Damaged`], [`BackupError::InTheWay`], [`BackupError::NoBackup`] and
/// [`BackupError::OtherFormat`] come before anything is touched.
pub fn restore(backup: &Path, places: &[Place]) -> Result<Vec<String>, BackupError> {
    let manifest = Manifest::read(backup)?;
    let kept: Vec<PathBuf> = places.iter().flat_map(kept).collect();
    let mut wanted = Vec::new();
    for place in places {
        if let Some(part) = manifest.parts.get(&place.name) {
            stays_within(part, &place.path, &kept)?;
            verify(&backup.join(PARTS).join(&place.name), part)?;
            free(place, part)?;
            wanted.push((place, part));
        }
    }
    let put_back = wanted.iter().map(|(place, _)| place.name.clone()).collect();
    // What lies in another part comes after it: a folder is moved to where nothing is.
    wanted.sort_by_key(|(place, _)| absolute(&place.path));
    for (place, part) in &wanted {
        put(&backup.join(PARTS).join(&place.name), part, &place.path)?;
    }
    Ok(put_back)
}

/// What stays, by its paths.
fn kept(place: &Place) -> impl Iterator<Item = PathBuf> {
    let at = absolute(&place.path);
    place.may_hold.iter().map(move |name| at.join(name))
}

/// Whether a part names only what is its own. A manifest that was tampered with could name files
/// elsewhere; or native code, which is run as it lies in one of the folders that stay.
fn stays_within(part: &PartEntry, to: &Path, kept: &[PathBuf]) -> Result<(), BackupError> {
    let to = absolute(to);
    for path in part.files.keys().chain(&part.folders) {
        let damaged = |reason: &str| BackupError::Damaged {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let mut components = path.components();
        if !components.all(|it| matches!(it, Component::Normal(_))) {
            return Err(damaged("is no path below its part"));
        }
        let lies = to.join(path);
        let reserved = path.starts_with(UNFINISHED);
        if reserved || kept.iter().any(|kept| lies.starts_with(kept)) {
            return Err(damaged("is where no backup brings anything"));
        }
    }
    Ok(())
}

/// Whether the copy is what it was when it was made.
fn verify(copied: &Path, part: &PartEntry) -> Result<(), BackupError> {
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
    if let Some(beside) = place.beside.iter().find(|it| is_there(it)) {
        return Err(in_the_way(beside));
    }
    if !is_there(&place.path) {
        return Ok(());
    }
    if one_file(part).is_some() || !place.path.is_dir() {
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

/// Copied beside its place and then moved there, so that what a stop leaves behind is not taken for
/// the whole.
fn put(copied: &Path, part: &PartEntry, to: &Path) -> Result<(), BackupError> {
    let to = absolute(to);
    match one_file(part) {
        Some(entry) => put_file(copied, entry, &to),
        None => put_folder(copied, part, &to),
    }
}

fn put_file(copied: &Path, entry: &FileEntry, to: &Path) -> Result<(), BackupError> {
    let above = to.parent().unwrap_or(Path::new("/"));
    copy::folder(above)?;
    let unfinished = with_suffix(to, UNFINISHED);
    match fs::remove_file(&unfinished) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(BackupError::io(&unfinished)(error)),
    }
    copy::file(copied, &unfinished, Some(entry.mode))?;
    fs::rename(&unfinished, to).map_err(BackupError::io(to))?;
    copy::sync(above)
}

fn put_folder(copied: &Path, part: &PartEntry, to: &Path) -> Result<(), BackupError> {
    let new = !is_there(to);
    let unfinished = to.join(UNFINISHED);
    copy::remove_unfinished(&unfinished)?;
    copy::folder(&unfinished)?;
    for folder in &part.folders {
        copy::folder(&unfinished.join(folder))?;
    }
    for (relative, entry) in &part.files {
        let (from, to) = (copied.join(relative), unfinished.join(relative));
        copy::file(&from, &to, Some(entry.mode))?;
    }
    for folder in &part.folders {
        copy::sync(&unfinished.join(folder))?;
    }
    for name in names(&unfinished)? {
        let into = to.join(&name);
        fs::rename(unfinished.join(&name), &into).map_err(BackupError::io(&into))?;
    }
    // Not before: a folder that may not be written to can't be moved. The inner ones first, since
    // the outer ones may not be entered any more.
    for folder in part.folders.iter().rev() {
        if let Some(mode) = part.modes.get(folder) {
            copy::set_mode(&to.join(folder), *mode)?;
        }
    }
    fs::remove_dir(&unfinished).map_err(BackupError::io(&unfinished))?;
    copy::sync(to)?;
    // One that was there is as its owner wants it.
    match part.modes.get(Path::new("")) {
        Some(mode) if new => copy::set_mode(to, *mode),
        Some(_) | None => Ok(()),
    }
}

/// The file of a part that is one file: it has an empty path.
fn one_file(part: &PartEntry) -> Option<&FileEntry> {
    part.files.get(Path::new(""))
}

/// Be it a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// `join` of an empty path would end in a slash.
fn below(folder: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() {
        folder.to_owned()
    } else {
        folder.join(relative)
    }
}
