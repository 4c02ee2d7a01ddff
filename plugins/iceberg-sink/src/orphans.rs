//! Files in a table's folders that nothing refers to. What is not surely the table's own, or may
//! be referenced by a name that is not known here, is not among them.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use iceberg::spec::{ManifestFile, TableMetadata};
use iceberg::table::Table;
use iceberg::{Error, ErrorKind, Result};
use jackfield_sdk::sink::{Entry, Store, StoreError};

use crate::location::data_folder;
use crate::maintain::millis;

/// Objects of one page of a listing.
const PAGE: u32 = 1000;
/// Snapshots whose lists of manifests one clean-up reads: more of them want expiring first. A tenth
/// more than an expiry leaves, since commits go on before the next one.
pub(crate) const LISTS_READ_MAX: usize = 11_000;
/// Manifests that one clean-up reads: more of them want merging first.
const MANIFESTS_READ_MAX: usize = 5000;

/// When a step of a clean-up has to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    pub(crate) clock: fn() -> SystemTime,
    pub(crate) at: SystemTime,
}

impl Until {
    pub(crate) fn is_over(&self) -> bool {
        (self.clock)() >= self.at
    }
}

/// How far a clean-up has looked: the last object of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    folder: String,
    after: String,
}

/// What one look at the table's folders found.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The old files among those that were listed.
    pub(crate) old: Vec<String>,
    /// The documents among them, of any age, in their order.
    pub(crate) documents: Vec<Entry>,
    /// Whether no document is left to be listed before this begins anew.
    pub(crate) past_documents: bool,
    /// Where the next look goes on; none: it begins anew.
    pub(crate) to: Option<Place>,
}

/// What a folder of a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Data,
    Metadata,
}

impl Purpose {
    /// Whether an object that a listing of the folder shows is the table's own, and of its kinds.
    ///
    /// Another table may lie in there: that of `a.b.data` has its folders `data` and `metadata`
    /// right below the data of `a.b`. No folder of a partition has such a name, and a table's own
    /// documents are in no folder.
    fn owns(self, folder: &str, uri: &str) -> bool {
        let below = canonical(uri).strip_prefix(canonical(folder));
        let Some(below) = below.and_then(|it| it.strip_prefix('/')) else {
            return false;
        };
        let (inner, name) = match below.rsplit_once('/') {
            Some((inner, name)) => (Some(inner), name),
            None => (None, below),
        };
        match self {
            Self::Data => {
                let strange = |it: &str| it == "data" || it == "metadata";
                name.ends_with(".parquet") && !inner.is_some_and(|it| it.split('/').any(strange))
            }
            Self::Metadata => inner.is_none() && (name.ends_with(".avro") || is_document(name)),
        }
    }
}

/// Whether that is the name of a document of a table's metadata.
fn is_document(uri: &str) -> bool {
    uri.ends_with(".metadata.json")
}

/// A table's own folders, that of its documents first: these tell whether another table has its
/// files in there. Where it keeps its data outside of its location, others may keep theirs too:
/// nothing tells whose a file is that nothing refers to.
fn folders(metadata: &TableMetadata) -> Vec<(String, Purpose)> {
    let location = metadata.location().trim_end_matches('/');
    let own = format!("{location}/data");
    let said = data_folder(metadata);
    let within = |folder: &str| format!("{said}/").starts_with(&format!("{folder}/"));
    let beside = said != location && within(location) && !within(&own);
    let documents = format!("{location}/metadata");
    let mut folders = vec![(documents, Purpose::Metadata), (own, Purpose::Data)];
    if beside {
        folders.push((said, Purpose::Data));
    }
    folders
}

/// Files of the table's own kinds in its own folders that are older than that, among the next
/// `listed_max` objects, or as many as are listed until then: one page at least. Listed *before* the
/// table is loaded for [`unreferenced`]: what is committed meanwhile is seen there.
pub(crate) fn old_files(
    store: &dyn Store,
    metadata: &TableMetadata,
    now: SystemTime,
    age: Duration,
    from: Option<&Place>,
    listed_max: usize,
    until: Until,
) -> std::result::Result<Listed, StoreError> {
    let before = millis(now).saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let is_old = |it: &Entry| i64::try_from(it.modified_ms).is_ok_and(|ms| ms < before);
    let folders = folders(metadata);
    let begin = from.and_then(|from| folders.iter().position(|(it, _)| *it == from.folder));
    let mut after = begin.and(from).map(|it| it.after.clone());
    let (mut old, mut documents) = (Vec::new(), Vec::new());
    let mut left = listed_max;
    for (folder, purpose) in folders.into_iter().skip(begin.unwrap_or(0)) {
        loop {
            let most = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
            let page = store.list(&folder, after.as_deref(), most)?;
            left = left.saturating_sub(page.len());
            for it in page.iter().filter(|it| purpose.owns(&folder, &it.uri)) {
                if is_old(it) {
                    old.push(it.uri.clone());
                }
                if is_document(&it.uri) {
                    documents.push(it.clone());
                }
            }
            let full = page.len() >= most as usize;
            match page.last().filter(|_| full) {
                None => break,
                Some(last) if left == 0 || until.is_over() => {
                    let after = last.uri.clone();
                    return Ok(Listed {
                        old,
                        documents,
                        past_documents: purpose == Purpose::Data,
                        to: Some(Place { folder, after }),
                    });
                }
                Some(last) => after = Some(last.uri.clone()),
            }
        }
        after = None;
    }
    Ok(Listed {
        old,
        documents,
        past_documents: true,
        to: None,
    })
}

