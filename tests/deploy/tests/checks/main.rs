//! What `deploy/` holds.
#![allow(clippy::unwrap_used, missing_docs)]

mod compose;
mod files;
mod kubernetes;
mod long_lived;
mod operations;
mod page;
mod pod;
mod release;
mod service;

use std::path::PathBuf;
use std::process::{Command, Output};

use jackfield_system_tests::repository;

fn deploy(path: &str) -> PathBuf {
    repository().join("deploy").join(path)
}

fn free_address() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Runs a program to its end, which must be a good one.
fn run(command: &mut Command) -> String {
    let output = output(command);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn output(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    let output = command.output();
    output
        .unwrap_or_else(|e| panic!("{program:?}: {e}: scripts/deps test installs what is missing"))
}
