//! Upkeep: less metadata, the same rows, the same positions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use jackfield_sdk::sink::StoreError;

use super::*;
use crate::commit::Schedule;
use crate::maintain::{self, MERGED_MIN};
use crate::orphans::{self, LISTS_READ_MAX, Until};

const HOUR: Duration = Duration::from_secs(3600);
/// Snapshots: more than any table here has.
const MANY: usize = 1000;

pub(super) fn manifests(world: &World) -> usize {
    world.read(async |table| {
        let snapshot = table.metadata().current_snapshot().unwrap();
        let list = table.manifest_list_reader(snapshot).load().await.unwrap();
        list.entries().len()
    })
}

/// Commits of one trade each, by one committer.
pub(super) fn many(world: &World, commits: i64) {
    many_by(world, &mut world.committer(), 0, commits);
}

pub(super) fn many_by(world: &World, committer: &mut IcebergSink, first: i64, next: i64) {
    let mut task = world.task();
    for at in first..next {
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
        maintain::expire(&metadata, now, HOUR, |_| MANY).is_none(),
        "none is old"
    );
    let upkeep = maintain::expire(&metadata, now + 2 * HOUR, HOUR, |_| MANY).unwrap();
    world.foreign(&serde_json::to_string(&upkeep.updates).unwrap());
    assert_eq!(world.snapshots(), 2, "the head and the tag's");
    assert!(world.metadata().snapshot_by_id(tagged).is_some());
    assert_eq!(world.positions(), BTreeMap::from([(0, 15)]));
    assert_eq!(world.trade_ids(), (0..15).collect::<Vec<_>>());
    // Afterwards only the head is left to expire nothing of.
    assert!(maintain::expire(&world.metadata(), now + 2 * HOUR, HOUR, |_| MANY).is_none());
}

/// Of two writers whose clocks differ the later commit may be the older one by its time.
#[test]
fn no_snapshot_is_left_below_one_that_was_forgotten() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 5, "c1").unwrap();
    let metadata = world.metadata();
    let first = metadata.current_snapshot().unwrap();
    world.foreign(&format!(
        r#"[{{"action":"add-snapshot","snapshot":{{"snapshot-id":77,"parent-snapshot-id":{},
             "sequence-number":{},"timestamp-ms":{},"manifest-list":"{}",
             "summary":{{"operation":"append"}},"schema-id":{}}}}},
            {{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":77}}]"#,
        first.snapshot_id(),
        metadata.next_sequence_number(),
        first.timestamp_ms() - 1000,
        first.manifest_list(),
        metadata.current_schema_id(),
    ));
    world.land(0, 5, 10, "c2").unwrap();
    let at = |ms: i64| SystemTime::UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs());
    let old_before = |ms: i64| maintain::expire(&world.metadata(), at(ms) + HOUR, HOUR, |_| MANY);
    assert!(old_before(first.timestamp_ms() - 500).is_none());
    let upkeep = old_before(first.timestamp_ms() + 500).unwrap();
    world.foreign(&serde_json::to_string(&upkeep.updates).unwrap());
    assert_eq!(world.snapshots(), 1);
}

/// All of them, in one look.
fn old_files(world: &World, now: SystemTime) -> Vec<String> {
    old_files_of(world, &world.metadata(), now)
}

fn old_files_of(world: &World, table: &TableMetadata, now: SystemTime) -> Vec<String> {
    let store = world.lake.ports().store;
    let listed = orphans::old_files(store.as_ref(), table, now, HOUR, None, 10_000, in_time());
    let listed = listed.unwrap();
    assert_eq!(listed.to, None);
    listed.old
}

