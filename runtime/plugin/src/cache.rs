//! The private folder of copied and compiled plugins.
//!
//! Compiled code is native code: whoever writes here runs as this process. So the folder belongs
//! to this user, nobody else may write to it, and only files that this host compiled are loaded.

use crate::engine::hex;
use crate::error::LoadError;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;
use wasmtime::component::Component;

/// A file that was being written so long ago is left over from a crash.
const LEFT_OVER_AFTER: Duration = Duration::from_secs(60 * 60);
/// Ends the name of a file that is being written.
const UNFINISHED: &str = "unfinished";

#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Opens the folder, making it if needed.
    pub(crate) fn open(dir: &Path) -> Result<Self, LoadError> {
        let cache = Self {
            dir: dir.to_owned(),
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| cache.unusable(dir, e))?;
        let metadata = fs::symlink_metadata(dir).map_err(|e| cache.unusable(dir, e))?;
        // SAFETY: it only returns a number.
        let own = unsafe { libc::geteuid() };
        if !metadata.is_dir() {
            return Err(cache.unusable(dir, "it is not a folder; a link is not followed"));
        }
        if metadata.uid() != own {
            return Err(cache.unusable(
                dir,
                format!("it belongs to user {}, not to user {own}", metadata.uid()),
            ));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(cache.unusable(
                dir,
                "others may write to it: compiled code is kept there, so `chmod 700` it",
            ));
        }
        cache.sweep();
        Ok(cache)
    }

    /// The compiled component of these bytes, whose digest this is. Compiles them if that was not
    /// done before by this version of the engine with these settings.
    pub(crate) fn component(
        &self,
        engine: &wasmtime::Engine,
        path: &Path,
        bytes: &[u8],
        digest: &str,
    ) -> Result<Component, LoadError> {
        let copy = self.dir.join(format!("{digest}.wasm"));
        if !copy.exists() {
            self.write(&copy, bytes)?;
        }
        let compiled = self
            .dir
            .join(format!("{digest}-{}.cwasm", compatibility(engine)));
        if compiled.exists() {
            match load(engine, &compiled) {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::warn!(file = %compiled.display(), error = format!("{error:#}"), "a compiled plugin is unusable and is compiled again");
                }
            }
        }
        let code = engine
            .precompile_component(bytes)
            .map_err(|e| LoadError::NotAComponent {
                path: path.to_owned(),
                reason: format!("{e:#}"),
            })?;
        self.write(&compiled, &code)?;
        load(engine, &compiled).map_err(|e| self.unusable(&compiled, format!("{e:#}")))
    }

    /// Written under another name, made durable, then renamed: a name here means a whole file.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), LoadError> {
        let unfinished = self.dir.join(format!("{}.{UNFINISHED}", Uuid::new_v4()));
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)?;
            File::open(&self.dir)?.sync_all()
        })();
        written.map_err(|error: io::Error| {
            // Nothing ever reads it; the next start sweeps what can't be removed now.
            let _swept_later = fs::remove_file(&unfinished);
            self.unusable(path, error)
        })
    }

    /// Removes what a crash left half written. What can't be removed does no harm.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let old = entry
                .metadata()
                .and_then(|m| m.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFT_OVER_AFTER));
            if old && path.extension().is_some_and(|e| e == UNFINISHED) {
                let _left_for_next_time = fs::remove_file(path);
            }
        }
    }

    fn unusable(&self, path: &Path, reason: impl ToString) -> LoadError {
        LoadError::Cache {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

fn load(engine: &wasmtime::Engine, compiled: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file holds native code, so it must be what this engine wrote, whole and
    // unchanged. It lies in a folder that only this user can write to (checked when the cache
    // was opened), gets its name only after it was written whole and made durable, and is
    // never written to again: it is replaced by renaming, which leaves what is mapped alone.
    // Code of another version or with other settings has another name, and is refused by the
    // engine besides.
    unsafe { Component::deserialize_file(engine, compiled) }
}

/// Names what compiled code depends on: the engine's version, settings and this CPU's features.
pub(crate) fn compatibility(engine: &wasmtime::Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hex(&hasher.0.finalize()[..8])
}

struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }
}
