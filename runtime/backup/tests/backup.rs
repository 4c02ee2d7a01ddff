//! Saved, checked, and put back.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_backup::{BackupError, Manifest, Part, Place, restore, save};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

struct Site {
    dir: TempDir,
}

impl Site {
    /// A log with a folder in it, and a catalog that is one file.
    fn new() -> Self {
        let site = Self {
            dir: TempDir::new().unwrap(),
        };
        fs::create_dir_all(site.at("log/engine/empty")).unwrap();
        fs::write(site.at("log/format"), "1").unwrap();
        fs::write(site.at("log/engine/journal"), vec![7; 3 << 20]).unwrap();
        fs::write(site.at("catalog.db"), "rows").unwrap();
        fs::write(site.at("log/token"), "secret").unwrap();
        fs::set_permissions(site.at("log/token"), fs::Permissions::from_mode(0o600)).unwrap();
        site
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn part(&self, name: &str, path: &str) -> Part {
        Part {
            name: name.to_owned(),
            path: self.at(path),
            without: Vec::new(),
        }
    }

    fn save(&self) -> Manifest {
        let parts = [
            self.part("log", "log"),
            self.part("catalog", "catalog.db"),
            self.part("absent", "nowhere"),
        ];
        save(&parts, &self.at("backup"), "0.1.0", 5).unwrap()
    }

    fn places(&self, below: &str) -> [Place; 2] {
        let place = |name: &str, path: &str| Place {
            name: name.to_owned(),
            path: self.at(below).join(path),
            may_hold: Vec::new(),
        };
        [place("log", "log"), place("catalog", "catalog.db")]
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[test]
fn what_is_put_back_is_what_was_saved() {
    let site = Site::new();
    let manifest = site.save();
    assert_eq!(manifest.bytes(), (3 << 20) + 1 + 6 + 4);
    assert_eq!(manifest, Manifest::read(&site.at("backup")).unwrap());
    assert!(!manifest.parts.contains_key("absent"));

    let names = restore(&site.at("backup"), &site.places("new")).unwrap();
    assert_eq!(names, ["log", "catalog"]);
    for path in [
        "log/format",
        "log/engine/journal",
        "log/token",
        "catalog.db",
    ] {
        assert_eq!(read(&site.at("new").join(path)), read(&site.at(path)));
    }
    assert!(site.at("new/log/engine/empty").is_dir());
    assert!(!site.at("new/log/.restoring").exists());
    let token = fs::metadata(site.at("new/log/token")).unwrap();
    assert_eq!(token.permissions().mode() & 0o777, 0o600);
}

#[test]
fn nothing_is_overwritten() {
    let site = Site::new();
    site.save();
    let again = save(&[site.part("log", "log")], &site.at("backup"), "", 0);
    assert!(matches!(again, Err(BackupError::InTheWay { .. })));
    let onto = restore(&site.at("backup"), &site.places("."));
    let Err(BackupError::InTheWay { path, .. }) = onto else {
        panic!("{onto:?}");
    };
    assert!(path.starts_with(site.at("log")), "{path:?}");
}

#[test]
fn one_damaged_byte_and_nothing_is_put_back() {
    let site = Site::new();
    site.save();
    let journal = site.at("backup/parts/log/engine/journal");
    let mut bytes = read(&journal);
    bytes[1 << 20] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let refused = restore(&site.at("backup"), &site.places("new"));
    let Err(BackupError::Damaged { path, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(path, journal);
    assert!(!site.at("new").exists());
}

#[test]
fn a_missing_file_is_damage_too() {
    let site = Site::new();
    site.save();
    fs::remove_file(site.at("backup/parts/catalog")).unwrap();
    let refused = restore(&site.at("backup"), &site.places("new"));
    assert!(matches!(refused, Err(BackupError::Damaged { .. })));
    assert!(!site.at("new").exists());
}

#[test]
fn a_path_out_of_its_part_is_refused() {
    let site = Site::new();
    site.save();
    let manifest = site.at("backup/backup.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("engine/journal", "../../escaped")).unwrap();
    let refused = restore(&site.at("backup"), &site.places("new"));
    assert!(matches!(refused, Err(BackupError::Damaged { .. })));
}

#[test]
fn a_backup_of_a_later_format_names_the_way_forward() {
    let site = Site::new();
    site.save();
    let manifest = site.at("backup/backup.json");
    fs::write(
        &manifest,
        r#"{"format": 9, "made-by": "3.2.1", "unknown": true}"#,
    )
    .unwrap();
    let refused = restore(&site.at("backup"), &site.places("new"));
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("3.2.1") && text.contains("format 9") && text.contains("then upgrade"),
        "{text}"
    );
}

#[test]
fn a_restore_that_was_cut_off_is_done_again() {
    let site = Site::new();
    site.save();
    fs::create_dir_all(site.at("new/log/.restoring/engine")).unwrap();
    fs::write(site.at("new/log/.restoring/engine/journal"), "half").unwrap();
    restore(&site.at("backup"), &site.places("new")).unwrap();
    assert_eq!(
        read(&site.at("new/log/engine/journal")),
        read(&site.at("log/engine/journal"))
    );
}

#[test]
fn parts_within_parts_are_saved_once_and_what_is_left_out_stays() {
    let site = Site::new();
    let mut outer = site.part("all", ".");
    outer.without = vec!["catalog.db".to_owned()];
    let manifest = save(&[outer, site.part("log", "log")], &site.at("backup"), "", 0).unwrap();
    assert!(manifest.parts["all"].files.is_empty(), "{manifest:?}");
    assert_eq!(manifest.parts["log"].files.len(), 3);
}

#[test]
fn a_link_can_not_be_saved() {
    let site = Site::new();
    std::os::unix::fs::symlink("/etc", site.at("log/link")).unwrap();
    let refused = save(&[site.part("log", "log")], &site.at("backup"), "", 0);
    assert!(matches!(refused, Err(BackupError::NoFile { .. })));
    assert!(!site.at("backup").exists());
}
