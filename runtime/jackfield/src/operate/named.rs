//! Components that a request names, instead of uploading them.

use jackfield_admin::Objection;
use std::path::{Component, Path, PathBuf};

/// The file of this name in the folder that the configuration allows. Whoever asks may name nothing
/// else: neither a path, nor a link that leads out of the folder.
pub(super) fn find(folder: Option<PathBuf>, name: &str) -> Result<PathBuf, Objection> {
    let Some(folder) = folder else {
        return Err(refused(
            "no folder has components to name: set `admin.components`, or upload one".to_owned(),
        ));
    };
    let mut parts = Path::new(name).components();
    let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else {
        return Err(refused(format!(
            "`{name}` is not the name of a file in the folder of components"
        )));
    };
    let missing = |path: &Path, error: &std::io::Error| {
        refused(format!("{} can't be read: {error}", path.display()))
    };
    let folder = folder.canonicalize().map_err(|e| missing(&folder, &e))?;
    let path = folder.join(name);
    let file = path.canonicalize().map_err(|e| missing(&path, &e))?;
    match file.starts_with(&folder) {
        true => Ok(file),
        false => Err(refused(format!(
            "`{name}` leads out of the folder of components"
        ))),
    }
}

fn refused(message: String) -> Objection {
    Objection {
        status: 422,
        code: "not-loadable",
        message,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_found() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("components");
        std::fs::create_dir_all(folder.join(".data")).unwrap();
        for file in [".data/in.wasm", "plain.wasm", "../out.wasm"] {
            std::fs::write(folder.join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink(".data/in.wasm", folder.join("in.wasm")).unwrap();
        std::os::unix::fs::symlink("../out.wasm", folder.join("out.wasm")).unwrap();
        let found = |name: &str| find(Some(folder.clone()), name);
        assert!(found("plain.wasm").unwrap().ends_with("plain.wasm"));
        assert!(found("in.wasm").unwrap().ends_with(".data/in.wasm"));
        for (name, word) in [
            ("out.wasm", "leads out"),
            ("../out.wasm", "not the name"),
            (".data/in.wasm", "not the name"),
            ("/etc/passwd", "not the name"),
            ("..", "not the name"),
            ("", "not the name"),
            ("other.wasm", "can't be read"),
        ] {
            let refused = found(name).unwrap_err();
            assert!(refused.message.contains(word), "{name}: {refused:?}");
        }
        assert!(find(None, "plain.wasm").is_err());
    }
}