/// Files that nothing was seen to refer to so far.
struct Left<'a> {
    /// The authority that the table is at.
    home: &'a str,
    /// By the name that is the same however it is written.
    files: HashMap<String, String>,
}

impl Left<'_> {
    /// Something refers to that.
    ///
    /// # Errors
    /// It may be a file of the table's folder by another name, as `wasbs://c@a.blob…` is one of
    /// `abfss://c@a.dfs…`: which one can't be told.
    fn seen(&mut self, uri: &str) -> Result<()> {
        if authority(uri) != self.home {
            let why = format!(
                "the table refers to {uri}, which may be in its own folders by another name"
            );
            return Err(Error::new(ErrorKind::FeatureUnsupported, why));
        }
        self.files.remove(canonical(uri));
        Ok(())
    }
}

/// Those of the files that nothing in the table refers to. The error names what could not be read,
/// or is too much to read until then: nothing is known, and nothing may be deleted.
pub(crate) async fn unreferenced(
    table: &Table,
    files: Vec<String>,
    until: Until,
) -> Result<Vec<String>> {
    let metadata = table.metadata();
    let by_name = files.into_iter();
    let mut left = Left {
        home: authority(metadata.location()),
        files: by_name
            .map(|uri| (canonical(&uri).to_owned(), uri))
            .collect(),
    };
    if let Some(at) = table.metadata_location() {
        left.seen(at)?;
    }
    for it in metadata.metadata_log() {
        left.seen(&it.metadata_file)?;
    }
    for it in metadata.statistics_iter() {
        left.seen(&it.statistics_path)?;
    }
    for it in metadata.partition_statistics_iter() {
        left.seen(&it.statistics_path)?;
    }
    for manifest in manifests(table, &mut left, until).await? {
        if left.files.is_empty() {
            break;
        }
        if until.is_over() {
            return Err(too_much("its manifests take too long to read"));
        }
        let manifest = manifest.load_manifest(table.file_io()).await?;
        // A deleted one too: a snapshot that is kept may read it still.
        for entry in manifest.entries() {
            left.seen(entry.file_path())?;
        }
    }
    let mut left: Vec<String> = left.files.into_values().collect();
    left.sort_unstable();
    Ok(left)
}

/// The manifests of all snapshots, if they are few enough to be read.
async fn manifests(table: &Table, left: &mut Left<'_>, until: Until) -> Result<Vec<ManifestFile>> {
    let snapshots = table.metadata().snapshots();
    if snapshots.len() > LISTS_READ_MAX {
        let why = format!("it has more than {LISTS_READ_MAX} snapshots");
        return Err(too_much(&why));
    }
    let mut paths = HashSet::new();
    let mut manifests = Vec::new();
    for snapshot in snapshots {
        if until.is_over() {
            return Err(too_much("its lists of manifests take too long to read"));
        }
        left.seen(snapshot.manifest_list())?;
        let list = table.manifest_list_reader(snapshot).load().await?;
        for manifest in list.entries() {
            left.seen(&manifest.manifest_path)?;
            if !paths.insert(manifest.manifest_path.clone()) {
                continue;
            }
            if manifests.len() == MANIFESTS_READ_MAX {
                let why = format!("it has more than {MANIFESTS_READ_MAX} manifests");
                return Err(too_much(&why));
            }
            manifests.push(manifest.clone());
        }
    }
    Ok(manifests)
}

fn too_much(why: &str) -> Error {
    Error::new(
        ErrorKind::FeatureUnsupported,
        format!("{why}: merge manifests, and expire old snapshots, before files can be cleaned up"),
    )
}

/// One file may be named by several schemes, and with one slash or three.
pub(crate) fn canonical(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.trim_start_matches('/')
}

/// The bucket, or the container and its account; nothing for a file of this machine.
fn authority(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or("", |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_another_tables_is_not_owned() {
        let data = |uri| Purpose::Data.owns("s3a://b/t/data", uri);
        // As a listing says it, whatever the table says.
        assert!(data("s3://b/t/data/x.parquet"));
        assert!(data("s3://b/t/data/day=1/symbol=data/x.parquet"));
        for foreign in [
            "s3://b/t/data/data/x.parquet",
            "s3://b/t/data/u/data/day=1/x.parquet",
            "s3://b/t/data/metadata/x.parquet",
            "s3://b/t/data2/x.parquet",
            "s3://b/t/data/x.avro",
        ] {
            assert!(!data(foreign), "{foreign}");
        }
        let documents = |uri| Purpose::Metadata.owns("file:/t/metadata", uri);
        assert!(documents("file:///t/metadata/x.avro"));
        assert!(documents("file:///t/metadata/1.metadata.json"));
        assert!(!documents("file:///t/metadata/metadata/x.avro"));
        assert!(!documents("file:///t/metadata/x.parquet"));
    }

    #[test]
    fn a_file_at_another_authority_makes_nothing_known() {
        for (home, uri, known) in [
            ("s3://b/t", "s3a://b/t/data/x", true),
            ("file:///t", "file:/t/data/x", true),
            ("file:///t", "/t/data/x", true),
            (
                "abfss://c@a.dfs.core.windows.net/t",
                "wasbs://c@a.blob.core.windows.net/t/x",
                false,
            ),
            ("s3://b/t", "s3://other/t/data/x", false),
        ] {
            let mut left = Left {
                home: authority(home),
                files: HashMap::new(),
            };
            assert_eq!(left.seen(uri).is_ok(), known, "{uri}");
        }
    }
}
