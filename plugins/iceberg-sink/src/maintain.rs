//! What a table needs now and then so that it stays quick to read: fewer manifests, no history
//! that nobody asks for, no files that nothing refers to. All of it after a commit has happened,
//! so that nothing here can undo one; what fails is said and tried again later.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use iceberg::spec::{
    FormatVersion, MAIN_BRANCH, ManifestContentType, ManifestFile, ManifestListWriter,
    ManifestWriterBuilder, Operation, Snapshot, SnapshotReference, SnapshotRetention, Summary,
    TableMetadata,
};
use iceberg::table::Table;
use iceberg::{Error, ErrorKind, Result, TableRequirement, TableUpdate};
use jackfield_sdk::sink::{Entry, Store, StoreError};
use uuid::Uuid;

use crate::location::data_folder;

/// As many small manifests are made one, as other writers do it too.
pub(crate) const MERGED_MIN: usize = 100;
/// At most so many at a time, and bytes of them: they are in memory.
const MERGED_MAX: usize = 500;
const MERGED_BYTES_MAX: i64 = 16 * 1024 * 1024;
/// A manifest of this size is worth a request of its own.
const SMALL_BYTES: i64 = 4 * 1024 * 1024;
/// Objects of one page of a listing.
const PAGE: u32 = 1000;
/// Manifests that one clean-up reads: more of them want merging first.
const MANIFESTS_READ_MAX: usize = 5000;

/// A commit that changes no row.
pub(crate) struct Upkeep {
    pub(crate) requirements: Vec<TableRequirement>,
    pub(crate) updates: Vec<TableUpdate>,
}

/// Makes many small manifests one; none: there are too few.
pub(crate) async fn merge_manifests(table: &Table, now_ms: i64) -> Result<Option<Upkeep>> {
    let metadata = table.metadata();
    let (Some(head), FormatVersion::V2) = (metadata.current_snapshot(), metadata.format_version())
    else {
        return Ok(None);
    };
    let list = table.manifest_list_reader(head).load().await?;
    let Some(chosen) = chosen(list.entries()) else {
        return Ok(None);
    };
    let spec_id = list.entries()[chosen[0]].partition_spec_id;
    let spec = metadata
        .partition_spec_by_id(spec_id)
        .ok_or_else(|| Error::new(ErrorKind::DataInvalid, format!("no spec {spec_id}")))?;
    let snapshot_id = fresh_id(metadata);
    let folder = format!("{}/metadata", metadata.location().trim_end_matches('/'));
    let at = format!("{folder}/merged-{}.avro", Uuid::now_v7());
    let mut writer = ManifestWriterBuilder::new(
        table.file_io().new_output(at)?,
        Some(snapshot_id),
        metadata.current_schema().clone(),
        spec.as_ref().clone(),
    )
    .build_v2_data();
    let mut entries = 0_u64;
    for at in &chosen {
        let manifest = list.entries()[*at].load_manifest(table.file_io()).await?;
        for entry in manifest.entries().iter().filter(|it| it.is_alive()) {
            let missing =
                |what: &str| Error::new(ErrorKind::DataInvalid, format!("an entry without {what}"));
            writer.add_existing_file(
                entry.data_file().clone(),
                entry.snapshot_id().ok_or_else(|| missing("a snapshot"))?,
                entry
                    .sequence_number()
                    .ok_or_else(|| missing("a sequence number"))?,
                entry.file_sequence_number,
            )?;
            entries += 1;
        }
    }
    let merged = writer.write_manifest_file().await?;
    let chosen: HashSet<usize> = chosen.into_iter().collect();
    let kept = list.entries().iter().enumerate();
    let kept: Vec<ManifestFile> = kept
        .filter(|(at, _)| !chosen.contains(at))
        .map(|(_, it)| it.clone())
        .collect();
    let counts = [
        ("manifests-created", 1),
        ("manifests-kept", kept.len() as u64),
        ("manifests-replaced", chosen.len() as u64),
        ("entries-processed", entries),
    ];
    let manifest_list = format!("{folder}/snap-{snapshot_id}-{}.avro", Uuid::now_v7());
    let sequence = metadata.next_sequence_number();
    let mut writer = ManifestListWriter::v2(
        table.file_io().new_output(&manifest_list)?.writer().await?,
        snapshot_id,
        Some(head.snapshot_id()),
        sequence,
    );
    writer.add_manifests(std::iter::once(merged).chain(kept))?;
    writer.close().await?;

    let mut additional_properties: HashMap<String, String> = counts
        .into_iter()
        .map(|(key, count)| (key.to_owned(), count.to_string()))
        .collect();
    let before = &head.summary().additional_properties;
    let totals = before.iter().filter(|(key, _)| key.starts_with("total-"));
    additional_properties.extend(totals.map(|(key, value)| (key.clone(), value.clone())));
    let snapshot = Snapshot::builder()
        .with_snapshot_id(snapshot_id)
        .with_parent_snapshot_id(Some(head.snapshot_id()))
        .with_sequence_number(sequence)
        .with_timestamp_ms(now_ms.max(metadata.last_updated_ms()))
        .with_manifest_list(manifest_list)
        .with_summary(Summary {
            operation: Operation::Replace,
            additional_properties,
        })
        .with_schema_id(metadata.current_schema_id())
        .build();
    let retention = SnapshotRetention::branch(None, None, None);
    Ok(Some(Upkeep {
        requirements: on_top_of(metadata),
        updates: vec![
            TableUpdate::AddSnapshot { snapshot },
            TableUpdate::SetSnapshotRef {
                ref_name: MAIN_BRANCH.to_owned(),
                reference: SnapshotReference::new(snapshot_id, retention),
            },
        ],
    }))
}

