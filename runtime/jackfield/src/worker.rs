//! This process's name among the workers of a cluster.
//!
//! It has to be another's than any process has that runs now, and the same after a restart: then
//! the brokers give a worker that comes back its partitions at once. So it is kept in the state
//! folder, under a lock that ends with the process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use uuid::Uuid;

/// Processes that may share a state folder: more would be a mistake in a loop.
const WORKERS_MAX: u32 = 100;

/// The first name of the state folder that no process has now. The lock on it is held until the
/// process ends.
pub(crate) fn name(state_dir: &Path) -> io::Result<String> {
    fs::create_dir_all(state_dir)?;
    for number in 0..WORKERS_MAX {
        let path = state_dir.join(format!("worker-{number}"));
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path)?;
        match file.try_lock() {
            Ok(()) => {
                let name = kept(&mut file)?;
                // Held until the process ends, however it does.
                std::mem::forget(file);
                return Ok(name);
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    let all = format!(
        "{WORKERS_MAX} processes share the folder {}",
        state_dir.display()
    );
    Err(io::Error::other(all))
}

fn kept(file: &mut File) -> io::Result<String> {
    let mut name = String::new();
    file.read_to_string(&mut name)?;
    if !name.is_empty() {
        return Ok(name);
    }
    let name = Uuid::new_v4().to_string();
    file.rewind()?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    Ok(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn processes_at_once_have_names_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let one = name(dir.path()).unwrap();
        let two = name(dir.path()).unwrap();
        assert_ne!(one, two);
        assert_eq!(
            fs::read_to_string(dir.path().join("worker-0")).unwrap(),
            one
        );
        assert_eq!(
            fs::read_to_string(dir.path().join("worker-1")).unwrap(),
            two
        );
    }

    #[test]
    fn a_name_that_nobody_has_any_more_is_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("worker-0"), "the-one-before").unwrap();
        assert_eq!(name(dir.path()).unwrap(), "the-one-before");
    }
}
