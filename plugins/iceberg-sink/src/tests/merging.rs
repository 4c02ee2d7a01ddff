//! Merges that run out of time, and what commits and merges leave to the main branch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jackfield_sdk::sink::{Catalog, CatalogError, CatalogTable};

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
    world.read(async |table| match maintain::merge(table, until).await? {
        None => Ok(None),
        Some(merged) => merged.upkeep(table, now_ms).await,
    })
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

/// A catalog before whose first commits that change no row somebody does something.
struct Raced {
    inner: Arc<dyn Catalog>,
    first: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl Catalog for Raced {
    fn load(&self, ident: &str, known: Option<&str>) -> Result<Option<CatalogTable>, CatalogError> {
        self.inner.load(ident, known)
    }

    fn create(&self, ident: &str, creation: &str) -> Result<CatalogTable, CatalogError> {
        self.inner.create(ident, creation)
    }

    fn commit(
        &self,
        ident: &str,
        expected_location: &str,
        requirements: &str,
        updates: &str,
    ) -> Result<CatalogTable, CatalogError> {
        if updates.contains(r#""replace""#) {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(first) = first.pop() {
                first();
            }
        }
        self.inner
            .commit(ident, expected_location, requirements, updates)
    }
}

#[test]
fn a_merge_lands_on_top_of_what_others_commit_meanwhile() {
    let world = World::new(settings(
        r#"{"table":"market.trades","maintain":{"merge-manifests":true}}"#,
    ));
    let plain = World {
        settings: settings(r#"{"table":"market.trades"}"#),
        ..world.sibling("trades-lake")
    };
    many(&plain, 110);
    let mut ports = world.lake.ports();
    let commits = [1000_i64, 2000].map(|at| {
        let other = World {
            settings: settings(r#"{"table":"market.trades"}"#),
            ..world.sibling("other-lake")
        };
        // The last is made first.
        let partition = i32::try_from(at / 1000).unwrap();
        let land = move || {
            other
                .land(partition, at, at + 5, &format!("o{at}"))
                .unwrap();
        };
        Box::new(land) as Box<dyn FnOnce() + Send>
    });
    ports.catalog = Arc::new(Raced {
        inner: ports.catalog,
        first: Mutex::new(Vec::from(commits)),
    });
    let mut committer = world.open_with(ports, Role::Committer).unwrap();
    many_by(&world, &mut committer, 110, 111);
    // 111 of the sink, all but the merged ones, and one of each of the other's commits.
    assert_eq!(manifests(&world), 1 + 2);
    let expected = (0..111).chain(1000..1005).chain(2000..2005);
    assert_eq!(world.trade_ids(), expected.collect::<Vec<_>>());
    assert_eq!(world.positions(), BTreeMap::from([(0, 111)]));
    let merged = world.lake.store.names().into_iter();
    let merged = merged.filter(|it| it.contains("/merged-"));
    assert_eq!(merged.count(), 1, "what was read is not read again");
}
