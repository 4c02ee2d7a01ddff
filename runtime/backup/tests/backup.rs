//! What is not saved and not put back: nothing is touched then.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::Site;
use jackfield_backup::{BackupError, restore, save};
use std::fs;
use std::path::Path;

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
    let mut bytes = fs::read(&journal).unwrap();
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

/// What stays is native code, which is run as it lies there.
#[test]
fn nothing_is_brought_into_what_stays() {
    let site = Site::new();
    fs::create_dir_all(site.at("log/plugins")).unwrap();
    fs::write(site.at("log/plugins/0123-4567.cwasm"), "code").unwrap();
    site.save();
    for there in [false, true] {
        if there {
            fs::create_dir_all(site.at("new/log/plugins")).unwrap();
        }
        let mut places = site.places("new");
        places[0].may_hold = vec!["plugins".to_owned()];
        let refused = restore(&site.at("backup"), &places);
        let Err(BackupError::Damaged { path, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(path, Path::new("plugins/0123-4567.cwasm"));
        assert!(!site.at("new/catalog.db").exists());
        assert!(!site.at("new/log/format").exists());
    }
}

#[test]
fn nothing_is_brought_into_what_stays_in_another_part_or_without_a_file() {
    let site = Site::new();
    fs::create_dir_all(site.at("log/plugins")).unwrap();
    let parts = [site.part("all", "log")];
    save(&parts, &site.at("backup"), "", 0).unwrap();
    let [mut inner, mut outer] = site.places("new");
    inner.may_hold = vec!["plugins".to_owned()];
    outer.name = "all".to_owned();
    outer.path = site.at("new/log");
    let refused = restore(&site.at("backup"), &[inner, outer]);
    assert!(
        matches!(refused, Err(BackupError::Damaged { .. })),
        "{refused:?}"
    );
    assert!(!site.at("new").exists());
}

/// Whoever opens the catalog would roll it back with the journal of another one.
#[test]
fn what_would_be_taken_for_some_of_a_part_is_in_the_way() {
    let site = Site::new();
    site.save();
    let journal = site.at("new/catalog.db-journal");
    fs::create_dir_all(site.at("new")).unwrap();
    fs::write(&journal, "pages").unwrap();
    let mut places = site.places("new");
    places[1].beside = vec![site.at("new/catalog.db-wal"), journal.clone()];
    let refused = restore(&site.at("backup"), &places);
    let Err(BackupError::InTheWay { path, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(path, journal);
    assert!(!site.at("new/log").exists());
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
