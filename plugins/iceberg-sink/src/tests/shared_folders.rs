//! Folders that two tables share: nobody can tell whose a file is that nothing in one of them refers
//! to.

use std::cell::Cell;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use jackfield_sdk::sink::{LogLevel, STORE_CHUNK_BYTES_MAX};
use serde_json::json;

use super::upkeep::many_by;
use super::*;
use crate::commit::Schedule;
use crate::documents::{self, Whose};
use crate::orphans::{self, Until};

const ANOTHER: &str = "33333333-3333-4333-8333-333333333333";
/// As many as a table names of its own if it does not say otherwise.
const LOGGED: usize = 100;
const DAY: Duration = Duration::from_secs(86_400);

/// As all objects of the fake store are as old as time, whatever it is now.
fn cleaned_up() -> World {
    World::new(settings(
        r#"{"table":"market.trades","maintain":{"orphans":"1d"}}"#,
    ))
}

fn folder(world: &World) -> String {
    format!("{}/metadata", world.metadata().location())
}

fn put(world: &World, uri: &str, bytes: &[u8]) {
    let mut upload = world.lake.ports().store.create(uri).unwrap();
    for chunk in bytes.chunks(STORE_CHUNK_BYTES_MAX) {
        upload.write(chunk).unwrap();
    }
    upload.finish().unwrap();
}

/// A document whose table names these of its own.
fn document(uuid: &str, before: &[String]) -> Vec<u8> {
    let log = before.iter().map(|it| json!({"metadata-file": it}));
    let log: Vec<_> = log.collect();
    let snapshots = [json!({"snapshot-id": 1})];
    json!({"format-version": 2, "table-uuid": uuid, "metadata-log": log, "snapshots": snapshots})
        .to_string()
        .into_bytes()
}

thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// A second later each time that this thread looks at it.
fn ticking() -> SystemTime {
    let looks = LOOKS.get();
    LOOKS.set(looks + 1);
    SystemTime::UNIX_EPOCH + Duration::from_secs(looks)
}

/// What reading so many documents tells.
fn whose(world: &World, own: &mut HashSet<String>, reads: u64) -> Whose {
    let store = world.lake.ports().store;
    let never = Until {
        clock: SystemTime::now,
        at: SystemTime::now() + 1000 * DAY,
    };
    let metadata = world.metadata();
    let now = SystemTime::now();
    let listed = orphans::old_files(store.as_ref(), &metadata, now, DAY, None, 10_000, never);
    let documents = listed.unwrap().documents;
    let until = Until {
        clock: ticking,
        at: ticking() + Duration::from_secs(reads + 1),
    };
    world
        .read(async |table| {
            let mut strange = HashSet::new();
            documents::whose(store.as_ref(), table, &documents, own, &mut strange, until)
        })
        .unwrap()
}

/// As a REST catalog leaves it where two tasks made the table at once.
#[test]
fn a_table_that_never_had_a_row_stops_no_clean_up_and_is_left_alone() {
    let world = cleaned_up();
    world.land(0, 0, 5, "c1").unwrap();
    let location = world.metadata().location().to_owned();
    let left = format!("{location}/data/a.parquet");
    put(&world, &left, b"x");
    let strange = format!("{location}/metadata/zzz.metadata.json");
    let document = json!({"format-version": 2, "table-uuid": ANOTHER, "snapshots": []});
    put(&world, &strange, document.to_string().as_bytes());
    let mut committer = world.committer();
    committer.set_schedule(Schedule {
        tidy_each: 1,
        sweep_first: 0,
        sweep_each: 1,
        clock: SystemTime::now,
        ..Schedule::default()
    });
    many_by(&world, &mut committer, 5, 8);
    assert_eq!(refusals(&world), Vec::<String>::new());
    let names = world.lake.store.names();
    assert!(!names.contains(&left), "what nobody refers to is gone");
    assert!(names.contains(&strange));
}

fn refusals(world: &World) -> Vec<String> {
    let lines = world.lake.lines.all().into_iter();
    let refused = lines.filter(|(level, line)| {
        *level == LogLevel::Error && line.contains("nothing is cleaned up any more")
    });
    refused.map(|(_, line)| line).collect()
}

