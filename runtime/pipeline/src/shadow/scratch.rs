//! Where a sink's shadow writes what is thrown away.

use super::run::ShadowOptions;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use tempfile::TempDir;

/// How the name of such a folder begins.
const PREFIX: &str = "shadow-";

/// A folder that goes when it is dropped. While its process lives it is locked, so that another one
/// that shares the place does not take it for what a dead one left.
pub(super) struct Scratch {
    dir: TempDir,
    _held: File,
}

impl Scratch {
    /// Blocks.
    fn make(below: &Path) -> io::Result<Self> {
        fs::create_dir_all(below)?;
        let mut named = tempfile::Builder::new();
        let dir = named.prefix(PREFIX).tempdir_in(below)?;
        let held = File::open(dir.path())?;
        match held.try_lock() {
            // Where folders can't be locked nobody can tell that one was left, nor removes it.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => return Err(swept_away()),
        }
        if !dir.path().is_dir() {
            return Err(swept_away());
        }
        Ok(Self { dir, _held: held })
    }

    /// A new folder below this one, which is made where it is missing.
    pub(super) async fn below(below: &Path) -> io::Result<Self> {
        let below = below.to_owned();
        let made = tokio::task::spawn_blocking(move || Self::make(&below));
        made.await.map_err(io::Error::other)?
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// A process that started just now found the folder before it was locked.
fn swept_away() -> io::Error {
    io::Error::other("a process that started just now took it for an old one: try again")
}

impl ShadowOptions {
    /// Removes what the shadows of processes that were killed left in `scratch`, and gives how many
    /// there were. Those of processes that live stay. Blocks.
    ///
    /// # Errors
    /// The folder can't be read, or something in it can't be removed.
    pub fn sweep(scratch: &Path) -> io::Result<usize> {
        let Some(entries) = unless_gone(fs::read_dir(scratch))? else {
            return Ok(0);
        };
        let mut swept = 0;
        for entry in entries {
            let entry = entry?;
            let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
            if !ours || !entry.file_type()?.is_dir() {
                continue;
            }
            let path = entry.path();
            let Some(folder) = unless_gone(File::open(&path))? else {
                continue;
            };
            match folder.try_lock() {
                Ok(()) => {
                    let removed = unless_gone(fs::remove_dir_all(&path))?;
                    swept += usize::from(removed.is_some());
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(swept)
    }
}

/// Shadows end, and other processes sweep, at the same time.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(it) => Ok(Some(it)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dead_ones_left_goes_and_what_is_held_stays() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("shadows");
        assert_eq!(ShadowOptions::sweep(&below).unwrap(), 0);
        let held = Scratch::make(&below).unwrap();
        fs::write(held.path().join("file"), "a").unwrap();
        for left in ["shadow-a", "shadow-b", "other"] {
            fs::create_dir_all(below.join(left).join("deep")).unwrap();
            fs::write(below.join(left).join("deep/file"), "a").unwrap();
        }
        assert_eq!(ShadowOptions::sweep(&below).unwrap(), 2);
        assert!(held.path().join("file").exists());
        assert!(below.join("other/deep/file").exists(), "nobody's of ours");
        let path = held.path().to_owned();
        drop(held);
        assert!(!path.exists());
        assert_eq!(ShadowOptions::sweep(&below).unwrap(), 0);
    }
}
