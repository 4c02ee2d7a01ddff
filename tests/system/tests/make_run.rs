//! `make run` as far as it is a script: which trades may go into `data/`, and when it ends.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use jackfield_system_tests::repository;
use tempfile::TempDir;

/// Stands in for a program that `scripts/run` starts.
fn program(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
}

/// A folder with the script, and with programs that only note how they were started.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let exchange = "echo ready ws://exchange http://exchange\nexec sleep 600";
    program(&at.join("target/release/jackfield-exchange"), exchange);
    let jackfield = r#"echo "$BINANCE_WS $*" >>started"#;
    program(&at.join("target/release/jackfield"), jackfield);
    program(&at.join("scripts/python"), "exit 0");
    fs::copy(repository().join("scripts/run"), at.join("scripts/run")).unwrap();
    folder
}

fn run(at: &Path, arguments: &[&str]) -> Output {
    Command::new("bash")
        .arg(at.join("scripts/run"))
        .args(arguments)
        .env("CARGO_TARGET_DIR", at.join("target"))
        .env_remove("BINANCE_WS")
        .output()
        .unwrap()
}

/// How `jackfield` was started.
fn started(at: &Path, arguments: &[&str]) -> String {
    let ran = run(at, arguments);
    assert!(ran.status.success(), "{arguments:?}: {ran:?}");
    let started = at.join("started");
    let lines = fs::read_to_string(&started).unwrap();
    fs::remove_file(started).unwrap();
    lines.trim().to_owned()
}

fn is_refused(at: &Path, arguments: &[&str], sentence: &str) {
    let ran = run(at, arguments);
    assert_eq!(ran.status.code(), Some(1), "{arguments:?}: {ran:?}");
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), sentence);
    assert!(ran.stdout.is_empty(), "{arguments:?} went on");
    assert!(!at.join("started").exists(), "{arguments:?} started it");
}

/// One test: a file that is being written while another thread starts a process can't be run.
#[test]
fn make_run_keeps_recorded_and_live_trades_apart_and_ends_unless_it_is_to_stay() {
    let recorded = folder();
    let at = recorded.path();
    let replayed = "ws://exchange run connectors.yaml --until-idle 5s";
    assert_eq!(started(at, &[]), replayed);
    assert_eq!(
        fs::read_to_string(at.join("data/exchange")).unwrap(),
        "recorded\n"
    );
    fs::create_dir(at.join("data/log")).unwrap();
    assert_eq!(started(at, &[]), replayed);
    let stays = "ws://exchange run connectors.yaml";
    assert_eq!(started(at, &["--stay"]), stays);
    let sentence = "data/ holds recorded trades, and live ones can't follow them: rm -rf data\n";
    is_refused(at, &["--live"], sentence);
    is_refused(at, &["--look", "--live"], sentence);

    let live = folder();
    let at = live.path();
    assert!(run(at, &["--look", "--live"]).status.success());
    assert!(!at.join("data").exists(), "looking changes nothing");
    assert_eq!(started(at, &["--live"]), "run connectors.yaml");
    fs::create_dir(at.join("data/log")).unwrap();
    let sentence = "data/ holds live trades, and recorded ones can't follow them: rm -rf data\n";
    is_refused(at, &[], sentence);
    is_refused(at, &["--look"], sentence);

    let others = folder();
    let at = others.path();
    fs::create_dir_all(at.join("data/log")).unwrap();
    assert_eq!(started(at, &["--live"]), "run connectors.yaml");
    assert!(
        !at.join("data/exchange").exists(),
        "whose they are is not known"
    );
}
