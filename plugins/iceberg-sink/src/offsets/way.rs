//! The way back from a table's head, and what has become of a connector's newest commit on it.

use iceberg::spec::{SnapshotRef, TableMetadata};

use super::{commit_key, offsets_key, sequence_key};
use crate::maintain::{ancestry, other_refs};

/// The number of a table's first snapshot; below it are those of format version 1, which have none.
/// A later one without a parent may have had one: PyIceberg takes it from the children of a
/// snapshot that it expires.
const FIRST_SEQUENCE: i64 = 1;

/// What the way back from a table's head shows of a connector.
#[derive(Default)]
pub(super) struct Way<'a> {
    /// What its newest commit there says.
    pub(super) found: Option<&'a String>,
    /// Its commits there.
    pub(super) commits: Vec<String>,
    /// Whether its newest commit of all is among them.
    meets_newest: bool,
    /// Where it ends: at the table's first snapshot, or above what has expired.
    end: Option<&'a SnapshotRef>,
}

/// What has become of a connector's newest commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The table is on top of it; or it has expired, and nothing says otherwise.
    Kept,
    /// The table is not on top of it, nor of any other commit of the connector.
    BeforeAll,
    /// The table is not on top of it, and what else it holds can't be told.
    Untold,
}

impl<'a> Way<'a> {
    pub(super) fn back(metadata: &'a TableMetadata, connector: &str, newest: Option<i64>) -> Self {
        let (offsets_key, commit_key) = (offsets_key(connector), commit_key(connector));
        let mut way = Self::default();
        let mut at = metadata.current_snapshot();
        while let Some(snapshot) = at {
            let summary = &snapshot.summary().additional_properties;
            if way.found.is_none() {
                way.found = summary.get(&offsets_key);
            }
            way.commits.extend(summary.get(&commit_key).cloned());
            way.meets_newest |= newest == Some(snapshot.sequence_number());
            way.end = Some(snapshot);
            let parent = snapshot.parent_snapshot_id();
            at = parent.and_then(|id| metadata.snapshot_by_id(id));
        }
        way
    }

    /// Of a connector without a commit on this way. Numbers rise along it, whoever commits: one that
    /// leads below that of the newest commit without meeting it has left the commit out.
    pub(super) fn standing(&self, metadata: &TableMetadata, newest: Option<i64>) -> Standing {
        let Some(newest) = newest.filter(|_| !self.meets_newest) else {
            return Standing::Kept;
        };
        let Some(end) = self.end else {
            return Standing::BeforeAll;
        };
        if end.sequence_number() < newest {
            let parentless = end.parent_snapshot_id().is_none();
            if parentless && end.sequence_number() <= FIRST_SEQUENCE {
                return Standing::BeforeAll;
            }
            return Standing::Untold;
        }
        // What is below has expired, the commit with it. Where that is still there, the table was
        // begun anew beside it, perhaps with its rows, or taken back to one below it that has
        // expired since. One that has lost only snapshots above the commit looks the same.
        if lingers(metadata, newest) {
            return Standing::Untold;
        }
        Standing::Kept
    }
}

/// The connectors that have not committed since the table was taken back to before their newest
/// commit: where they go on is what the snapshots below say, and their properties say otherwise.
pub(crate) fn taken_back(metadata: &TableMetadata) -> Vec<&str> {
    let way = ancestry(metadata, metadata.current_snapshot_id());
    let way = way.filter_map(|id| metadata.snapshot_by_id(id));
    let way: Vec<i64> = way.map(|it| it.sequence_number()).collect();
    let Some(end) = way.last() else {
        return Vec::new();
    };
    let prefix = sequence_key("");
    let properties = metadata.properties().iter();
    let those = properties.filter_map(|(key, value)| {
        let connector = key.strip_prefix(prefix.as_str())?;
        let newest: i64 = value.parse().ok()?;
        // As in `Way::standing`: it leads below that commit without meeting it.
        (*end < newest && !way.contains(&newest)).then_some(connector)
    });
    those.collect()
}

/// Whether the snapshot of that number is there, and no branch or tag keeps it.
fn lingers(metadata: &TableMetadata, sequence: i64) -> bool {
    let mut snapshots = metadata.snapshots();
    let Some(it) = snapshots.find(|it| it.sequence_number() == sequence) else {
        return false;
    };
    let keeps = |at: i64| ancestry(metadata, Some(at)).any(|id| id == it.snapshot_id());
    !other_refs(metadata).into_iter().any(keeps)
}