#[test]
fn a_clean_up_deletes_nothing_where_another_table_has_its_documents() {
    // At one look, and at many of which only the last shows the document.
    for listed_max in [1000, 3] {
        let world = cleaned_up();
        world.land(0, 0, 5, "c1").unwrap();
        let location = world.metadata().location().to_owned();
        let others = ["data/a.parquet", "metadata/a.avro"].map(|it| format!("{location}/{it}"));
        for file in &others {
            put(&world, file, b"x");
        }
        let foreign = format!("{location}/metadata/zzz.metadata.json");
        put(&world, &foreign, &document(ANOTHER, &[]));
        let before = world.lake.store.names();
        let schedule = || Schedule {
            tidy_each: 1,
            sweep_first: 0,
            sweep_each: 1,
            listed_max,
            clock: SystemTime::now,
            ..Schedule::default()
        };
        let mut committer = world.committer();
        committer.set_schedule(schedule());
        let mut next = 5;
        while refusals(&world).is_empty() {
            assert!(next < 200, "it does not get there");
            many_by(&world, &mut committer, next, next + 1);
            next += 1;
        }
        many_by(&world, &mut committer, next, next + 3);
        next += 3;
        let told = refusals(&world);
        assert!(told.len() == 1 && told[0].contains(&foreign), "{told:?}");
        let now: HashSet<_> = world.lake.store.names().into_iter().collect();
        let gone: Vec<_> = before.iter().filter(|it| !now.contains(*it)).collect();
        assert!(gone.is_empty(), "{gone:?}");
        // Once that table is elsewhere, the next life cleans up.
        world.lake.store.remove(&foreign);
        let mut committer = world.committer();
        committer.set_schedule(schedule());
        while others
            .iter()
            .any(|it| world.lake.store.object(it).is_some())
        {
            assert!(next < 400, "it does not get there");
            many_by(&world, &mut committer, next, next + 1);
            next += 1;
        }
        assert_eq!(world.trade_ids(), (0..next).collect::<Vec<_>>());
    }
}

/// A pass has seen that the folder is the table's own; what comes later may be another's.
#[test]
fn each_pass_looks_at_all_documents_before_other_files_go() {
    for foreign in [true, false] {
        let world = cleaned_up();
        let mut committer = world.committer();
        let schedule = |sweep_first, listed_max| Schedule {
            tidy_each: 1,
            sweep_first,
            sweep_each: 1000,
            listed_max,
            clock: SystemTime::now,
            ..Schedule::default()
        };
        // The first pass is one look.
        committer.set_schedule(schedule(10, 1000));
        many_by(&world, &mut committer, 0, 10);
        let folder = folder(&world);
        // Listed before all others, and the other table's document after all others.
        let file = format!("{folder}/0.avro");
        put(&world, &file, b"x");
        if foreign {
            let at = format!("{folder}/zzz.metadata.json");
            put(&world, &at, &document(ANOTHER, &[]));
        }
        committer.set_schedule(schedule(11, 6));
        let is_there = || world.lake.store.object(&file).is_some();
        let mut next = 10;
        while is_there() && refusals(&world).is_empty() {
            assert!(next < 200, "it does not get there");
            many_by(&world, &mut committer, next, next + 1);
            next += 1;
        }
        // What is the table's own goes in a pass that follows up.
        let outcome = (is_there(), refusals(&world).len());
        assert_eq!(outcome, (foreign, usize::from(foreign)));
    }
}

#[test]
fn a_tables_own_documents_are_told_by_reading_few_of_them() {
    let world = cleaned_up();
    world.land(0, 0, 5, "c1").unwrap();
    let uuid = world.metadata().uuid().to_string();
    let folder = folder(&world);
    let names: Vec<_> = (0..300)
        .map(|at| format!("{folder}/{at:05}-x.metadata.json"))
        .collect();
    for (at, name) in names.iter().enumerate() {
        let before = &names[at.saturating_sub(LOGGED)..at];
        put(&world, name, &document(&uuid, before));
    }
    let mut own = HashSet::new();
    assert_eq!(whose(&world, &mut own, 2), Whose::Untold);
    // What was found is not read again.
    assert_eq!(whose(&world, &mut own, 1), Whose::Own);
    assert_eq!(whose(&world, &mut HashSet::new(), 3), Whose::Own);
    // They are what a clean-up deletes, the table names none of them.
    let mut committer = world.committer();
    committer.set_schedule(Schedule {
        sweep_first: 1,
        ..Schedule::default()
    });
    many_by(&world, &mut committer, 5, 6);
    assert!(names.iter().all(|it| world.lake.store.object(it).is_none()));
}

#[test]
fn large_and_packed_documents_are_told_too() {
    for packed in [false, true] {
        for (uuid, is_own) in [(None, true), (Some(ANOTHER), false)] {
            let world = cleaned_up();
            world.land(0, 0, 5, "c1").unwrap();
            let uuid = uuid.map_or_else(|| world.metadata().uuid().to_string(), str::to_owned);
            // As where a writer puts its history first.
            let history = " ".repeat(3 * STORE_CHUNK_BYTES_MAX);
            let text = format!(r#"{{"snapshots":[{history}{{}}],"table-uuid":"{uuid}"}}"#);
            let (name, bytes) = if packed {
                let mut packed = GzEncoder::new(Vec::new(), Compression::default());
                std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
                ("7.gz.metadata.json", packed.finish().unwrap())
            } else {
                ("7.metadata.json", text.into_bytes())
            };
            let at = format!("{}/{name}", folder(&world));
            put(&world, &at, &bytes);
            let expected = if is_own { Whose::Own } else { Whose::Other(at) };
            assert_eq!(whose(&world, &mut HashSet::new(), 1), expected);
        }
    }
}
