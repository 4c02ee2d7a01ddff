//! Tables that are taken back and written on by others before the sink looks; and what only looks
//! like that.

use super::upkeep::in_two_hours;
use super::*;
use crate::commit::Schedule;

fn head(world: &World) -> i64 {
    world.metadata().current_snapshot_id().unwrap()
}

fn take_back(world: &World, to: i64) {
    world.foreign(&format!(
        r#"[{{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":{to}}}]"#
    ));
}

fn expire(world: &World, ids: &[i64]) {
    world.foreign(&format!(
        r#"[{{"action":"remove-snapshots","snapshot-ids":{ids:?}}}]"#
    ));
}

/// A snapshot of the files of the head, by somebody who knows nothing of this sink.
fn foreign_on(world: &World, parent: Option<i64>, id: i64) {
    let metadata = world.metadata();
    let files = metadata.current_snapshot().unwrap().manifest_list();
    let parent = parent.map_or_else(String::new, |it| format!(r#""parent-snapshot-id":{it},"#));
    world.foreign(&format!(
        r#"[{{"action":"add-snapshot","snapshot":{{"snapshot-id":{id},{parent}
             "sequence-number":{},"timestamp-ms":{},"manifest-list":"{files}",
             "summary":{{"operation":"append"}},"schema-id":{}}}}},
            {{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":{id}}}]"#,
        metadata.next_sequence_number(),
        metadata.last_updated_ms() + 1,
        metadata.current_schema_id(),
    ));
}

fn stops(world: &World) -> bool {
    match world.committer().stored(&[TABLE.to_owned()]) {
        Ok(_) => false,
        Err(Failure::Misconfigured(why)) => {
            assert!(why.contains("taken back"), "{why}");
            true
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_table_taken_back_and_written_by_another_takes_the_connector_back() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let first = head(&world);
    world.land(0, 10, 20, "c2").unwrap();
    world.land(1, 30, 40, "c3").unwrap();
    take_back(&world, first);
    foreign_on(&world, Some(first), 77);
    // What began after that snapshot begins again.
    assert_eq!(world.positions(), BTreeMap::from([(0, 10), (1, 30)]));
    world.land(0, 10, 20, "c4").unwrap();
    world.land(1, 30, 40, "c5").unwrap();
    assert_eq!(world.positions(), BTreeMap::from([(0, 20), (1, 40)]));
    let ids: Vec<_> = (0..20).chain(30..40).collect();
    assert_eq!(world.trade_ids(), ids);
}

/// All snapshots are too old by then; that which tells where the table stands goes last.
#[test]
fn no_expiry_takes_what_a_connector_goes_on_by_once_its_table_was_taken_back() {
    let world = World::new(settings(
        r#"{"table":"market.trades","maintain":{"expire":"1h"}}"#,
    ));
    world.land(0, 0, 10, "c1").unwrap();
    let first = head(&world);
    world.land(0, 10, 20, "c2").unwrap();
    world.land(1, 30, 40, "c3").unwrap();
    take_back(&world, first);
    foreign_on(&world, Some(first), 77);
    let mut committer = world.committer();
    committer.set_schedule(Schedule {
        clock: in_two_hours,
        ..Schedule::default()
    });
    let mut land = |partition: i32, first: i64, next: i64, id: &str| {
        let those: Vec<_> = (first..next).map(|it| Trade::new("BTCUSDT", it)).collect();
        let pieces = world.staged(partition, &those);
        let spans = [span(partition, first, next)];
        committer.commit(TABLE, &pieces, &spans, id).unwrap();
    };
    land(0, 10, 20, "c4");
    assert!(world.metadata().snapshot_by_id(first).is_some());
    assert_eq!(world.positions(), BTreeMap::from([(0, 20), (1, 30)]));
    // From then on it goes by its own commit, and so does the expiry.
    land(1, 30, 40, "c5");
    assert!(world.metadata().snapshot_by_id(first).is_none());
    assert_eq!(world.positions(), BTreeMap::from([(0, 20), (1, 40)]));
    let ids: Vec<_> = (0..20).chain(30..40).collect();
    assert_eq!(world.trade_ids(), ids);
}

/// The table is another connector's too, which commits first, and often.
#[test]
fn no_expiry_for_age_takes_what_another_connector_goes_on_by() {
    let world = World::new(settings(
        r#"{"table":"market.trades","maintain":{"expire":"1h"}}"#,
    ));
    let other = world.sibling("other-lake");
    world.land(0, 0, 10, "c1").unwrap();
    let first = head(&world);
    world.land(0, 10, 20, "c2").unwrap();
    take_back(&world, first);
    let mut committer = other.committer();
    let mut land = |at: i64, snapshots_max: usize| {
        committer.set_schedule(Schedule {
            tidy_each: 1,
            snapshots_max,
            clock: in_two_hours,
            ..Schedule::default()
        });
        let pieces = other.staged(0, &[Trade::new("BTCUSDT", at)]);
        let spans = [span(0, at, at + 1)];
        committer
            .commit(TABLE, &pieces, &spans, &format!("o{at}"))
            .unwrap();
    };
    (500..510).for_each(|at| land(at, 1000));
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
    // Where there is no room for more, it does.
    land(510, 5);
    assert!(world.metadata().snapshot_by_id(first).is_none());
    assert!(stops(&world));
}

/// Whichever sink commits first after that, the other one is taken back as well.
#[test]
fn a_table_taken_back_to_before_the_first_commit_takes_every_connector_back() {
    let world = World::new(by_day_and_symbol());
    let other = world.sibling("other-lake");
    other.land(0, 500, 510, "o1").unwrap();
    let before = head(&world);
    world.land(0, 100, 110, "c1").unwrap();
    other.land(0, 510, 520, "o2").unwrap();
    take_back(&world, before);
    assert_eq!(other.positions(), BTreeMap::from([(0, 510)]));
    other.land(0, 510, 520, "o3").unwrap();
    foreign_on(&world, Some(head(&world)), 77);
    assert_eq!(world.positions(), BTreeMap::from([(0, 100)]));
    // The commit that was taken back is not done.
    world.land(0, 100, 110, "c1").unwrap();
    assert_eq!(other.positions(), BTreeMap::from([(0, 520)]));
    assert_eq!(
        world.trade_ids(),
        (100..110).chain(500..520).collect::<Vec<_>>()
    );
}

#[test]
fn a_table_taken_back_to_where_nothing_is_known_stops_whoever_has_written_since() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let ours = head(&world);
    foreign_on(&world, Some(ours), 77);
    world.land(0, 10, 20, "c2").unwrap();
    world.land(1, 30, 40, "c3").unwrap();
    take_back(&world, 77);
    foreign_on(&world, Some(77), 78);
    expire(&world, &[ours]);
    assert!(stops(&world));
    // As the error says, a person may let it go on where the group stands.
    world.foreign(
        r#"[{"action":"remove-properties","removals":["jackfield.offsets.trades-lake"]}]"#,
    );
    assert!(!stops(&world));
    assert_eq!(world.positions(), BTreeMap::new());
    // Each partition for itself: where one began before is no place that the table stands at.
    world.land(0, 20, 30, "c4").unwrap();
    assert_eq!(world.positions(), BTreeMap::from([(0, 30)]));
    world.land(1, 80, 90, "c5").unwrap();
    assert_eq!(world.positions(), BTreeMap::from([(0, 30), (1, 90)]));
}

#[test]
fn a_table_taken_back_to_a_snapshot_that_has_expired_under_others_stops() {
    let world = World::new(by_day_and_symbol());
    let other = world.sibling("other-lake");
    other.land(0, 500, 510, "o1").unwrap();
    let before = head(&world);
    world.land(0, 0, 10, "c1").unwrap();
    take_back(&world, before);
    foreign_on(&world, Some(before), 77);
    assert_eq!(world.positions(), BTreeMap::from([(0, 0)]));
    expire(&world, &[before]);
    assert!(stops(&world));
}

/// It looks as if the table had been taken back; the error names the way out.
#[test]
fn a_commit_left_alone_below_expired_snapshots_stops_until_it_has_expired_too() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let ours = head(&world);
    foreign_on(&world, Some(ours), 77);
    foreign_on(&world, Some(77), 78);
    expire(&world, &[77]);
    assert!(stops(&world));
    expire(&world, &[ours]);
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
}

