//! Where objects are: `file:///` and a path, or a bucket and a key, taken literally.
//!
//! Iceberg's writers and readers do not decode the paths in such URIs: a folder `symbol=A%2FB`
//! has those very characters in its name. Decoding here would read other files than were checked.

use super::error::StoreError;
use object_store::path::Path as ObjectPath;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Longest URI: file systems take paths of up to 4 KiB; stores take keys of 1 KiB.
const URI_BYTES_MAX: usize = 4096;
const FILE_SCHEME: &str = "file:";

/// What a bucket is reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BucketKind {
    /// Amazon's S3, and whatever speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure's blobs and Data Lake Storage.
    Azure,
}

/// A bucket; for Azure a container, with its account where the URI says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bucket {
    pub(crate) kind: BucketKind,
    /// `bucket`, or `container@account.dfs.core.windows.net`.
    pub(crate) authority: String,
}

/// Where a path begins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Root {
    /// This machine's file system.
    Disk,
    Bucket(Bucket),
}

impl BucketKind {
    /// Java's libraries name the same store by the protocol of its driver.
    fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" | "s3a" | "s3n" => Some(Self::S3),
            "gs" | "gcs" => Some(Self::Gcs),
            "abfss" | "abfs" | "wasbs" | "wasb" => Some(Self::Azure),
            _ => None,
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "abfss",
        }
    }
}

impl Bucket {
    fn parse(kind: BucketKind, authority: &str) -> Option<Self> {
        let plain = |text: &str| {
            let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            !text.is_empty() && text.bytes().all(good)
        };
        let good = match (kind, authority.split_once('@')) {
            (BucketKind::Azure, Some((container, host))) => plain(container) && plain(host),
            (BucketKind::S3 | BucketKind::Gcs, None) => plain(authority),
            (BucketKind::Azure, None) | (BucketKind::S3 | BucketKind::Gcs, Some(_)) => false,
        };
        good.then(|| Self {
            kind,
            authority: authority.to_owned(),
        })
    }

    /// The host of the account, for one of Azure's.
    pub(crate) fn account(&self) -> Option<&str> {
        self.authority.split_once('@').map(|(_, host)| host)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.kind.scheme(), self.authority)
    }
}

/// An absolute place below a root. No empty, `.` or `..` segments, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ObjectUri {
    root: Root,
    path: ObjectPath,
}

impl ObjectUri {
    /// Parses `file:///path`, or `file:/path` as Java's libraries write it, `s3://bucket/key`,
    /// `gs://bucket/key` and `abfss://container@account.dfs.core.windows.net/key`, and what else
    /// these schemes are called.
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let denied =
            |why: &str| StoreError::Denied(format!("`{}` {why}", shortened(text).escape_debug()));
        if text.len() > URI_BYTES_MAX {
            return Err(denied("is too long"));
        }
        let (root, path) = match text.strip_prefix(FILE_SCHEME) {
            Some(rest) => match rest.strip_prefix("//") {
                Some(path) if path.starts_with('/') => (Root::Disk, path),
                Some(_) => return Err(denied("names another machine")),
                None if rest.starts_with('/') => (Root::Disk, rest),
                None => return Err(denied("is not absolute")),
            },
            None => {
                let (scheme, rest) = text
                    .split_once("://")
                    .ok_or_else(|| denied("is no absolute URI"))?;
                let kind = BucketKind::of_scheme(scheme)
                    .ok_or_else(|| denied("is of a store that is not known here"))?;
                let at = rest.find('/').unwrap_or(rest.len());
                let (authority, path) = rest.split_at(at);
                let authority = authority_of(scheme, authority);
                let bucket =
                    Bucket::parse(kind, &authority).ok_or_else(|| denied("names no bucket"))?;
                (Root::Bucket(bucket), path)
            }
        };
        let path = ObjectPath::parse(path)
            .map_err(|_| denied("has an empty, `.` or `..` segment, or a control character"))?;
        // A whole bucket can be a warehouse; a whole machine can't.
        if path.as_ref().is_empty() && root == Root::Disk {
            return Err(denied("names no object"));
        }
        Ok(Self { root, path })
    }

    /// The place of a folder or file of this machine.
    pub(crate) fn of_path(path: &Path) -> Result<Self, StoreError> {
        let text = path
            .to_str()
            .ok_or_else(|| StoreError::Denied(format!("{} is not valid UTF-8", path.display())))?;
        Self::parse(&format!("{FILE_SCHEME}//{text}"))
    }

    /// The place that a store tells of an object beside this one.
    pub(crate) fn sibling(&self, path: ObjectPath) -> Self {
        Self {
            root: self.root.clone(),
            path,
        }
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    pub(crate) fn object(&self) -> &ObjectPath {
        &self.path
    }

    /// The file that it is, for one of this machine.
    pub(crate) fn file(&self) -> PathBuf {
        PathBuf::from(format!("/{}", self.path))
    }

    /// Whether it lies below `folder`, and is not the folder itself.
    pub(crate) fn is_below(&self, folder: &ObjectUri) -> bool {
        self.root == folder.root
            && self
                .path
                .prefix_match(&folder.path)
                .is_some_and(|mut rest| rest.next().is_some())
    }

    /// Whether it lies in `folder`, and in no folder below that.
    pub(crate) fn is_right_in(&self, folder: &ObjectUri) -> bool {
        let rest = self.path.prefix_match(&folder.path);
        self.root == folder.root && rest.is_some_and(|rest| rest.count() == 1)
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
        match &self.root {
            Root::Disk => write!(f, "{FILE_SCHEME}///{}", self.path),
            Root::Bucket(bucket) if self.path.as_ref().is_empty() => bucket.fmt(f),
            Root::Bucket(bucket) => write!(f, "{bucket}/{}", self.path),
        }
    }
}

