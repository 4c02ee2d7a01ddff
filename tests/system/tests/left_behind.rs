//! No process outlives the test that started it, also where that is killed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::{Permissions, set_permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jackfield_system_tests::PATIENCE;

/// Between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Whether a process runs. One that has ended, and that nobody has waited for, does not.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, after)| after);
    state.is_some_and(|it| !it.starts_with(['Z', 'X']))
}

#[test]
fn a_server_and_a_jackfield_end_with_a_test_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    // As root the server runs as another user, who has to get to its folder in there.
    set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let mut test = Command::new(env!("CARGO_BIN_EXE_starts_and_waits"))
        .env("TMPDIR", folder.path())
        // Its end ends it, where this test fails before.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut output = BufReader::new(test.stdout.take().unwrap());
    output.read_line(&mut said).unwrap();
    let pids: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(pids.len(), 2, "it has not started both: {said}");
    assert!(pids.iter().all(|pid| runs(pid)), "{said}");
    test.kill().unwrap();
    test.wait().unwrap();
    let begin = Instant::now();
    for pid in pids {
        while runs(pid) {
            assert!(begin.elapsed() < PATIENCE, "{pid} is left behind");
            std::thread::park_timeout(LOOK_EVERY);
        }
    }
}