/// The history ends above the sink's commit, which is in the table all the same.
#[test]
fn a_commit_that_has_expired_under_others_was_not_taken_back() {
    let world = World::new(by_day_and_symbol());
    let other = world.sibling("other-lake");
    other.land(0, 500, 510, "o1").unwrap();
    let oldest = head(&world);
    world.land(0, 0, 10, "c1").unwrap();
    let ours = head(&world);
    foreign_on(&world, Some(ours), 77);
    foreign_on(&world, Some(77), 78);
    // The oldest one stays, as under a tag: nothing leads there any more.
    expire(&world, &[ours]);
    assert!(world.metadata().snapshot_by_id(oldest).is_some());
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
    expire(&world, &[77]);
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
    world.land(0, 10, 20, "c2").unwrap();
    assert_eq!(
        world.trade_ids(),
        (0..20).chain(500..510).collect::<Vec<_>>()
    );
}

/// PyIceberg takes the parent from the children of what it expires.
#[test]
fn a_snapshot_that_lost_its_parent_to_expiry_is_not_the_tables_first() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let ours = head(&world);
    foreign_on(&world, None, 77);
    expire(&world, &[ours]);
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
    // Neither is it when the table is taken back to there.
    world.land(0, 10, 20, "c2").unwrap();
    take_back(&world, 77);
    assert!(stops(&world));
}

/// As after `CREATE OR REPLACE TABLE`, whose rows may be those of the old one.
#[test]
fn a_table_begun_anew_beside_the_last_commit_stops() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let ours = head(&world);
    foreign_on(&world, None, 77);
    assert!(stops(&world));
    // Under a tag the commit would be there after an expiry as well.
    world.foreign(&format!(
        r#"[{{"action":"set-snapshot-ref","ref-name":"kept","type":"tag","snapshot-id":{ours}}}]"#
    ));
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
}
