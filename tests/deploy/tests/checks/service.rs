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

/// Whether nothing is wrong with a unit, or what systemd says of it. A line that it does not know is
/// left out when the unit starts, with a warning only: here that is an error.
fn verified(unit: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jackfield.service");
    std::fs::write(&file, unit).unwrap();
    // `no`: units of the machine that it names are the machine's own affair.
    let verified = output(
        Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(&file),
    );
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    match verified.status.success() && !said.contains("jackfield.service") {
        true => Ok(()),
        false => Err(said),
    }
}

#[test]
fn systemd_takes_every_line_of_the_service() {
    let unit = std::fs::read_to_string(deploy("systemd/jackfield.service")).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(unit.contains(from), "{from}");
        unit.replace(from, to)
    };
    // The program is to be there: the tests' own, where this machine has none installed.
    let program = "=/usr/bin/jackfield ";
    let ours = format!("={} ", Artifacts::get().jackfield.display());
    let installed = changed(program, &ours);
    assert_eq!(verified(&installed), Ok(()));

    let missing = changed(program, "=/nowhere/jackfield ");
    let unknown_key = installed.replace("NoNewPrivileges=", "NoNewPrivilege=");
    let unknown_value = installed.replace("Restart=on-failure", "Restart=on-failur");
    for (wrong, about) in [
        (missing, "/nowhere/jackfield"),
        (unknown_key, "NoNewPrivilege"),
        (unknown_value, "on-failur"),
    ] {
        let said = verified(&wrong).expect_err(about);
        assert!(said.contains(about), "{said}");
    }
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
