//! The embedded log: its folder, and who has it open.

use super::folder::Folder;
use super::holder;
use super::verdict::{Area, Line};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// What the log keeps free for its own work.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// Blocks: looks at the disk and at other processes.
pub(super) fn look(dir: &Path) -> Vec<Line> {
    let folder = Folder {
        area: Area::Log,
        what: "the log's folder",
        path: dir,
        key: "log.embedded.dir",
        reserve_bytes: RESERVE_BYTES,
    };
    let mut lines = vec![folder.look()];
    lines.extend(lock(dir));
    lines
}

/// A look at the lock takes it for a moment if nobody has it: a process that starts in that moment
/// is refused, as it would be by any other.
fn lock(dir: &Path) -> Option<Line> {
    let path = dir.join("lock");
    let name = path.display().to_string();
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        // Nobody has ever opened it; what is in the folder's way is told already.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return None;
        }
        Err(error) => {
            let remedy = "run this as the user that jackfield runs as";
            let why = format!("who has the log open is not known: {error}");
            return Some(Line::warn(Area::Log, name, why, remedy));
        }
    };
    // Shared, so that two looks are not in each other's way.
    Some(match lock.try_lock_shared() {
        Ok(()) => Line::ok(Area::Log, name, "free: no process has the log open"),
        Err(TryLockError::WouldBlock) => {
            let holder = holder::of_file(&path);
            let holder = holder.unwrap_or_else(|| "another user's process".to_owned());
            Line::ok(Area::Log, name, format!("{holder} has the log open"))
        }
        Err(TryLockError::Error(error)) => Line::warn(
            Area::Log,
            name,
            format!("who has the log open is not known: {error}"),
            "keep the log on a file system with locks",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_log_open_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(look(dir.path()).len(), 1, "nobody ever opened it");
        let file = File::create(dir.path().join("lock")).unwrap();
        let message = |dir: &Path| look(dir)[1].message.clone();
        assert_eq!(message(dir.path()), "free: no process has the log open");
        file.lock().unwrap();
        let own = format!("(process {}) has the log open", std::process::id());
        assert!(message(dir.path()).ends_with(&own));
    }
}
