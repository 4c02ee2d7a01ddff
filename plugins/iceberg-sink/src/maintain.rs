//! What a table needs now and then so that it stays quick to read: fewer manifests, and no history
//! that nobody asks for. All of it after a commit has happened, so that nothing here can undo one;
//! what fails is said and tried again later.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use iceberg::spec::{
    FormatVersion, MAIN_BRANCH, ManifestContentType, ManifestFile, ManifestListWriter,
    ManifestWriterBuilder, Operation, Snapshot, SnapshotReference, SnapshotRetention, Summary,
    TableMetadata,
};
use iceberg::table::Table;
use iceberg::{Error, ErrorKind, Result, TableRequirement, TableUpdate};
use serde::Deserialize;
use uuid::Uuid;

use crate::orphans::Until;

/// As many small manifests are made one, as other writers do it too.
pub(crate) const MERGED_MIN: usize = 100;
/// At most so many at a time, and bytes of them: they are in memory.
const MERGED_MAX: usize = 500;
const MERGED_BYTES_MAX: i64 = 16 * 1024 * 1024;
/// A manifest of this size is worth a request of its own.
const SMALL_BYTES: i64 = 4 * 1024 * 1024;

/// A commit that changes no row.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) requirements: Vec<TableRequirement>,
    pub(crate) updates: Vec<TableUpdate>,
}

/// Makes many small manifests one: those that are read until then, if they are enough. None: there
/// are too few.
pub(crate) async fn merge_manifests(
    table: &Table,
    now_ms: i64,
    until: Until,
) -> Result<Option<Upkeep>> {
    let metadata = table.metadata();
    let (Some(head), FormatVersion::V2) = (metadata.current_snapshot(), metadata.format_version())
    else {
        return Ok(None);
    };
    let list = table.manifest_list_reader(head).load().await?;
    let Some(mut chosen) = chosen(list.entries()) else {
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
    let (mut entries, mut read) = (0_u64, 0);
    for at in &chosen {
        if until.is_over() {
            break;
        }
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
        read += 1;
    }
    if read < MERGED_MIN {
        let why = format!("{read} of {} manifests could be read in time", chosen.len());
        return Err(Error::new(ErrorKind::Unexpected, why));
    }
    chosen.truncate(read);
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
    let retention = retention_of_main(metadata);
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
    let history: Vec<i64> = ancestry(metadata, head.parent_snapshot_id())
        .filter(|id| !kept.contains(id))
        .collect();
    // From the oldest on: where writers' clocks differ, one that is younger would be left below
    // those that go, and nothing would lead there any more.
    let mut expired: Vec<i64> = history
        .into_iter()
        .rev()
        .take_while(|id| {
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

/// What other branches, and tags, are at.
pub(crate) fn other_refs(metadata: &TableMetadata) -> Vec<i64> {
    let others = refs(metadata).into_iter();
    others
        .filter(|(name, _)| name != MAIN_BRANCH)
        .map(|(_, it)| it.snapshot_id)
        .collect()
}

/// For how long the main branch keeps its snapshots. A commit that moves the branch says it again:
/// without it the table forgets what a person has set.
pub(crate) fn retention_of_main(metadata: &TableMetadata) -> SnapshotRetention {
    let nothing = SnapshotRetention::branch(None, None, None);
    let Some(head) = metadata.current_snapshot_id() else {
        return nothing;
    };
    // Whether it is as most are can be told without writing down a long history at each commit: to
    // set it to that changes nothing.
    let usual = SnapshotReference::new(head, nothing.clone());
    let builder = metadata.clone().into_builder(None);
    let set = builder.set_ref(MAIN_BRANCH, usual);
    if set
        .and_then(|it| it.build())
        .is_ok_and(|it| it.changes.is_empty())
    {
        return nothing;
    }
    let main = refs(metadata).remove(MAIN_BRANCH);
    main.map_or(nothing, |it| it.retention)
}

/// The branches and tags: the library tells of one only by its name, and only where it is at.
fn refs(metadata: &TableMetadata) -> HashMap<String, SnapshotReference> {
    #[derive(Deserialize)]
    struct Document {
        #[serde(default)]
        refs: HashMap<String, SnapshotReference>,
    }
    let json = serde_json::to_string(metadata).expect("metadata is JSON");
    let document: Document = serde_json::from_str(&json).expect("it has just been written");
    document.refs
}

/// A snapshot and those before it, as far as they have not expired.
pub(crate) fn ancestry(metadata: &TableMetadata, from: Option<i64>) -> impl Iterator<Item = i64> {
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
