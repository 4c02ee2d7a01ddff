//! Upkeep: less metadata, the same rows, the same positions.

use std::time::{Duration, SystemTime};

use jackfield_sdk::sink::StoreError;

use super::*;
use crate::maintain::{self, MERGED_MIN};

const HOUR: Duration = Duration::from_secs(3600);

fn manifests(world: &World) -> usize {
    world.read(async |table| {
        let snapshot = table.metadata().current_snapshot().unwrap();
        let list = table.manifest_list_reader(snapshot).load().await.unwrap();
        list.entries().len()
    })
}

/// Commits of one trade each, by one committer.
fn many(world: &World, commits: i64) {
    let (mut task, mut committer) = (world.task(), world.committer());
    for at in 0..commits {
        let batch = trades(world.schema, &[Trade::new("BTCUSDT", at)]);
        put(&mut task, &span(0, at, at + 1), &batch).unwrap();
        let pieces = task.stage().unwrap();
        let spans = [span(0, at, at + 1)];
        committer
            .commit(TABLE, &pieces, &spans, &format!("c{at}"))
            .unwrap();
    }
}

#[test]
fn many_manifests_become_one_at_the_second_try_and_nothing_else_changes() {
    let world = World::new(settings(
        r#"{"table":"market.trades","partition-by":["day(trade_time)","symbol"],
            "maintain":{"merge-manifests":true}}"#,
    ));
    // The first try, with the 100th commit, fails, and takes no commit with it.
    let busy = StoreError::Transient("busy".to_owned());
    world.lake.faults.store("/merged-", busy);
    let (merged, commits) = (MERGED_MIN + 50, 160);
    many(&world, commits);
    let lines = world.lake.lines.all();
    assert!(
        lines
            .iter()
            .any(|(_, line)| line.contains("left for later")),
        "{lines:?}"
    );
    let apart = usize::try_from(commits).unwrap();
    assert_eq!(manifests(&world), apart - merged + 1);
    assert_eq!(world.trade_ids(), (0..commits).collect::<Vec<_>>());
    assert_eq!(world.positions(), BTreeMap::from([(0, commits)]));
    let metadata = world.metadata();
    let replaced = metadata
        .snapshots()
        .find(|it| it.summary().operation == iceberg::spec::Operation::Replace);
    let summary = &replaced.unwrap().summary().additional_properties;
    assert_eq!(summary["manifests-replaced"], merged.to_string());
    assert_eq!(summary["total-records"], merged.to_string());
    // Each file keeps the snapshot and the sequence that it came with.
    world.read(async |table| {
        let snapshot = table.metadata().current_snapshot().unwrap();
        let list = table.manifest_list_reader(snapshot).load().await.unwrap();
        let mut sequences = Vec::new();
        for manifest in list.entries() {
            let manifest = manifest.load_manifest(table.file_io()).await.unwrap();
            for entry in manifest.entries() {
                let of = table
                    .metadata()
                    .snapshot_by_id(entry.snapshot_id().unwrap());
                assert_eq!(entry.sequence_number(), of.map(|it| it.sequence_number()));
                sequences.push(entry.sequence_number().unwrap());
            }
        }
        sequences.sort_unstable();
        sequences.dedup();
        assert_eq!(sequences.len(), usize::try_from(commits).unwrap());
    });
    // And the next life goes on from there.
    world.land(0, commits, commits + 5, "after").unwrap();
    assert_eq!(
        world.trade_ids().len(),
        usize::try_from(commits).unwrap() + 5
    );
}

#[test]
fn old_snapshots_go_and_positions_stay() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 5, "c1").unwrap();
    let tagged = world.metadata().current_snapshot_id().unwrap();
    world.land(0, 5, 10, "c2").unwrap();
    world.land(0, 10, 15, "c3").unwrap();
    world.foreign(&format!(
        r#"[{{"action":"set-snapshot-ref","ref-name":"kept","type":"tag","snapshot-id":{tagged}}}]"#
    ));
    let metadata = world.metadata();
    let now = SystemTime::now();
    assert!(
        maintain::expire(&metadata, now, HOUR).is_none(),
        "none is old"
    );
    let upkeep = maintain::expire(&metadata, now + 2 * HOUR, HOUR).unwrap();
    world.foreign(&serde_json::to_string(&upkeep.updates).unwrap());
    assert_eq!(world.snapshots(), 2, "the head and the tag's");
    assert!(world.metadata().snapshot_by_id(tagged).is_some());
    assert_eq!(world.positions(), BTreeMap::from([(0, 15)]));
    assert_eq!(world.trade_ids(), (0..15).collect::<Vec<_>>());
    // Afterwards only the head is left to expire nothing of.
    assert!(maintain::expire(&world.metadata(), now + 2 * HOUR, HOUR).is_none());
}

#[test]
fn only_old_files_that_nothing_refers_to_are_found() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 5, "c1").unwrap();
    world.land(0, 5, 10, "c2").unwrap();
    // Written, and never committed.
    let lost = world.staged(0, &[Trade::new("BTCUSDT", 99)]);
    assert_eq!(lost.len(), 1);
    let store = world.lake.ports().store;
    let location = world.metadata().location().to_owned();
    let strange = format!("{location}/data/notes.txt");
    store.put(&strange, b"mine").unwrap();
    // The fake store has a clock of its own, which begins there.
    let now = SystemTime::UNIX_EPOCH;
    let find = |now: SystemTime| {
        let old = maintain::old_files(store.as_ref(), &world.metadata(), now, HOUR).unwrap();
        world.read(async |table| maintain::unreferenced(table, old.clone()).await.unwrap())
    };
    assert_eq!(
        find(now),
        Vec::<String>::new(),
        "young files may be on their way"
    );
    let found = find(now + 2 * HOUR);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("/data/") && found[0].ends_with(".parquet"));
    // What a commit takes after the listing is found in the table, which is loaded later.
    let old = maintain::old_files(store.as_ref(), &world.metadata(), now + 2 * HOUR, HOUR).unwrap();
    world
        .committer()
        .commit(TABLE, &lost, &[span(0, 10, 100)], "c3")
        .unwrap();
    let found = world.read(async |table| maintain::unreferenced(table, old.clone()).await.unwrap());
    assert_eq!(found, Vec::<String>::new());
}