/// How the authority is written here: a driver of blobs names the host of an account's blobs, and
/// not the one of its Data Lake Storage. Both have the same objects.
pub(crate) fn authority_of<'a>(scheme: &str, authority: &'a str) -> Cow<'a, str> {
    match (scheme, authority.split_once(".blob.")) {
        ("wasb" | "wasbs", Some((account, cloud))) => Cow::Owned(format!("{account}.dfs.{cloud}")),
        (_, _) => Cow::Borrowed(authority),
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
        for literal in [
            "s3://w/t/data/symbol=A%2FB/x.parquet",
            "s3://w.x-y_z/a b/ü#?.parquet",
            "s3://w",
            "gs://w/x",
            "abfss://c@account.dfs.core.windows.net/x",
        ] {
            assert_eq!(parse(literal).unwrap(), literal);
        }
        assert_eq!(parse("s3a://w/x").unwrap(), "s3://w/x");
        assert_eq!(parse("gcs://w/x").unwrap(), "gs://w/x");
        for (text, uri) in [
            (
                "wasbs://c@a.blob.core.windows.net/.blob.",
                "abfss://c@a.dfs.core.windows.net/.blob.",
            ),
            ("wasb://c@a.dfs.example/x", "abfss://c@a.dfs.example/x"),
            ("abfs://c@a.blob.example/x", "abfss://c@a.blob.example/x"),
        ] {
            assert_eq!(parse(text).unwrap(), uri);
        }
        assert_eq!(parse("s3://w/").unwrap(), "s3://w");
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
            "s3:/w/x",
            "s3:///x",
            "s3://a@b/x",
            "s3://w:80/x",
            "s3://w/../x",
            "s3://w//x",
            "S3://w/x",
            "abfss://container/x",
            "abfss://@host/x",
            "https://w/x",
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
        assert!(below("s3a://w/a/x", "s3://w/a"));
        assert!(below("s3://w/a", "s3://w"));
        assert!(!below("s3://w2/a", "s3://w"));
        assert!(!below("gs://w/a/x", "s3://w/a"));
        assert!(!below("s3://w/a/x", "file:///w/a"));
        assert!(!below("file:///w/a/x", "s3://w"));
    }

    #[test]
    fn right_in_a_folder_is_one_segment_below() {
        let right_in = |uri: &str, folder: &str| {
            ObjectUri::parse(uri)
                .unwrap()
                .is_right_in(&ObjectUri::parse(folder).unwrap())
        };
        assert!(right_in("file:///w/a", "file:///w"));
        assert!(right_in("s3://w/a", "s3a://w/"));
        for (uri, folder) in [
            ("file:///w", "file:///w"),
            ("file:///w/a/b", "file:///w"),
            ("file:///wa", "file:///w"),
            ("s3://w/a", "gs://w"),
            ("file:///w/a", "s3://w"),
        ] {
            assert!(!right_in(uri, folder), "{uri} {folder}");
        }
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
