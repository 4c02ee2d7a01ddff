//! A folder of plugins that were compiled beforehand, as in the build of an image.
//!
//! Compiled code is native code, and nothing about a file tells whether a compiler wrote it. So
//! who may write it decides: the folder, the files and every folder above belong to one owner or
//! to root, and nobody else may write to them. The list of digests tells whole files from damaged
//! ones and from those of another version; it protects from nobody, since it lies beside them.

use crate::engine::{CompiledConfig, baseline, hex};
use crate::error::LoadError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use wasmtime::component::Component;

/// The list's file.
const LIST: &str = "compiled.json";
/// The version of the list.
const FORMAT: u32 = 1;
/// Root may write everywhere, so it is trusted everywhere.
const ROOT: u32 = 0;
/// Write bits of group and others.
const OTHERS_WRITE: u32 = 0o022;
/// In such a folder only a file's owner may move or remove it.
const STICKY: u32 = 0o1000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    format: u32,
    /// Names the engine's version and settings that the code was compiled for.
    engine: String,
    /// SHA-256 of each plugin's file, and that of its compiled code, which lies beside the list
    /// under the first one.
    plugins: BTreeMap<String, String>,
}

/// A folder that was found to be only its owner's.
#[derive(Debug)]
pub(crate) struct Precompiled {
    dir: PathBuf,
    owner: u32,
    plugins: BTreeMap<String, String>,
}

impl Precompiled {
    /// Opens the folder.
    ///
    /// # Errors
    /// Why nothing is to be loaded from it: plugins are then compiled as if it were not there.
    pub(crate) fn open(config: &CompiledConfig) -> Result<Self, String> {
        let dir =
            fs::canonicalize(&config.dir).map_err(|e| format!("{}: {e}", config.dir.display()))?;
        for folder in dir.ancestors() {
            let below = folder != dir;
            owned(folder, config.owner, below)?;
        }
        let path = dir.join(LIST);
        owned(&path, config.owner, false)?;
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let list: List =
            serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        if list.format != FORMAT {
            return Err(format!(
                "{} has format {}, this version reads {FORMAT}",
                path.display(),
                list.format
            ));
        }
        let engine = baseline().map_err(|e| format!("{e:#}"))?;
        if list.engine != crate::cache::compatibility(&engine) {
            return Err(format!(
                "{} was compiled by another version of Jackfield or for another machine",
                dir.display()
            ));
        }
        Ok(Self {
            dir,
            owner: config.owner,
            plugins: list.plugins,
        })
    }

    /// The compiled component of the plugin with this digest, where the list has it and its file
    /// is what the list says.
    pub(crate) fn component(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let expected = self.plugins.get(digest)?;
        let path = self.dir.join(format!("{digest}.cwasm"));
        match self.load(engine, &path, expected) {
            Ok(component) => Some(component),
            Err(reason) => {
                tracing::warn!(file = %path.display(), reason, "code that was compiled beforehand is not used, the plugin is compiled");
                None
            }
        }
    }

    fn load(
        &self,
        engine: &wasmtime::Engine,
        path: &Path,
        expected: &str,
    ) -> Result<Component, String> {
        owned(path, self.owner, false)?;
        let code = fs::read(path).map_err(|e| e.to_string())?;
        let found = hex(&Sha256::digest(&code));
        if found != expected {
            return Err(format!("it has sha256 {found}, the list says {expected}"));
        }
        // SAFETY: the file holds native code, so it must be what a compiler of this version wrote,
        // whole and unchanged. It and every folder above it belong to root or to the trusted
        // owner, and nobody else may write to them (checked above, and when the folder was
        // opened): so what was read for the digest is what is mapped now. Code of another version
        // or with other settings was refused with the list, and is refused by the engine besides,
        // as is code for CPU features that this machine lacks.
        unsafe { Component::deserialize_file(engine, path) }.map_err(|e| format!("{e:#}"))
    }
}

/// Compiles plugins for every CPU of this machine's architecture into a folder that
/// [`EngineConfig::compiled`](crate::EngineConfig::compiled) can name, with a list of their
/// digests; a list that is there is replaced. Returns the digests of the plugins, in order.
///
/// # Errors
/// A file is no component, or the folder can't be written.
pub fn compile_into(files: &[PathBuf], dir: &Path) -> Result<Vec<String>, LoadError> {
    let engine = baseline().map_err(|e| LoadError::Engine(format!("{e:#}")))?;
    let unwritable = |path: &Path, error: io::Error| LoadError::Cache {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .map_err(|e| unwritable(dir, e))?;
    let mut plugins = BTreeMap::new();
    let mut digests = Vec::new();
    for file in files {
        let (bytes, digest) = crate::engine::read(file, None)?;
        let code = engine
            .precompile_component(&bytes)
            .map_err(|e| LoadError::NotAComponent {
                path: file.clone(),
                reason: format!("{e:#}"),
            })?;
        let path = dir.join(format!("{digest}.cwasm"));
        write(&path, &code).map_err(|e| unwritable(&path, e))?;
        plugins.insert(digest.clone(), hex(&Sha256::digest(&code)));
        digests.push(digest);
    }
    let list = List {
        format: FORMAT,
        engine: crate::cache::compatibility(&engine),
        plugins,
    };
    let text = serde_json::to_vec_pretty(&list).expect("a list of texts is JSON");
    let path = dir.join(LIST);
    write(&path, &text).map_err(|e| unwritable(&path, e))?;
    Ok(digests)
}

/// Whole when it appears, readable for all, writable for none but its owner.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// Whether nobody but root and `owner` can change what lies at `path`. Of a folder that is passed
/// on the way it is enough that others can't put another one in the place of what is below.
fn owned(path: &Path, owner: u32, passed: bool) -> Result<(), String> {
    let metadata = fs::symlink_metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if metadata.is_symlink() {
        return Err(format!("{} is a link", path.display()));
    }
    if metadata.uid() != ROOT && metadata.uid() != owner {
        return Err(format!(
            "{} belongs to user {}: compiled code is loaded only from where root alone may write",
            path.display(),
            metadata.uid()
        ));
    }
    let sticky = passed && metadata.mode() & STICKY != 0;
    if metadata.mode() & OTHERS_WRITE != 0 && !sticky {
        return Err(format!(
            "others than its owner may write to {}: compiled code is loaded only from where root alone may write",
            path.display()
        ));
    }
    Ok(())
}
