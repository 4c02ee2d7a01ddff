//! deploy/systemd.

use std::process::Command;

use crate::{deploy, run};

/// systemd's figure of how exposed the service is, in tenths; 13 is what docs/OPERATIONS.md says.
const EXPOSURE_MAX: &str = "--threshold=13";

#[test]
fn the_service_is_as_closed_off_as_is_said() {
    let unit = deploy("systemd/jackfield.service");
    run(Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager", EXPOSURE_MAX])
        .arg(unit));
}
