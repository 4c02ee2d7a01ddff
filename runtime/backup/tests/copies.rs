//! Saved, and put back.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Site, give_mode};
use jackfield_backup::{BackupError, Manifest, restore, save};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
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
    assert_eq!(mode(&site.at("new/log/token")), 0o600);
}

/// Others read a warehouse, too.
#[test]
fn files_and_folders_get_their_modes_again() {
    let site = Site::new();
    let modes = [
        ("log", 0o751),
        ("log/engine", 0o2775),
        ("log/engine/empty", 0o555),
        ("log/format", 0o664),
    ];
    for (path, mode) in modes {
        give_mode(&site.at(path), mode);
    }
    site.save();
    restore(&site.at("backup"), &site.places("new")).unwrap();
    for (path, expected) in modes {
        assert_eq!(mode(&site.at("new").join(path)), expected, "{path}");
    }
    // A folder that is there is as its owner wants it.
    fs::create_dir_all(site.at("another/log")).unwrap();
    give_mode(&site.at("another/log"), 0o700);
    restore(&site.at("backup"), &site.places("another")).unwrap();
    assert_eq!(mode(&site.at("another/log")), 0o700);
    assert_eq!(mode(&site.at("another/log/engine")), 0o2775);
}

#[test]
fn a_restore_that_was_cut_off_is_done_again() {
    let site = Site::new();
    site.save();
    fs::create_dir_all(site.at("new/log/.restoring/engine")).unwrap();
    fs::write(site.at("new/log/.restoring/engine/journal"), "half").unwrap();
    fs::write(site.at("new/catalog.db.restoring"), "half").unwrap();
    restore(&site.at("backup"), &site.places("new")).unwrap();
    assert_eq!(
        read(&site.at("new/log/engine/journal")),
        read(&site.at("log/engine/journal"))
    );
    assert_eq!(read(&site.at("new/catalog.db")), b"rows");
    assert!(!site.at("new/catalog.db.restoring").exists());
}

/// It would be in the way of the next one.
#[test]
fn what_a_restore_left_behind_is_not_saved() {
    let site = Site::new();
    fs::create_dir_all(site.at("log/.restoring/engine")).unwrap();
    let manifest = site.save();
    let folders = &manifest.parts["log"].folders;
    assert!(
        folders.iter().all(|it| !it.starts_with(".restoring")),
        "{folders:?}"
    );
}

#[test]
fn a_slash_at_the_end_of_its_name_makes_the_same_backup() {
    let site = Site::new();
    let with_slash = site.at("backup/");
    save(&[site.part("log", "log")], &with_slash, "", 0).unwrap();
    assert!(site.at("backup/backup.json").exists());
    assert!(!site.at("backup/.unfinished").exists());
    let again = save(&[site.part("log", "log")], &with_slash, "", 0);
    assert!(matches!(again, Err(BackupError::InTheWay { .. })));
}

#[test]
fn a_name_that_is_no_text_is_named() {
    let site = Site::new();
    let name = OsStr::from_bytes(b"caf\xe9");
    fs::write(site.at("log").join(name), "").unwrap();
    let refused = save(&[site.part("log", "log")], &site.at("backup"), "", 0);
    let Err(BackupError::NotText { path }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(path.file_name(), Some(name));
    assert!(!site.at("backup").exists());
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
fn parts_within_parts_are_known_by_links_and_dots_too() {
    for (linked, path) in [(true, "linked"), (false, "log/engine/../../log")] {
        let site = Site::new();
        if linked {
            symlink(site.at("log"), site.at("linked")).unwrap();
        }
        let parts = [site.part("all", "."), site.part("log", path)];
        let manifest = save(&parts, &site.at("backup"), "", 0).unwrap();
        let all: Vec<_> = manifest.parts["all"].files.keys().collect();
        assert_eq!(all, [Path::new("catalog.db")], "{path}");
        assert_eq!(manifest.parts["log"].files.len(), 3, "{path}");
    }
}

#[test]
fn a_part_within_another_one_is_put_back_after_it() {
    let site = Site::new();
    fs::write(site.at("log/engine/empty/file"), "inner").unwrap();
    let parts = [
        site.part("inner", "log/engine/empty"),
        site.part("log", "log"),
    ];
    save(&parts, &site.at("backup"), "", 0).unwrap();
    let [log, mut inner] = site.places("new");
    inner.name = "inner".to_owned();
    inner.path = site.at("new/log/engine/empty");
    let names = restore(&site.at("backup"), &[inner, log]).unwrap();
    assert_eq!(names, ["inner", "log"]);
    assert_eq!(read(&site.at("new/log/engine/empty/file")), b"inner");
    assert!(site.at("new/log/engine/journal").exists());
}

#[test]
fn a_link_can_not_be_saved() {
    let site = Site::new();
    symlink("/etc", site.at("log/link")).unwrap();
    let refused = save(&[site.part("log", "log")], &site.at("backup"), "", 0);
    assert!(matches!(refused, Err(BackupError::NoFile { .. })));
    assert!(!site.at("backup").exists());
}
