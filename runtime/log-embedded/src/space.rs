//! Whether the disk has room.

use jackfield_log::LogError;
use std::path::Path;

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
    fn a_reserve_beyond_the_disk_refuses_everything() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check(dir.path(), 1, 0).is_ok());
        let Err(LogError::Retriable(text)) = check(dir.path(), 1, u64::MAX - 1) else {
            panic!("not refused");
        };
        assert!(text.contains("No space left") && text.contains(dir.path().to_str().unwrap()));
    }
}
