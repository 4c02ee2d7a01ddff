//! What a table needs now and then so that it stays quick to read: fewer manifests, and no history
//! that nobody asks for. All of it in commits of its own, so that nothing here can undo one of rows;
//! what fails is said and tried again later.

mod merge;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use iceberg::spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};
use serde::Deserialize;

#[cfg(test)]
pub(crate) use self::merge::MERGED_MIN;
pub(crate) use self::merge::merge;

/// A commit that changes no row.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) requirements: Vec<TableRequirement>,
    pub(crate) updates: Vec<TableUpdate>,
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

/// Forgets snapshots that are older than that, and of the others as many as are too many beside the
/// head; none: there are none. Only the main branch's [`history`] goes, and counts:
/// `snapshots_left` says how many stay at most, of so many.
pub(crate) fn expire(
    metadata: &TableMetadata,
    now: SystemTime,
    age: Duration,
    snapshots_left: impl FnOnce(usize) -> usize,
) -> Option<Upkeep> {
    let history = history(metadata);
    let count = history.len() + 1;
    let too_many = count.saturating_sub(snapshots_left(count));
    let before = millis(now).saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    // From the oldest on: where writers' clocks differ, one that is younger would be left below
    // those that go, and nothing would lead there any more.
    let mut expired: Vec<i64> = history
        .into_iter()
        .rev()
        .enumerate()
        .take_while(|(at, id)| {
            let snapshot = metadata.snapshot_by_id(*id);
            *at < too_many || snapshot.is_some_and(|it| it.timestamp_ms() < before)
        })
        .map(|(_, id)| id)
        .collect();
    expired.sort_unstable();
    (!expired.is_empty()).then(|| Upkeep {
        requirements: on_top_of(metadata),
        updates: vec![TableUpdate::RemoveSnapshots {
            snapshot_ids: expired,
        }],
    })
}

/// The snapshots that may be forgotten, newest first: those below the head of the main branch, but
/// for what a branch or tag is at, and the history below that.
fn history(metadata: &TableMetadata) -> Vec<i64> {
    let Some(head) = metadata.current_snapshot() else {
        return Vec::new();
    };
    let mut kept: HashSet<i64> = HashSet::from([head.snapshot_id()]);
    for other in other_refs(metadata) {
        kept.extend(ancestry(metadata, Some(other)));
    }
    ancestry(metadata, head.parent_snapshot_id())
        .filter(|id| !kept.contains(id))
        .collect()
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
