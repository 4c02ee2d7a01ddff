//! Folders: whether they can be written, and whether their disk has room.

use super::verdict::{Area, Line};
use crate::show;
use rustix::fs::Access;
use std::path::Path;

/// Below this a folder of records or tables is full within minutes.
const FREE_BYTES_LOW: u64 = 1024 * 1024 * 1024;

/// A folder that is used or will be made.
pub(super) struct Folder<'a> {
    pub(super) area: Area,
    /// Such as `the log's folder`.
    pub(super) what: &'a str,
    pub(super) path: &'a Path,
    /// Where it is said in the file.
    pub(super) key: &'a str,
    /// With less than so many bytes free nothing is written any more.
    pub(super) reserve_bytes: u64,
}

impl Folder<'_> {
    /// Looks, and makes nothing.
    pub(super) fn look(&self) -> Line {
        let Self {
            area, what, key, ..
        } = *self;
        let name = format!("{}", self.path.display());
        // The nearest one that is there: the others are made when they are needed.
        let there = self
            .path
            .ancestors()
            .find(|it| it.symlink_metadata().is_ok());
        let Some(there) = there else {
            let why = "no part of the path is there";
            return Line::fail(area, name, why, format!("mend `{key}`"));
        };
        if !there.is_dir() {
            let why = format!("{} is no folder", there.display());
            let remedy = format!("move it away, or mend `{key}`");
            return Line::fail(area, name, why, remedy);
        }
        if let Err(error) = rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK) {
            let why = format!("{what} can't be written: {}: {error}", there.display());
            let remedy = format!("give this user the right to write there, or mend `{key}`");
            return Line::fail(area, name, why, remedy);
        }
        let free = match fs4::available_space(there) {
            Ok(free) => free,
            Err(error) => {
                let why = format!("the free space is not known: {error}");
                let remedy = "look at the file system that it is on";
                return Line::warn(area, name, why, remedy);
            }
        };
        let shown = show::bytes(free);
        if free < self.reserve_bytes {
            let reserve = show::bytes(self.reserve_bytes);
            let why = format!("the disk is full: {shown} are free, {reserve} must be");
            return Line::fail(area, name, why, "make room on that disk");
        }
        if free < FREE_BYTES_LOW {
            let why = format!("the disk is nearly full: {shown} are free");
            return Line::warn(area, name, why, "make room on that disk");
        }
        let made = match there == self.path {
            true => "",
            false => ", not there yet: it is made when it is needed",
        };
        Line::ok(area, name, format!("{what}: {shown} are free{made}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Level;
    use super::*;

    fn look(path: &Path, reserve_bytes: u64) -> Line {
        let folder = Folder {
            area: Area::Log,
            what: "the log's folder",
            path,
            key: "log.embedded.dir",
            reserve_bytes,
        };
        folder.look()
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let line = look(&path, 0);
        assert_ne!(line.level, Level::Fail, "{}", line.message);
        assert!(!dir.path().join("a").exists());
    }

    #[test]
    fn a_file_in_the_way_and_a_full_disk_fail() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let line = look(&file.join("log"), 0);
        assert_eq!(line.level, Level::Fail);
        assert!(line.message.contains("is no folder"), "{}", line.message);
        let line = look(dir.path(), u64::MAX);
        assert_eq!(line.level, Level::Fail);
        assert!(line.message.contains("disk is full"), "{}", line.message);
    }
}
