//! Folders to save, and places to put them back to.

use jackfield_backup::{Manifest, Part, Place, save};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) struct Site {
    dir: TempDir,
}

impl Site {
    /// A log with a folder in it, and a catalog that is one file.
    pub(crate) fn new() -> Self {
        let site = Self {
            dir: TempDir::new().unwrap(),
        };
        fs::create_dir_all(site.at("log/engine/empty")).unwrap();
        fs::write(site.at("log/format"), "1").unwrap();
        fs::write(site.at("log/engine/journal"), vec![7; 3 << 20]).unwrap();
        fs::write(site.at("catalog.db"), "rows").unwrap();
        fs::write(site.at("log/token"), "secret").unwrap();
        give_mode(&site.at("log/token"), 0o600);
        site
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn part(&self, name: &str, path: &str) -> Part {
        Part {
            name: name.to_owned(),
            path: self.at(path),
            without: Vec::new(),
        }
    }

    pub(crate) fn save(&self) -> Manifest {
        let parts = [
            self.part("log", "log"),
            self.part("catalog", "catalog.db"),
            self.part("absent", "nowhere"),
        ];
        save(&parts, &self.at("backup"), "0.1.0", 5).unwrap()
    }

    pub(crate) fn places(&self, below: &str) -> [Place; 2] {
        let place = |name: &str, path: &str| Place {
            name: name.to_owned(),
            path: self.at(below).join(path),
            may_hold: Vec::new(),
            beside: Vec::new(),
        };
        [place("log", "log"), place("catalog", "catalog.db")]
    }
}

pub(crate) fn give_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
