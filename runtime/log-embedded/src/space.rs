//! Whether the disk has room.

use jackfield_log::LogError;
use std::path::Path;

/// A log's share of its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that the log takes.
    pub used_bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Bytes that the disk has.
    pub size_bytes: u64,
}

impl Disk {
    pub(crate) fn of(dir: &Path, used_bytes: u64) -> Result<Self, LogError> {
        let failed = |e| LogError::Retriable(format!("the disk of {}: {e}", dir.display()));
        let stats = fs4::statvfs(dir).map_err(failed)?;
        Ok(Self {
            used_bytes,
            free_bytes: stats.available_space(),
            size_bytes: stats.total_space(),
        })
    }
}

/// Refuses a write that would leave less than `reserve` bytes free.
pub(crate) fn check(dir: &Path, wanted: u64, reserve: u64) -> Result<(), LogError> {
    let free = fs4::available_space(dir)
        .map_err(|e| LogError::Retriable(format!("the free space of {}: {e}", dir.display())))?;
    if free >= wanted.saturating_add(reserve) {
        return Ok(());
    }
    // The system's own words, which people search for.
    Err(LogError::Retriable(format!(
        "{}: No space left on device: {free} bytes are free, {reserve} are kept free for the log's own work",
        dir.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_larger_than_what_is_free_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::of(dir.path(), 7).unwrap();
        assert_eq!(disk.used_bytes, 7);
        assert!(disk.size_bytes >= disk.free_bytes && disk.free_bytes > 0);
        assert!(Disk::of(&dir.path().join("gone"), 7).is_err());
    }

    #[test]
    fn a_reserve_beyond_the_disk_refuses_everything() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check(dir.path(), 1, 0).is_ok());
        let Err(LogError::Retriable(text)) = check(dir.path(), 1, u64::MAX - 1) else {
            panic!("not refused");
        };
        assert!(text.contains("No space left") && text.contains(dir.path().to_str().unwrap()));
    }
}
