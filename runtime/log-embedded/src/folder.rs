//! The folder: whose it is, and which format it has.

use crate::error;
use jackfield_log::LogError;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// What the format file says before its number.
const FORMAT_NAME: &str = "jackfield embedded log ";
/// The format that this version writes, and the only one that there has been.
const FORMAT: u32 = 1;
/// Holds the format.
const FORMAT_FILE: &str = "format";
/// It, before all of it is on the disk.
const FORMAT_UNFINISHED: &str = "format.unfinished";

/// Holds the folder of a log that is not open: nobody can open it until this is dropped, and what
/// is in it does not change.
#[derive(Debug)]
pub struct Held {
    _lock: File,
}

/// Holds the folder of a log without opening it, for a copy of its files. `None`: there is no log.
///
/// # Errors
/// [`LogError::Fatal`]: a process has it open, or it is no log of this version.
pub fn hold(dir: &Path) -> Result<Option<Held>, LogError> {
    match dir.join(FORMAT_FILE).try_exists() {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(e) => return Err(error::file(dir, &e)),
    }
    let lock = take_lock(dir)?;
    check_format(dir)?;
    Ok(Some(Held { _lock: lock }))
}

pub(crate) fn take_lock(dir: &Path) -> Result<File, LogError> {
    let path = dir.join("lock");
    let lock = File::create(&path).map_err(|e| error::file(&path, &e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(LogError::Fatal(format!(
            "the log in {} is open in another process: a folder is one process's own",
            dir.display()
        ))),
        Err(std::fs::TryLockError::Error(e)) => Err(error::file(&path, &e)),
    }
}

pub(crate) fn check_format(dir: &Path) -> Result<(), LogError> {
    let path = dir.join(FORMAT_FILE);
    match std::fs::read_to_string(&path) {
        Ok(found) => readable(&found).map_err(|why| {
            LogError::Fatal(format!("{} says `{}`: {why}", path.display(), found.trim()))
        }),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            write_format(dir, &path).map_err(|e| error::file(&path, &e))
        }
        Err(e) => Err(error::file(&path, &e)),
    }
}

/// Whole when it appears, and there before the log is: a part of it would be taken for a format that
/// nobody wrote.
fn write_format(dir: &Path, path: &Path) -> io::Result<()> {
    let unfinished = dir.join(FORMAT_UNFINISHED);
    let mut file = File::create(&unfinished)?;
    file.write_all(format!("{FORMAT_NAME}{FORMAT}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    File::open(dir)?.sync_all()
}

/// Whether this version reads that format, or what to do where it does not.
fn readable(found: &str) -> Result<(), String> {
    let number = found
        .strip_prefix(FORMAT_NAME)
        .and_then(|number| number.trim_end().parse::<u32>().ok());
    match number {
        Some(FORMAT) => Ok(()),
        Some(later) if later > FORMAT => Err(format!(
            "a later version of Jackfield wrote it, this one reads {FORMAT_NAME}{FORMAT}: run the later version again, or restore a backup from before the upgrade"
        )),
        Some(_) | None => Err(format!(
            "no version of Jackfield wrote that, this one reads {FORMAT_NAME}{FORMAT}: restore the folder from a backup, or let the log begin anew in an empty folder"
        )),
    }
}
