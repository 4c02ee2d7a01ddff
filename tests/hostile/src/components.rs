//! The evil components as files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where `make test` leaves the components that it has built.
const PLUGINS_DIR: &str = "JACKFIELD_PLUGINS_TEST_DIR";
/// What stands before the deed that a component does in `describe`.
const MARK: &[u8] = b"engraved-deed:";
/// Bytes of the deed, padded with dots.
const DEED_BYTES: usize = 34;

/// The evil source; built once if nobody has built it yet.
///
/// # Panics
/// It can't be built; says how to.
pub fn component() -> &'static Path {
    static COMPONENT: OnceLock<PathBuf> = OnceLock::new();
    COMPONENT.get_or_init(|| found("hostile-plugin"))
}

/// The evil sink, likewise.
///
/// # Panics
/// It can't be built; says how to.
pub fn sink_component() -> &'static Path {
    static COMPONENT: OnceLock<PathBuf> = OnceLock::new();
    COMPONENT.get_or_init(|| found("hostile-sink-plugin"))
}

/// A component with a deed written into it, which it does in `describe`.
///
/// # Panics
/// It has no place for it, or not one only.
pub fn engraved(component: &Path, deed: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(component).expect("it was found");
    let places: Vec<usize> = bytes
        .windows(MARK.len())
        .enumerate()
        .filter_map(|(at, window)| (window == MARK).then_some(at + MARK.len()))
        .collect();
    let [at] = places[..] else {
        panic!("{} has {} marks", component.display(), places.len());
    };
    let padded = format!("{deed:.<DEED_BYTES$}");
    bytes[at..at + DEED_BYTES].copy_from_slice(padded.as_bytes());
    bytes
}

fn found(package: &str) -> PathBuf {
    let Some(dir) = std::env::var_os(PLUGINS_DIR) else {
        return build(package);
    };
    let name = package.trim_end_matches("-plugin");
    let file = PathBuf::from(dir).join(format!("{name}.wasm"));
    assert!(
        file.exists(),
        "{PLUGINS_DIR} is set, but {} is missing: run `make plugins-test`",
        file.display()
    );
    file
}

fn build(package: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(&root)
        .env("CARGO_TARGET_DIR", &target)
        // It would replace the flags that .cargo/config.toml gives the target.
        .env_remove("RUSTFLAGS")
        .args(["build", "-p", package])
        .args(["--target", "wasm32-wasip2", "--profile", "plugin-test"])
        .output()
        .expect("cargo runs this test, so it can be run");
    assert!(
        built.status.success(),
        "{package} can't be built; is the target there (`rustup target add wasm32-wasip2`)?\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let file = format!("{}.wasm", package.replace('-', "_"));
    target.join("wasm32-wasip2/plugin-test").join(file)
}
