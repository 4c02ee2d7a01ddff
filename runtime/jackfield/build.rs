//! Puts the git commit into the version: the one that whoever builds names, that of the tarball
//! which git made of a repository, or that of the repository.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Digits of a commit that are shown.
const DIGITS: usize = 12;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../COMMIT");
    println!("cargo:rerun-if-env-changed=JACKFIELD_COMMIT");
    // Cargo would run this each time for a file that is missing.
    let head = Path::new("../../.git/logs/HEAD");
    if head.exists() {
        println!("cargo:rerun-if-changed={}", head.display());
    }
    let commit = named().or_else(of_tarball).or_else(of_repository);
    println!(
        "cargo:rustc-env=JACKFIELD_COMMIT={}",
        commit.as_deref().unwrap_or("unknown")
    );
}

fn named() -> Option<String> {
    commit(&std::env::var("JACKFIELD_COMMIT").ok()?)
}

fn of_repository() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let output = output.ok().filter(|output| output.status.success())?;
    commit(&String::from_utf8(output.stdout).ok()?)
}

/// `git archive` fills this file in.
fn of_tarball() -> Option<String> {
    commit(&fs::read_to_string("../../COMMIT").ok()?)
}

/// A hash, shortened; anything else is none.
fn commit(text: &str) -> Option<String> {
    let text = text.trim();
    let hash = text.len() >= DIGITS && text.chars().all(|c| c.is_ascii_hexdigit());
    hash.then(|| text[..DIGITS].to_owned())
}
