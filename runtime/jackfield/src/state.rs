//! The state folder's format: what a process keeps beside the log.
//!
//! | name | what | lost when removed |
//! |---|---|---|
//! | `format` | the format | |
//! | `admin-token` | the token that nobody chose | another one is made |
//! | `worker-N` | this process's name among the workers of a cluster | it comes back as another one |
//! | `uploaded-…` | a component that is being loaded | |
//! | `shadows` | what the shadows that run now have written, thrown away with them | |
//! | `plugins` | copied and compiled plugins, named by their content and the engine's version | they are compiled anew |

use jackfield_pipeline::ShadowOptions;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// The format that this version writes. A folder without one is of this format: it was made by a
/// process that had not come so far as to write it, or holds compiled plugins only.
const FORMAT: u32 = 1;
const FORMAT_NAME: &str = "jackfield state ";
const FORMAT_FILE: &str = "format";

/// Where the shadows of sinks write, below the state folder.
pub(crate) const SHADOWS: &str = "shadows";

/// The state folder can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// A later version has changed it.
    #[error(
        "{path} says `{found}`: another version of Jackfield wrote it, this one reads `{known}`: run that version again, restore a backup from before the upgrade, or move the folder away",
        known = own().trim_end()
    )]
    OtherFormat { path: String, found: String },
    /// It can't be read or written.
    #[error("the state folder: {path}: {error}", path = path.display())]
    Unusable { path: PathBuf, error: io::Error },
}

/// Makes the folder where it is missing, and refuses one of another format.
pub(crate) fn open(dir: &Path) -> Result<(), StateError> {
    let path = dir.join(FORMAT_FILE);
    let unusable = |error: io::Error| StateError::Unusable {
        path: path.clone(),
        error,
    };
    fs::create_dir_all(dir).map_err(unusable)?;
    match fs::read_to_string(&path) {
        Ok(found) if found == own() => Ok(()),
        Ok(found) => Err(StateError::OtherFormat {
            path: path.display().to_string(),
            found: found.trim().to_owned(),
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => write(dir, &path).map_err(unusable),
        Err(error) => Err(unusable(error)),
    }
}

/// What components are called that were uploaded, until they are loaded.
pub(crate) const UPLOADED: &str = "uploaded-";
/// An upload that is older belongs to nobody any more: loading one takes minutes at most.
const UPLOADED_FOR: Duration = Duration::from_secs(60 * 60);

/// Removes what the shadows and uploads of a process that was killed left: it may be gigabytes, and
/// nobody else does. Those of other processes that share the folder stay.
pub(crate) fn sweep(dir: &Path) {
    if let Err(error) = sweep_uploads(dir) {
        // As below.
        tracing::warn!(folder = %dir.display(), %error, "what uploads left can't be removed");
    }
    let shadows = dir.join(SHADOWS);
    match ShadowOptions::sweep(&shadows) {
        Ok(0) => {}
        Ok(folders) => tracing::info!(
            folders,
            "what shadows of a process that was killed had written is removed"
        ),
        // It costs room, and nothing depends on it.
        Err(error) => {
            tracing::warn!(folder = %shadows.display(), %error, "what shadows left can't be removed")
        }
    }
}

fn sweep_uploads(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| name.starts_with(UPLOADED)) {
            continue;
        }
        let since = entry.metadata()?.modified()?.elapsed();
        if since.is_ok_and(|since| since > UPLOADED_FOR) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn own() -> String {
    format!("{FORMAT_NAME}{FORMAT}\n")
}

/// Whole when it appears, also after a loss of power: several processes may share a state folder, and
/// a part of it would be taken for a format that nobody wrote.
fn write(dir: &Path, path: &Path) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(own().as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_folder_says_its_format_and_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        open(&state).unwrap();
        open(&state).unwrap();
        let format = fs::read_to_string(state.join("format")).unwrap();
        assert_eq!(format, "jackfield state 1\n");
    }

    #[test]
    fn what_a_killed_process_left_of_its_shadows_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap();
        sweep(dir.path());
        let left = dir.path().join(SHADOWS).join("shadow-AbCdEf");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("file"), "a").unwrap();
        sweep(dir.path());
        assert!(!left.exists());
        assert!(dir.path().join("format").exists());
    }

    #[test]
    fn old_uploads_are_removed_and_young_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let [old, young, other] =
            ["uploaded-a.wasm", "uploaded-b.wasm", "admin-token"].map(|name| dir.path().join(name));
        for path in [&old, &young, &other] {
            fs::write(path, "a").unwrap();
        }
        let long_ago = SystemTime::now() - 2 * UPLOADED_FOR;
        for path in [&old, &other] {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        sweep(dir.path());
        assert!(!old.exists() && young.exists() && other.exists());
    }

    #[test]
    fn another_format_is_refused_with_the_way_forward() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("format"), "jackfield state 2\n").unwrap();
        let text = open(dir.path()).unwrap_err().to_string();
        assert!(
            text.contains("state 2") && text.contains("restore a backup"),
            "{text}"
        );
    }
}
