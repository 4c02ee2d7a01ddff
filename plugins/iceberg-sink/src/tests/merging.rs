//! Merges that run out of time, and what commits and merges leave to the main branch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::upkeep::{manifests, many, many_by};
use super::*;
use crate::commit::Schedule;
use crate::maintain::{self, Upkeep};
use crate::orphans::Until;

/// A second later each time that it is looked at.
fn ticking() -> SystemTime {
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(LOOKS.fetch_add(1, Ordering::Relaxed))
}

fn merge(world: &World, manifests_in_time: u64) -> iceberg::Result<Option<Upkeep>> {
    let until = Until {
        clock: ticking,
        at: ticking() + Duration::from_secs(manifests_in_time + 1),
    };
    let now_ms = maintain::millis(SystemTime::now());
    world.read(async |table| maintain::merge_manifests(table, now_ms, until).await)
}

fn main_branch(world: &World) -> serde_json::Value {
    let table = world.lake.catalog.table(TABLE).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&table.metadata).unwrap();
    metadata["refs"]["main"].clone()
}

/// As a person sets it.
fn keep_seven_snapshots(world: &World) {
    world.foreign(&format!(
        r#"[{{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":{},
             "min-snapshots-to-keep":7,"max-snapshot-age-ms":86400000}}]"#,
        world.metadata().current_snapshot_id().unwrap()
    ));
}

fn assert_seven_are_kept(world: &World) {
    let main = main_branch(world);
    assert_eq!(main["min-snapshots-to-keep"], 7, "{main}");
    assert_eq!(main["max-snapshot-age-ms"], 86_400_000, "{main}");
}

#[test]
fn a_merge_that_runs_out_of_time_takes_what_it_has_read_if_that_is_enough() {
    let world = World::new(settings(r#"{"table":"market.trades"}"#));
    many(&world, 130);
    keep_seven_snapshots(&world);
    let why = merge(&world, 99).unwrap_err().to_string();
    assert!(why.contains("99 of 130 manifests"), "{why}");
    // A committer gives it no more of its call than it has.
    let merging = World {
        settings: settings(r#"{"table":"market.trades","maintain":{"merge-manifests":true}}"#),
        ..world.sibling("trades-lake")
    };
    let mut committer = merging.committer();
    committer.set_schedule(Schedule {
        tidy_each: 1,
        clock: ticking,
        ..Schedule::default()
    });
    many_by(&merging, &mut committer, 130, 131);
    let lines = world.lake.lines.all();
    let late = |line: &str| line.contains("of 131 manifests could be read in time");
    assert!(lines.iter().any(|(_, line)| late(line)), "{lines:?}");
    let written = world.lake.store.names();
    assert!(!written.iter().any(|it| it.contains("/merged-")));
    assert_eq!(manifests(&world), 131);

    let upkeep = merge(&world, 120).unwrap().unwrap();
    world.foreign(&serde_json::to_string(&upkeep.updates).unwrap());
    assert_eq!(manifests(&world), 131 - 120 + 1);
    assert_eq!(world.trade_ids(), (0..131).collect::<Vec<_>>());
    assert_eq!(world.positions(), BTreeMap::from([(0, 131)]));
    assert_seven_are_kept(&world);
}

#[test]
fn what_a_person_set_of_the_main_branch_outlives_commits() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 5, "c1").unwrap();
    let before = main_branch(&world);
    assert_eq!(before.get("min-snapshots-to-keep"), None, "{before}");
    keep_seven_snapshots(&world);
    world.land(0, 5, 10, "c2").unwrap();
    assert_seven_are_kept(&world);
    assert_ne!(main_branch(&world)["snapshot-id"], before["snapshot-id"]);
    // Nor does a commit invent any.
    world.foreign(&format!(
        r#"[{{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":{}}}]"#,
        world.metadata().current_snapshot_id().unwrap()
    ));
    world.land(0, 10, 15, "c3").unwrap();
    assert_eq!(main_branch(&world).get("min-snapshots-to-keep"), None);
}
