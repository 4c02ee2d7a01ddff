//! What a task stages for the committer: data files that are written and in no snapshot yet.

use std::collections::BTreeMap;

use iceberg::spec::{
    DataFile, Schema, deserialize_data_file_from_json, serialize_data_file_to_json,
};
use iceberg::table::Table;
use jackfield_sdk::Failure;
use jackfield_sdk::sink::Piece;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::evolve;
use crate::metrics::{self, Metrics};

/// The version of a piece's bytes, and the oldest that is read.
pub(crate) const STAGED_VERSION: u32 = 4;
pub(crate) const STAGED_VERSION_MIN: u32 = 1;

/// A piece's bytes, as JSON: small (a kilobyte or two a file), and readable in a debugger.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Staged {
    /// Of the table itself: one dropped and created again is another.
    table_uuid: Uuid,
    spec_id: i32,
    /// The schema that the files were written with, or that it was made from.
    schema_id: i32,
    /// The schema that they were written with, where the table did not have it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evolved: Option<Schema>,
    rows: u64,
    bytes: u64,
    /// As Iceberg's own JSON of a data file.
    files: Vec<Box<RawValue>>,
}

/// Instead of files: the task could not write for this target. Its commit fails, so that rows that
/// were left out are never passed over.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failed {
    failed: String,
    /// Whether it may be otherwise when the rows are written again.
    #[serde(default)]
    for_now: bool,
}

/// Why a target could not be written for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// A person must act.
    ForGood(String),
    /// Its store or catalog did not answer; what was put for it is gone.
    ForNow(String),
}

/// Data files of one commit.
#[derive(Debug, Default)]
pub(crate) struct StagedFiles {
    pub(crate) files: Vec<DataFile>,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Why pieces can't be committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("{0}")]
    Broken(String),
    /// The table is another than they were written for.
    #[error("{0}")]
    Outdated(String),
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Broken(why) => Self::Broken(why),
            Unfit::Outdated(why) => Self::Rewind(why),
        }
    }
}

/// The piece of one target.
/// `sort_order` is the one that the rows of each file are in.
pub(crate) fn encode(
    target: &str,
    table: &Table,
    base_schema_id: i32,
    files: Vec<DataFile>,
    metrics: &Metrics,
    sort_order: Option<i64>,
) -> iceberg::Result<Piece> {
    let metadata = table.metadata();
    let (mut rows, mut bytes) = (0, 0);
    let mut raw = Vec::with_capacity(files.len());
    for file in files {
        rows += file.record_count();
        bytes += file.file_size_in_bytes();
        let json = serialize_data_file_to_json(
            file,
            metadata.default_partition_type(),
            metadata.format_version(),
        )?;
        raw.push(adjusted(&json, metrics, sort_order)?);
    }
    let staged = Staged {
        table_uuid: metadata.uuid(),
        spec_id: metadata.default_partition_spec_id(),
        schema_id: base_schema_id,
        evolved: (base_schema_id != metadata.current_schema_id())
            .then(|| metadata.current_schema().as_ref().clone()),
        rows,
        bytes,
        files: raw,
    };
    Ok(Piece {
        target: target.to_owned(),
        version: STAGED_VERSION,
        bytes: serde_json::to_vec(&staged)?,
    })
}

/// The piece of a target that could not be written for, and why.
pub(crate) fn of_unwritten(target: &str, why: &Unwritten) -> Piece {
    let (failed, for_now) = match why {
        Unwritten::ForGood(why) => (why.clone(), false),
        Unwritten::ForNow(why) => (why.clone(), true),
    };
    Piece {
        target: target.to_owned(),
        version: STAGED_VERSION,
        bytes: serde_json::to_vec(&Failed { failed, for_now }).expect("text is JSON"),
    }
}

/// Why a target could not be written for, if one of its pieces says so: what a person must mend
/// goes first.
pub(crate) fn unwritten(pieces: &[Piece]) -> Option<Unwritten> {
    let mut for_now = None;
    for piece in pieces {
        let Ok(failed) = serde_json::from_slice::<Failed>(&piece.bytes) else {
            continue;
        };
        if !failed.for_now {
            return Some(Unwritten::ForGood(failed.failed));
        }
        for_now = Some(Unwritten::ForNow(failed.failed));
    }
    for_now
}

