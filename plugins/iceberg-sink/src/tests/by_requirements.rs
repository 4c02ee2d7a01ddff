//! Tests of commits once more, on a catalog that goes by their requirements alone: nothing but these
//! keeps a commit from a table that has moved on.

// Each of these files is a module of `tests` as well.
#![allow(clippy::duplicate_mod)]

#[path = "commits.rs"]
mod commits;
#[path = "crash.rs"]
mod crash;
#[path = "evolution.rs"]
mod evolution;
#[path = "exactly_once.rs"]
mod exactly_once;

use super::*;

const GUARD: Guard = Guard::Requirements;

#[test]
fn a_commit_that_requires_nothing_is_taken_wherever_the_table_is() {
    for (guard, taken) in [(super::GUARD, false), (GUARD, true)] {
        let world = World::guarded_by(guard, by_day_and_symbol());
        world.land(0, 0, 5, "c1").unwrap();
        let catalog = world.lake.ports().catalog;
        let before = catalog.load(TABLE, None).unwrap().unwrap();
        world.land(0, 5, 10, "c2").unwrap();
        let updates = r#"[{"action":"set-properties","updates":{"a":"b"}}]"#;
        let told = catalog.commit(TABLE, &before.metadata_location, "[]", updates);
        assert_eq!(told.is_ok(), taken, "{guard:?}: {told:?}");
    }
}