/// Small manifests of data files of one partition spec.
fn chosen(manifests: &[ManifestFile]) -> Option<Vec<usize>> {
    let mut by_spec: BTreeMap<i32, (Vec<usize>, i64)> = BTreeMap::new();
    for (at, manifest) in manifests.iter().enumerate() {
        let small = manifest.manifest_length < SMALL_BYTES;
        if manifest.content != ManifestContentType::Data || !small {
            continue;
        }
        let (chosen, bytes) = by_spec.entry(manifest.partition_spec_id).or_default();
        if chosen.len() < MERGED_MAX && *bytes + manifest.manifest_length <= MERGED_BYTES_MAX {
            chosen.push(at);
            *bytes += manifest.manifest_length;
        }
    }
    let most = by_spec.into_values().map(|(it, _)| it);
    most.max_by_key(Vec::len)
        .filter(|it| it.len() >= MERGED_MIN)
}

fn fresh_id(metadata: &TableMetadata) -> i64 {
    loop {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        let id = ((high ^ low) & i64::MAX.cast_unsigned()).cast_signed();
        if id != 0 && metadata.snapshot_by_id(id).is_none() {
            return id;
        }
    }
}

fn on_top_of(metadata: &TableMetadata) -> Vec<TableRequirement> {
    vec![
        TableRequirement::UuidMatch {
            uuid: metadata.uuid(),
        },
        TableRequirement::RefSnapshotIdMatch {
            r#ref: MAIN_BRANCH.to_owned(),
            snapshot_id: metadata.current_snapshot_id(),
        },
    ]
}

/// Forgets snapshots that are older than that; none: there are none. What a branch or tag is at
/// stays, and the history below any but the main branch.
pub(crate) fn expire(metadata: &TableMetadata, now: SystemTime, age: Duration) -> Option<Upkeep> {
    let head = metadata.current_snapshot()?;
    let before = millis(now).saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let mut kept: HashSet<i64> = HashSet::from([head.snapshot_id()]);
    for other in other_refs(metadata) {
        kept.extend(ancestry(metadata, Some(other)));
    }
    let mut expired: Vec<i64> = ancestry(metadata, head.parent_snapshot_id())
        .filter(|id| !kept.contains(id))
        .filter(|id| {
            let snapshot = metadata.snapshot_by_id(*id);
            snapshot.is_some_and(|it| it.timestamp_ms() < before)
        })
        .collect();
    expired.sort_unstable();
    (!expired.is_empty()).then(|| Upkeep {
        requirements: on_top_of(metadata),
        updates: vec![TableUpdate::RemoveSnapshots {
            snapshot_ids: expired,
        }],
    })
}

/// What other branches, and tags, are at: the library tells of a reference only by its name.
fn other_refs(metadata: &TableMetadata) -> Vec<i64> {
    let json = serde_json::to_value(metadata).expect("metadata is JSON");
    let refs = json.get("refs").and_then(serde_json::Value::as_object);
    refs.into_iter()
        .flatten()
        .filter(|(name, _)| *name != MAIN_BRANCH)
        .filter_map(|(_, it)| it.get("snapshot-id").and_then(serde_json::Value::as_i64))
        .collect()
}

fn ancestry(metadata: &TableMetadata, from: Option<i64>) -> impl Iterator<Item = i64> {
    let snapshot = move |id: i64| metadata.snapshot_by_id(id);
    std::iter::successors(from.and_then(snapshot), move |it| {
        it.parent_snapshot_id().and_then(snapshot)
    })
    .map(|it| it.snapshot_id())
}