/// What the library's writers don't know of: metrics modes, and an order. A partition's values
/// stay as they stand: their order counts.
fn adjusted(
    json: &str,
    metrics: &Metrics,
    sort_order: Option<i64>,
) -> serde_json::Result<Box<RawValue>> {
    let mut file: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json)?;
    for (key, value) in &mut file {
        if metrics::KEYS.contains(&key.as_str()) {
            let mut entries: Value = serde_json::from_str(value.get())?;
            metrics.apply(key, &mut entries);
            *value = to_raw_value(&entries)?;
        }
    }
    file.insert("sort_order_id".to_owned(), to_raw_value(&sort_order)?);
    to_raw_value(&file)
}

/// The files of all pieces, if they fit the table as their commit makes it.
pub(crate) fn decode(target: &str, table: &Table, pieces: &[Piece]) -> Result<StagedFiles, Unfit> {
    let metadata = table.metadata();
    let mut all = StagedFiles::default();
    for piece in pieces {
        let staged = parse(target, piece)?;
        if staged.table_uuid != metadata.uuid() {
            return Err(Unfit::Outdated(format!(
                "{target} was dropped and created again since the files were written"
            )));
        }
        if staged.spec_id != metadata.default_partition_spec_id() {
            return Err(Unfit::Outdated(format!(
                "{target} is partitioned otherwise since the files were written"
            )));
        }
        let known = metadata.schema_by_id(staged.schema_id).map(AsRef::as_ref);
        let schema = staged.evolved.as_ref().or(known).ok_or_else(|| {
            Unfit::Outdated(format!(
                "{target} has lost the schema of the files: {}",
                staged.schema_id
            ))
        })?;
        if !evolve::reads(metadata.current_schema(), schema) {
            return Err(Unfit::Outdated(format!(
                "{target} has lost columns that the files have, since they were written"
            )));
        }
        for json in &staged.files {
            let file = deserialize_data_file_from_json(
                json.get(),
                staged.spec_id,
                metadata.default_partition_type(),
                schema,
            );
            all.files
                .push(file.map_err(|e| Unfit::Broken(format!("a data file of {target}: {e}")))?);
        }
        all.rows += staged.rows;
        all.bytes += staged.bytes;
    }
    Ok(all)
}

/// The schemas that pieces were written with and that a table need not have, each with the id of
/// the one it was made from.
pub(crate) fn schemas(target: &str, pieces: &[Piece]) -> Result<Vec<(i32, Schema)>, Unfit> {
    let mut schemas: Vec<(i32, Schema)> = Vec::new();
    for piece in pieces {
        let staged = parse(target, piece)?;
        if let Some(schema) = staged.evolved
            && !schemas
                .iter()
                .any(|(_, it)| it.as_struct() == schema.as_struct())
        {
            schemas.push((staged.schema_id, schema));
        }
    }
    // What one task made on top of another's comes after it.
    schemas.sort_by_key(|(_, it)| it.highest_field_id());
    Ok(schemas)
}

/// Rows, files and bytes of pieces, as they say themselves.
pub(crate) fn tally(target: &str, pieces: &[Piece]) -> Result<(u64, u32, u64), Unfit> {
    let mut tally = (0, 0, 0);
    for piece in pieces {
        let staged = parse(target, piece)?;
        tally.0 += staged.rows;
        tally.1 += u32::try_from(staged.files.len()).unwrap_or(u32::MAX);
        tally.2 += staged.bytes;
    }
    Ok(tally)
}

fn parse(target: &str, piece: &Piece) -> Result<Staged, Unfit> {
    if piece.target != target {
        return Err(Unfit::Broken(format!(
            "a piece of {} among those of {target}",
            piece.target
        )));
    }
    if !(STAGED_VERSION_MIN..=STAGED_VERSION).contains(&piece.version) {
        return Err(Unfit::Broken(format!(
            "a piece of version {}",
            piece.version
        )));
    }
    serde_json::from_slice(&piece.bytes)
        .map_err(|e| Unfit::Broken(format!("a piece of {target} is not readable: {e}")))
}
