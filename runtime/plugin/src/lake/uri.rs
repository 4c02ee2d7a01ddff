//! Where objects are: `file:///` and a path, taken literally.
//!
//! Iceberg's writers and readers do not decode the paths in such URIs: a folder `symbol=A%2FB`
//! has those very characters in its name. Decoding here would read other files than were checked.

use super::error::StoreError;
use object_store::path::Path as ObjectPath;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Longest URI: file systems take paths of up to 4 KiB.
const URI_BYTES_MAX: usize = 4096;
const SCHEME: &str = "file:";

/// An absolute place below the root. No empty, `.` or `..` segments, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ObjectUri {
    path: ObjectPath,
}

impl ObjectUri {
    /// Parses `file:///path`, or `file:/path` as Java's libraries write it.
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let denied =
            |why: &str| StoreError::Denied(format!("`{}` {why}", shortened(text).escape_debug()));
        if text.len() > URI_BYTES_MAX {
            return Err(denied("is too long"));
        }
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| denied("is no `file:///` URI: this lake has no other store"))?;
        let path = match rest.strip_prefix("//") {
            Some(path) if path.starts_with('/') => path,
            Some(_) => return Err(denied("names another machine")),
            None => rest,
        };
        if !path.starts_with('/') {
            return Err(denied("is not absolute"));
        }
        let path = ObjectPath::parse(path)
            .map_err(|_| denied("has an empty, `.` or `..` segment, or a control character"))?;
        if path.as_ref().is_empty() {
            return Err(denied("names no object"));
        }
        Ok(Self { path })
    }

    /// The place of a folder or file of this machine.
    pub(crate) fn of_path(path: &Path) -> Result<Self, StoreError> {
        let text = path
            .to_str()
            .ok_or_else(|| StoreError::Denied(format!("{} is not valid UTF-8", path.display())))?;
        Self::parse(&format!("{SCHEME}//{text}"))
    }

    /// The place that a store tells.
    pub(crate) fn of_object(path: ObjectPath) -> Self {
        Self { path }
    }

    pub(crate) fn object(&self) -> &ObjectPath {
        &self.path
    }

    pub(crate) fn file(&self) -> PathBuf {
        PathBuf::from(format!("/{}", self.path))
    }

    /// Whether it lies below `folder`, and is not the folder itself.
    pub(crate) fn is_below(&self, folder: &ObjectUri) -> bool {
        self.path
            .prefix_match(&folder.path)
            .is_some_and(|mut rest| rest.next().is_some())
    }

    /// Where it really is, once symbolic links are followed as far as it exists.
    pub(crate) fn resolved(&self) -> io::Result<PathBuf> {
        let file = self.file();
        let mut missing = Vec::new();
        let mut existing = file.as_path();
        loop {
            match existing.canonicalize() {
                Ok(real) => {
                    let missing = missing.iter().rev();
                    return Ok(missing.fold(real, |path, name| path.join(name)));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let (Some(parent), Some(name)) = (existing.parent(), existing.file_name())
                    else {
                        return Err(error);
                    };
                    missing.push(name);
                    existing = parent;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Display for ObjectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}///{}", self.path)
    }
}

/// Texts of a plugin's are as long as it likes; errors are not.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    text.chars().take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, StoreError> {
        ObjectUri::parse(text).map(|uri| uri.to_string())
    }

    #[test]
    fn paths_are_literal() {
        for literal in [
            "file:///w/ns/t/data/symbol=A%2FB/x.parquet",
            "file:///w/%2e%2e/x",
            "file:///w/a b/ü#?.parquet",
            "file:///w/...",
        ] {
            assert_eq!(parse(literal).unwrap(), literal);
            let uri = ObjectUri::parse(literal).unwrap();
            assert_eq!(uri.file().to_str().unwrap(), &literal["file://".len()..]);
        }
        assert_eq!(parse("file:/w/x").unwrap(), "file:///w/x");
        assert_eq!(parse("file:///w/x/").unwrap(), "file:///w/x");
    }

    #[test]
    fn what_is_not_plain_is_denied() {
        for bad in [
            "",
            "/w/x",
            "w/x",
            "file:",
            "file:x",
            "file://",
            "file:///",
            "file:////w/x",
            "file://host/w/x",
            "file://localhost/w/x",
            "FILE:///w/x",
            "s3://w/x",
            "file:///w/../etc/passwd",
            "file:///w/./x",
            "file:///w//x",
            "file:///..",
            "file:///w/x\0",
            "file:///w/x\n",
        ] {
            assert!(
                matches!(parse(bad), Err(StoreError::Denied(_))),
                "{bad:?} {:?}",
                parse(bad)
            );
        }
        let long = format!("file:///{}", "x".repeat(URI_BYTES_MAX));
        let Err(StoreError::Denied(why)) = parse(&long) else {
            panic!("too long a URI passed");
        };
        assert!(why.len() < 300, "{why}");
    }

    #[test]
    fn below_is_by_whole_segments() {
        let below = |uri: &str, folder: &str| {
            ObjectUri::parse(uri)
                .unwrap()
                .is_below(&ObjectUri::parse(folder).unwrap())
        };
        assert!(below("file:///w/a/x", "file:///w/a"));
        assert!(below("file:///w/a/b/x", "file:///w/a/"));
        assert!(!below("file:///w/ab", "file:///w/a"));
        assert!(!below("file:///w/a", "file:///w/a"));
        assert!(!below("file:///w", "file:///w/a"));
        assert!(!below("file:///w/A/x", "file:///w/a"));
    }

    #[test]
    fn links_are_followed_as_far_as_the_path_exists() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("outside")).unwrap();
        std::fs::create_dir_all(root.join("w")).unwrap();
        std::os::unix::fs::symlink(root.join("outside"), root.join("w/link")).unwrap();
        let real = |path: &str| ObjectUri::of_path(&root.join(path)).unwrap().resolved();
        assert_eq!(real("w/new/folder/x").unwrap(), root.join("w/new/folder/x"));
        assert_eq!(real("w/link/new/x").unwrap(), root.join("outside/new/x"));
    }
}
