//! What the scripts of the repository fetch.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository's folder.
pub fn repository() -> &'static Path {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = folder.ancestors().nth(2);
    root.expect("this crate lies two folders deep")
}

/// What a script of `scripts/` fetches when it is missing: the path that it prints.
///
/// # Panics
/// It can't be fetched: what is missing is named.
pub fn fetched(script: &str) -> PathBuf {
    let output = Command::new(repository().join("scripts").join(script))
        .stderr(Stdio::piped())
        .output()
        .unwrap_or_else(|error| panic!("scripts/{script} does not run: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", errors.trim());
    String::from_utf8_lossy(&output.stdout).trim().into()
}