pub(crate) fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX))
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
    /// Where the next look goes on; none: it begins anew.
    pub(crate) to: Option<Place>,
}

/// A table's own folders, and what is its own in each. Where it keeps its data outside of its
/// location, others may keep theirs too: nothing tells whose a file is that nothing refers to.
fn folders(metadata: &TableMetadata) -> Vec<(String, &'static [&'static str])> {
    const DATA: &[&str] = &[".parquet"];
    const METADATA: &[&str] = &[".avro", ".metadata.json"];
    let location = metadata.location().trim_end_matches('/');
    let own = format!("{location}/data");
    let said = data_folder(metadata);
    let within = |folder: &str| format!("{said}/").starts_with(&format!("{folder}/"));
    let beside = said != location && within(location) && !within(&own);
    let mut folders = vec![(own, DATA), (format!("{location}/metadata"), METADATA)];
    if beside {
        folders.push((said, DATA));
    }
    folders
}

/// Files of the table's own kinds in its own folders that are older than that, among the next
/// `listed_max` objects. Listed *before* the table is loaded for [`unreferenced`]: what is committed
/// meanwhile is seen there.
pub(crate) fn old_files(
    store: &dyn Store,
    metadata: &TableMetadata,
    now: SystemTime,
    age: Duration,
    from: Option<&Place>,
    listed_max: usize,
) -> std::result::Result<Listed, StoreError> {
    let before = millis(now).saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let is_old = |it: &Entry| i64::try_from(it.modified_ms).is_ok_and(|ms| ms < before);
    let folders = folders(metadata);
    let begin = from.and_then(|from| folders.iter().position(|(it, _)| *it == from.folder));
    let mut after = begin.and(from).map(|it| it.after.clone());
    let mut old = Vec::new();
    let mut left = listed_max;
    for (folder, kinds) in folders.into_iter().skip(begin.unwrap_or(0)) {
        loop {
            let most = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
            let page = store.list(&folder, after.as_deref(), most)?;
            left = left.saturating_sub(page.len());
            let own = |it: &&Entry| kinds.iter().any(|kind| it.uri.ends_with(kind));
            let those = page.iter().filter(own).filter(|it| is_old(it));
            old.extend(those.map(|it| it.uri.clone()));
            let full = page.len() >= most as usize;
            match page.last().filter(|_| full) {
                None => break,
                Some(last) if left == 0 => {
                    let after = last.uri.clone();
                    let to = Some(Place { folder, after });
                    return Ok(Listed { old, to });
                }
                Some(last) => after = Some(last.uri.clone()),
            }
        }
        after = None;
    }
    Ok(Listed { old, to: None })
}

/// Those of the files that nothing in the table refers to. The error names what could not be read:
/// then nothing is known, and nothing may be deleted.
pub(crate) async fn unreferenced(table: &Table, files: Vec<String>) -> Result<Vec<String>> {
    let metadata = table.metadata();
    let mut left: HashMap<String, String> = files
        .into_iter()
        .map(|uri| (canonical(&uri).to_owned(), uri))
        .collect();
    let mut seen = |uri: &str| {
        left.remove(canonical(uri));
    };
    if let Some(at) = table.metadata_location() {
        seen(at);
    }
    metadata
        .metadata_log()
        .iter()
        .for_each(|it| seen(&it.metadata_file));
    metadata
        .statistics_iter()
        .for_each(|it| seen(&it.statistics_path));
    metadata
        .partition_statistics_iter()
        .for_each(|it| seen(&it.statistics_path));
    let mut read = HashSet::new();
    for snapshot in metadata.snapshots() {
        seen(snapshot.manifest_list());
        let list = table.manifest_list_reader(snapshot).load().await?;
        for manifest in list.entries() {
            seen(&manifest.manifest_path);
            if !read.insert(manifest.manifest_path.clone()) {
                continue;
            }
            if read.len() > MANIFESTS_READ_MAX {
                return Err(Error::new(
                    ErrorKind::FeatureUnsupported,
                    format!(
                        "more than {MANIFESTS_READ_MAX} manifests: merge them, and expire old \
                         snapshots, before files can be cleaned up"
                    ),
                ));
            }
            let manifest = manifest.load_manifest(table.file_io()).await?;
            // A deleted one too: a snapshot that is kept may read it still.
            manifest
                .entries()
                .iter()
                .for_each(|it| seen(it.file_path()));
        }
    }
    let mut left: Vec<String> = left.into_values().collect();
    left.sort_unstable();
    Ok(left)
}

/// One file may be named by several schemes, and with one slash or three.
fn canonical(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.trim_start_matches('/')
}
