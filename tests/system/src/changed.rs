//! Components that are other files and do the same.

use std::path::{Path, PathBuf};

use crate::{Artifacts, output};

/// A component that does the same and is another file: its last section is for nobody.
pub async fn changed_copy(of: &str, into: &Path, word: &str) -> PathBuf {
    let mut bytes = std::fs::read(Artifacts::get().plugin(of)).unwrap();
    let name = format!("changed-{word}");
    let section = [&[name.len() as u8][..], name.as_bytes()].concat();
    bytes.extend([0, section.len() as u8]);
    bytes.extend(section);
    let path = into.join(format!("{of}-{word}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    // Compiled before, so that no request has to wait for it.
    let state = Artifacts::get().state.to_str().unwrap();
    let args = [
        "plugin",
        "compile",
        path.to_str().unwrap(),
        "--state",
        state,
    ];
    let compiled = output(&args).await;
    assert!(compiled.status.success(), "{compiled:?}");
    path
}
