//! deploy/systemd.

use std::process::Command;

use jackfield_system_tests::Artifacts;

use crate::{deploy, output, run};

/// systemd's figure of how exposed the service is, in tenths; 13 is what docs/OPERATIONS.md says.
const EXPOSURE_MAX: &str = "--threshold=13";

#[test]
fn the_service_is_as_closed_off_as_is_said() {
    let unit = deploy("systemd/jackfield.service");
    run(Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager", EXPOSURE_MAX])
        .arg(unit));
}

/// systemd looks at the exit code of the main process only: what fails before it is tried again for
/// ever.
#[test]
fn a_mistake_in_the_file_is_not_tried_again() {
    let unit = std::fs::read_to_string(deploy("systemd/jackfield.service")).unwrap();
    let settings: Vec<&str> = unit.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(settings.contains(&"RestartPreventExitStatus=2"));
    let before = settings
        .iter()
        .find(|line| line.starts_with("ExecStartPre"));
    assert_eq!(before, None);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connectors.yaml");
    std::fs::write(&file, "pipelines: { trades: { sinks: { lake: {} } } }").unwrap();
    let run = output(
        Command::new(&Artifacts::get().jackfield)
            .arg("run")
            .arg(&file),
    );
    assert_eq!(run.status.code(), Some(2));
}
