//! Many small manifests → one. What is read and written for that is good for any table that still
//! has these manifests, so that a commit of somebody else's in between costs a new list only.

use std::collections::{BTreeMap, HashMap, HashSet};

use iceberg::spec::{
    FormatVersion, MAIN_BRANCH, ManifestContentType, ManifestFile, ManifestListWriter,
    ManifestWriterBuilder, Operation, Snapshot, SnapshotReference, Summary, TableMetadata,
};
use iceberg::table::Table;
use iceberg::{Error, ErrorKind, Result, TableUpdate};
use uuid::Uuid;

use super::{Upkeep, on_top_of, retention_of_main};
use crate::orphans::Until;

/// As many small manifests are made one, as other writers do it too.
pub(crate) const MERGED_MIN: usize = 100;
/// At most so many at a time, and bytes of them: they are in memory.
const MERGED_MAX: usize = 500;
const MERGED_BYTES_MAX: i64 = 16 * 1024 * 1024;
/// A manifest of this size is worth a request of its own.
const SMALL_BYTES: i64 = 4 * 1024 * 1024;

/// Manifests that were made one, which no snapshot has yet.
#[derive(Debug)]
pub(crate) struct Merged {
    /// Of the snapshot that is to have it.
    snapshot_id: i64,
    manifest: ManifestFile,
    /// Where those are that it stands for.
    replaced: HashSet<String>,
    entries: u64,
}

/// Makes many small manifests one: those that are read until then, if they are enough. None: there
/// are too few.
pub(crate) async fn merge(table: &Table, until: Until) -> Result<Option<Merged>> {
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
    let at = format!("{}/merged-{}.avro", folder(metadata), Uuid::now_v7());
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
    let manifest = writer.write_manifest_file().await?;
    let replaced = chosen.into_iter();
    let replaced = replaced.map(|at| list.entries()[at].manifest_path.clone());
    Ok(Some(Merged {
        snapshot_id,
        manifest,
        replaced: replaced.collect(),
        entries,
    }))
}

impl Merged {
    /// Whether the table has it: of a commit nobody may have heard what became of it.
    pub(crate) fn is_in(&self, metadata: &TableMetadata) -> bool {
        metadata.snapshot_by_id(self.snapshot_id).is_some()
    }

    /// The commit that puts it in the place of the others, in the table as it is now. None: the
    /// table does not have all of those any more.
    pub(crate) async fn upkeep(&self, table: &Table, now_ms: i64) -> Result<Option<Upkeep>> {
        let metadata = table.metadata();
        let Some(head) = metadata.current_snapshot() else {
            return Ok(None);
        };
        let list = table.manifest_list_reader(head).load().await?;
        let all = list.entries();
        let kept = all.iter();
        let kept = kept.filter(|it| !self.replaced.contains(&it.manifest_path));
        let kept: Vec<ManifestFile> = kept.cloned().collect();
        if all.len() - kept.len() < self.replaced.len() {
            return Ok(None);
        }
        let counts = [
            ("manifests-created", 1),
            ("manifests-kept", kept.len() as u64),
            ("manifests-replaced", self.replaced.len() as u64),
            ("entries-processed", self.entries),
        ];
        let folder = folder(metadata);
        let snapshot_id = self.snapshot_id;
        let manifest_list = format!("{folder}/snap-{snapshot_id}-{}.avro", Uuid::now_v7());
        let sequence = metadata.next_sequence_number();
        let mut writer = ManifestListWriter::v2(
            table.file_io().new_output(&manifest_list)?.writer().await?,
            snapshot_id,
            Some(head.snapshot_id()),
            sequence,
        );
        writer.add_manifests(std::iter::once(self.manifest.clone()).chain(kept))?;
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
}

fn folder(metadata: &TableMetadata) -> String {
    format!("{}/metadata", metadata.location().trim_end_matches('/'))
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