/// No step that is made here takes so long.
fn in_time() -> Until {
    Until {
        clock: SystemTime::now,
        at: SystemTime::now() + 1000 * HOUR,
    }
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
        let old = old_files(&world, now);
        world.read(async |table| {
            orphans::unreferenced(table, old.clone(), in_time())
                .await
                .unwrap()
        })
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
    let old = old_files(&world, now + 2 * HOUR);
    world
        .committer()
        .commit(TABLE, &lost, &[span(0, 10, 100)], "c3")
        .unwrap();
    let found = world.read(async |table| {
        orphans::unreferenced(table, old.clone(), in_time())
            .await
            .unwrap()
    });
    assert_eq!(found, Vec::<String>::new());
}

pub(super) fn in_two_hours() -> SystemTime {
    SystemTime::now() + 2 * HOUR
}

fn kept_up() -> World {
    World::new(settings(
        r#"{"table":"market.trades","maintain":{"expire":"1h","orphans":"1d"}}"#,
    ))
}

fn named(world: &World, part: &str) -> Vec<String> {
    let names = world.lake.store.names().into_iter();
    names.filter(|it| it.contains(part)).collect()
}

/// What a table shows is looked at when a life begins, however short the life is.
#[test]
fn lives_of_one_commit_each_are_kept_up_too() {
    let world = World::new(settings(
        r#"{"table":"market.trades","maintain":{"expire":"1h","merge-manifests":true}}"#,
    ));
    // Nobody looks after these.
    let plain = World {
        settings: settings(r#"{"table":"market.trades"}"#),
        ..world.sibling("trades-lake")
    };
    many(&plain, 40);
    assert_eq!((world.snapshots(), manifests(&world)), (40, 40));
    for at in 40..100 {
        let mut committer = world.committer();
        committer.set_schedule(Schedule {
            clock: in_two_hours,
            ..Schedule::default()
        });
        many_by(&world, &mut committer, at, at + 1);
    }
    // The last life's: what it began on, its commit, and the merge.
    assert_eq!((world.snapshots(), manifests(&world)), (3, 1));
    assert_eq!(world.trade_ids(), (0..100).collect::<Vec<_>>());
    assert_eq!(world.positions(), BTreeMap::from([(0, 100)]));
}

/// The objects of the fake store are as old as time.
#[test]
fn snapshots_and_orphans_go_after_commits_and_nothing_that_is_referenced() {
    let world = kept_up();
    // Written, and never committed.
    let _ = world.staged(0, &[Trade::new("BTCUSDT", 99)]);
    let abandoned = named(&world, ".parquet");
    assert_eq!(abandoned.len(), 1);
    let mut committer = world.committer();
    committer.set_schedule(Schedule {
        tidy_each: 4,
        sweep_first: 3,
        sweep_each: 4,
        listed_max: 1000,
        clock: in_two_hours,
        ..Schedule::default()
    });
    many_by(&world, &mut committer, 0, 40);
    assert_eq!(world.snapshots(), 1);
    assert_eq!(world.trade_ids(), (0..40).collect::<Vec<_>>());
    assert_eq!(world.positions(), BTreeMap::from([(0, 40)]));
    let files = named(&world, ".parquet");
    assert_eq!(files.len(), 40);
    assert!(!files.contains(&abandoned[0]));
    // Those of snapshots since the last clean-up but one are left.
    let lists = named(&world, "/snap-").len();
    assert!(lists <= 8, "{lists}");
    // The next life goes on from there.
    many_by(&world, &mut world.committer(), 40, 42);
    assert_eq!(world.trade_ids(), (0..42).collect::<Vec<_>>());
}

#[test]
fn a_clean_up_reads_what_comes_before_the_next_expiry() {
    let schedule = Schedule::default();
    let most = schedule.snapshots_max + usize::try_from(schedule.tidy_each).unwrap();
    assert!(most <= LISTS_READ_MAX, "{most}");
}

#[test]
fn a_clean_up_gets_to_the_last_object_however_many_live_ones_are_before_it() {
    let world = kept_up();
    many(&world, 20);
    let store = world.lake.ports().store;
    let location = world.metadata().location().to_owned();
    let orphans = ["data/zzz.parquet", "metadata/zzz.avro"].map(|it| format!("{location}/{it}"));
    for orphan in &orphans {
        store.put(orphan, b"x").unwrap();
    }
    // One after the other.
    let (mut to, mut found, mut looks) = (None, Vec::new(), 0);
    let now = SystemTime::UNIX_EPOCH + 2 * HOUR;
    loop {
        let metadata = world.metadata();
        let from = to.as_ref();
        let listed = orphans::old_files(store.as_ref(), &metadata, now, HOUR, from, 3, in_time());
        let listed = listed.unwrap();
        assert!(listed.old.len() <= 3);
        let old = listed.old.clone();
        found.extend(
            world.read(async |it| orphans::unreferenced(it, old, in_time()).await.unwrap()),
        );
        looks += 1;
        to = listed.to;
        if to.is_none() || looks == 1000 {
            break;
        }
    }
    found.sort_unstable();
    assert_eq!(found, orphans);
    assert!(looks > 10, "{looks}");
    // And after commits, each of which adds to what there is to look at.
    let mut committer = world.committer();
    committer.set_schedule(Schedule {
        tidy_each: 1,
        sweep_first: 1,
        sweep_each: 1000,
        listed_max: 6,
        clock: SystemTime::now,
        ..Schedule::default()
    });
    let mut next = 20;
    while orphans
        .iter()
        .any(|it| world.lake.store.object(it).is_some())
    {
        assert!(next < 200, "it does not get there");
        many_by(&world, &mut committer, next, next + 1);
        next += 1;
    }
    assert_eq!(world.trade_ids(), (0..next).collect::<Vec<_>>());
}

#[test]
fn a_sink_that_is_started_again_and_again_cleans_up() {
    let world = kept_up();
    let _ = world.staged(0, &[Trade::new("BTCUSDT", 99)]);
    let abandoned = named(&world, ".parquet");
    many_by(&world, &mut world.committer(), 0, 9);
    assert!(named(&world, ".parquet").contains(&abandoned[0]));
    many_by(&world, &mut world.committer(), 9, 20);
    assert!(!named(&world, ".parquet").contains(&abandoned[0]));
}

#[test]
fn data_elsewhere_is_looked_at_if_it_is_within_the_tables_own_folder() {
    for (path, found) in [
        ("memory://warehouse/market/trades/rows", true),
        ("memory://warehouse/market/trades/data/more/", true),
        ("memory://warehouse/shared", false),
        ("memory://warehouse/market/trades-and-others", false),
    ] {
        let world = World::new(settings(&format!(
            r#"{{"table":"market.trades","properties":{{"write.data.path":"{path}"}}}}"#
        )));
        world.land(0, 0, 5, "c1").unwrap();
        let folder = path.trim_end_matches('/');
        assert!(
            world.files()[0]
                .file_path()
                .starts_with(&format!("{folder}/0"))
        );
        let orphan = format!("{folder}/zzz.parquet");
        world.lake.ports().store.put(&orphan, b"x").unwrap();
        let old = old_files(&world, SystemTime::UNIX_EPOCH + 2 * HOUR);
        let orphans =
            world.read(async |it| orphans::unreferenced(it, old, in_time()).await.unwrap());
        let expected: Vec<String> = found.then_some(orphan).into_iter().collect();
        assert_eq!(orphans, expected, "{path}");
    }
}

/// `market.trades.data` lies in the folder of the data of `market.trades`.
#[test]
fn a_clean_up_leaves_the_tables_alone_that_lie_in_its_tables_folders() {
    let world = kept_up();
    let inner = ["market.trades.data", "market.trades.metadata"];
    let land = |table: &str| {
        let inner = World {
            settings: settings(&format!(r#"{{"table":"{table}"}}"#)),
            ..world.sibling("other")
        };
        let pieces = inner.staged(0, &[Trade::new("BTCUSDT", 0)]);
        let committed = inner
            .committer()
            .commit(table, &pieces, &[span(0, 0, 1)], "c1");
        committed.unwrap();
    };
    for table in inner {
        land(table);
    }
    world.land(0, 0, 5, "c1").unwrap();
    let store = world.lake.ports().store;
    let location = world.metadata().location().to_owned();
    let orphans = ["data/zzz.parquet", "metadata/zzz.avro"].map(|it| format!("{location}/{it}"));
    for orphan in &orphans {
        store.put(orphan, b"x").unwrap();
    }
    let before = world.lake.store.names();
    let mut committer = world.committer();
    committer.set_schedule(Schedule {
        sweep_first: 1,
        ..Schedule::default()
    });
    many_by(&world, &mut committer, 5, 6);
    let now = world.lake.store.names();
    let gone: Vec<_> = before.into_iter().filter(|it| !now.contains(it)).collect();
    assert_eq!(gone, orphans);
    for table in inner {
        let rows = world.rows_of(table);
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    }
    // Each inner table looks after its own.
    let orphan = format!("{location}/data/data/zzz.parquet");
    store.put(&orphan, b"x").unwrap();
    let table = world.lake.catalog.table("market.trades.data").unwrap();
    let table: TableMetadata = serde_json::from_str(&table.metadata).unwrap();
    let old = old_files_of(&world, &table, SystemTime::UNIX_EPOCH + 2 * HOUR);
    assert!(old.contains(&orphan), "{old:?}");
}

/// Days after the fake store's objects were made, and a second later each time that it is looked at.
fn slow() -> SystemTime {
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    let seconds = Duration::from_secs(LOOKS.fetch_add(1, Ordering::Relaxed));
    SystemTime::UNIX_EPOCH + 100 * HOUR + seconds
}

#[test]
fn a_clean_up_that_takes_long_ends_and_the_next_goes_on() {
    const ORPHANS: usize = 60;
    let world = kept_up();
    world.land(0, 0, 1, "c0").unwrap();
    let store = world.lake.ports().store;
    let location = world.metadata().location().to_owned();
    for at in 0..ORPHANS {
        let orphan = format!("{location}/data/zzz-{at}.parquet");
        store.put(&orphan, b"x").unwrap();
    }
    let mut committer = world.committer();
    committer.set_schedule(Schedule {
        tidy_each: 1,
        sweep_first: 1,
        clock: slow,
        ..Schedule::default()
    });
    let left = || named(&world, "/data/zzz").len();
    many_by(&world, &mut committer, 1, 2);
    let after_one = left();
    assert!((1..ORPHANS).contains(&after_one), "{after_one}");
    many_by(&world, &mut committer, 2, 6);
    assert_eq!(left(), 0);
    assert_eq!(world.trade_ids(), (0..6).collect::<Vec<_>>());
}

#[test]
fn a_clean_up_with_no_time_left_keeps_its_place_and_knows_nothing() {
    let world = kept_up();
    world.land(0, 0, 5, "c1").unwrap();
    let store = world.lake.ports().store;
    let metadata = world.metadata();
    let folder = format!("{}/data", metadata.location());
    for at in 0..1100 {
        store
            .put(&format!("{folder}/zzz-{at}.parquet"), b"x")
            .unwrap();
    }
    let now = SystemTime::UNIX_EPOCH + 2 * HOUR;
    let over = Until {
        clock: SystemTime::now,
        at: SystemTime::UNIX_EPOCH,
    };
    let look = |from| orphans::old_files(store.as_ref(), &metadata, now, HOUR, from, 10_000, over);
    let first = look(None).unwrap();
    // All of the metadata's folder, and a page of the data.
    assert!(first.old.len() > 1000 && first.to.is_some());
    let rest = look(first.to.as_ref()).unwrap();
    assert_eq!(rest.to, None);
    assert!(rest.old.len() > 100, "{}", rest.old.len());
    let told = world.read(async |it| orphans::unreferenced(it, first.old.clone(), over).await);
    let why = told.unwrap_err().to_string();
    assert!(why.contains("too long"), "{why}");
}
