//! One commit at a time: fencing, conflicts, unknown outcomes, foreign snapshots.

use jackfield_sdk::sink::testing::CommitFate;

use super::*;

fn fenced(outcome: Result<Committed, Failure>) -> String {
    match outcome {
        Err(Failure::Fenced(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_the_next_span_may_follow() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    for (first, next) in [(0, 10), (5, 20), (9, 10), (11, 20), (0, 20)] {
        let why = fenced(world.land(0, first, next, "other"));
        assert!(why.contains("[0] is stored up to 10"), "{why}");
    }
    world.land(0, 10, 20, "c2").unwrap();
    assert_eq!(world.trade_ids(), (0..20).collect::<Vec<_>>());
    assert_eq!(world.positions(), BTreeMap::from([(0, 20)]));
}

#[test]
fn one_span_of_many_that_does_not_fit_stops_all() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let pieces = world.staged(0, &[Trade::new("BTCUSDT", 10)]);
    let spans = [span(0, 10, 11), span(1, 3, 4), span(2, 0, 1)];
    world
        .committer()
        .commit(TABLE, &[], &[span(1, 0, 5)], "c2")
        .unwrap();
    fenced(world.committer().commit(TABLE, &pieces, &spans, "c3"));
    assert_eq!(world.positions(), BTreeMap::from([(0, 10), (1, 5)]));
}

#[test]
fn a_commit_is_done_once_however_often_it_is_asked_for() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    let pieces = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
    let first = world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 1)], "c1")
        .unwrap();
    let mut committer = world.committer();
    for _ in 0..3 {
        let again = committer
            .commit(TABLE, &pieces, &[span(0, 0, 1)], "c1")
            .unwrap();
        assert_eq!(again, first);
    }
    // Also when others have followed.
    world.land(0, 1, 5, "c2").unwrap();
    assert_eq!(
        committer
            .commit(TABLE, &pieces, &[span(0, 0, 1)], "c1")
            .unwrap(),
        first
    );
    assert_eq!(world.trade_ids(), [0, 1, 2, 3, 4]);
}

#[test]
fn positions_alone_are_a_snapshot_only_if_they_are_news() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    let _ = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
    assert_eq!(world.held(), vec![]);
    let mut committer = world.committer();
    let frontier = [span(0, 40, 40), span(1, 0, 0)];
    committer.commit(TABLE, &[], &frontier, "c1").unwrap();
    assert_eq!(world.positions(), BTreeMap::from([(0, 40), (1, 0)]));
    assert_eq!(world.snapshots(), 1);
    committer.commit(TABLE, &[], &frontier, "c2").unwrap();
    assert_eq!(world.snapshots(), 1);
    committer
        .commit(TABLE, &[], &[span(0, 40, 90)], "c3")
        .unwrap();
    assert_eq!(world.positions(), BTreeMap::from([(0, 90), (1, 0)]));
    assert_eq!(world.snapshots(), 2);
    assert_eq!(world.rows().len(), 0);
}

#[test]
fn every_fate_of_a_commit_ends_with_its_rows_there_once() {
    use CommitFate::*;
    for fates in [
        vec![Conflict],
        vec![Conflict, Conflict, Conflict],
        vec![UnknownDone],
        vec![UnknownLost],
        vec![UnknownLost, UnknownLost, Conflict, UnknownDone],
        vec![UnknownLate { calls: 0 }],
        vec![UnknownLate { calls: 1 }],
        vec![UnknownLate { calls: 2 }, UnknownLost],
        vec![UnknownLate { calls: 1 }, UnknownLate { calls: 0 }],
    ] {
        let world = World::guarded_by(GUARD, by_day_and_symbol());
        world.land(0, 0, 10, "c1").unwrap();
        world.lake.faults.commits(fates.clone());
        world.land(0, 10, 20, "c2").unwrap();
        world.lake.catalog.settle();
        world.land(0, 20, 30, "c3").unwrap();
        assert_eq!(world.trade_ids(), (0..30).collect::<Vec<_>>(), "{fates:?}");
        assert_eq!(world.snapshots(), 3, "{fates:?}");
    }
}

#[test]
fn conflicts_without_end_are_for_the_host_to_wait_out() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    let pieces = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
    world.lake.faults.commits([CommitFate::Conflict; 5]);
    let mut committer = world.committer();
    let mut commit = || committer.commit(TABLE, &pieces, &[span(0, 0, 1)], "c1");
    assert!(matches!(commit(), Err(Failure::Retry { .. })));
    world.lake.faults.commits([CommitFate::Transient]);
    assert!(matches!(commit(), Err(Failure::Retry { .. })));
    assert_eq!(commit().unwrap().rows, 1);
}

#[test]
fn a_zombie_is_fenced_and_its_rows_never_show() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let those: Vec<_> = (10..30).map(|it| Trade::new("BTCUSDT", it)).collect();
    let zombie = world.staged(0, &those);
    // Meanwhile the partition has gone to another worker, which has got less far.
    world.land(0, 10, 15, "c2").unwrap();
    fenced(
        world
            .committer()
            .commit(TABLE, &zombie, &[span(0, 10, 30)], "z"),
    );
    // What it wrote is still there: nothing may be deleted after the fact.
    assert!(
        world
            .lake
            .store
            .names()
            .iter()
            .filter(|it| it.ends_with(".parquet"))
            .count()
            == 3
    );
    world.land(0, 15, 30, "c3").unwrap();
    assert_eq!(world.trade_ids(), (0..30).collect::<Vec<_>>());
}

#[test]
fn connectors_on_one_table_keep_each_others_positions() {
    let one = World::guarded_by(GUARD, by_day_and_symbol());
    let two = one.sibling("other-lake");
    one.land(0, 0, 10, "c1").unwrap();
    let mut committer = one.committer();
    assert_eq!(committer.stored(&[]).unwrap().len(), 1);
    two.land(0, 1000, 1010, "c1").unwrap();
    // This committer has seen the table before the other's commit.
    let pieces = one.staged(0, &[Trade::new("BTCUSDT", 10)]);
    committer
        .commit(TABLE, &pieces, &[span(0, 10, 11)], "c2")
        .unwrap();
    two.land(0, 1010, 1020, "c2").unwrap();
    assert_eq!(one.positions(), BTreeMap::from([(0, 11)]));
    assert_eq!(two.positions(), BTreeMap::from([(0, 1020)]));
    assert_eq!(
        one.trade_ids(),
        (0..11).chain(1000..1020).collect::<Vec<_>>()
    );
}

/// A snapshot that knows nothing of this sink, as a compaction makes it.
fn foreign_snapshot(world: &World, id: i64) {
    let metadata = world.metadata();
    let last = metadata.current_snapshot().unwrap();
    world.foreign(&format!(
        r#"[{{"action":"add-snapshot","snapshot":{{"snapshot-id":{id},"parent-snapshot-id":{},
             "sequence-number":{},"timestamp-ms":{},"manifest-list":"{}",
             "summary":{{"operation":"replace"}},"schema-id":{}}}}},
            {{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":{id}}}]"#,
        last.snapshot_id(),
        metadata.next_sequence_number(),
        last.timestamp_ms() + 1,
        last.manifest_list(),
        metadata.current_schema_id(),
    ));
}

#[test]
fn a_foreign_snapshot_on_top_and_expiry_below_keep_the_positions() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let ours = world.metadata().current_snapshot_id().unwrap();
    foreign_snapshot(&world, 77);
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
    world.foreign(&format!(
        r#"[{{"action":"remove-snapshots","snapshot-ids":[{ours}]}}]"#
    ));
    assert_eq!(world.snapshots(), 1);
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
    // The commit that is only in the properties is known as done too.
    let pieces = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 10)], "c1")
        .unwrap();
    assert_eq!(world.trade_ids(), (0..10).collect::<Vec<_>>());
    world.land(0, 10, 20, "c2").unwrap();
    assert_eq!(world.trade_ids(), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_table_taken_back_takes_the_connector_back() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let first = world.metadata().current_snapshot_id().unwrap();
    world.land(0, 10, 20, "c2").unwrap();
    world.foreign(&format!(
        r#"[{{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":{first}}}]"#
    ));
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
    world.land(0, 10, 12, "c3").unwrap();
    assert_eq!(world.trade_ids(), (0..12).collect::<Vec<_>>());
}

#[test]
fn a_topic_made_again_stops_loudly() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let pieces = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
    let mut again = span(0, 0, 1);
    again.topic_id = "22222222-2222-4222-8222-222222222222".to_owned();
    match world.committer().commit(TABLE, &pieces, &[again], "c2") {
        Err(Failure::Misconfigured(why)) => {
            assert!(
                why.contains(TOPIC_ID) && why.contains("created again"),
                "{why}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.positions(), BTreeMap::from([(0, 10)]));
}

#[test]
fn pieces_of_other_versions_and_targets_are_refused() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    let pieces = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
    let mut newer = pieces.clone();
    newer[0].version += 1;
    let mut elsewhere = pieces.clone();
    elsewhere[0].target = "market.other".to_owned();
    let mut cut = pieces;
    cut[0].bytes.truncate(10);
    for pieces in [newer, elsewhere, cut] {
        let failure = world
            .committer()
            .commit(TABLE, &pieces, &[span(0, 0, 1)], "c")
            .unwrap_err();
        assert!(matches!(failure, Failure::Broken(_)), "{failure}");
    }
}

#[test]
fn a_table_the_host_remembers_is_asked_too() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let mut moved = world.sibling("trades-lake");
    moved.settings.table = "market.elsewhere".to_owned();
    let known = [TABLE.to_owned(), "market.dropped".to_owned()];
    let held = moved.committer().stored(&known).unwrap();
    let targets: Vec<_> = held.iter().map(|it| it.target.as_str()).collect();
    assert_eq!(targets, [TABLE]);
}

#[test]
fn a_table_taken_back_to_before_the_first_commit_begins_again_where_it_began() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    // Somebody else's snapshot is the oldest.
    let other = world.sibling("other-lake");
    other.land(0, 500, 510, "o1").unwrap();
    let before = world.metadata().current_snapshot_id().unwrap();
    world.land(0, 100, 110, "c1").unwrap();
    world.land(1, 7, 9, "c2").unwrap();
    world.land(0, 110, 120, "c3").unwrap();
    world.foreign(&format!(
        r#"[{{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":{before}}}]"#
    ));
    assert_eq!(world.positions(), BTreeMap::from([(0, 100), (1, 7)]));
    // Only from there may it go on.
    let pieces = world.staged(0, &[Trade::new("BTCUSDT", 120)]);
    fenced(
        world
            .committer()
            .commit(TABLE, &pieces, &[span(0, 120, 121)], "late"),
    );
    world.land(0, 100, 110, "c4").unwrap();
    assert_eq!(world.positions(), BTreeMap::from([(0, 110), (1, 7)]));
    assert_eq!(
        world.trade_ids(),
        (100..110).chain(500..510).collect::<Vec<_>>()
    );
    // A commit that was taken back is not done.
    world.land(1, 7, 9, "c2").unwrap();
    assert_eq!(world.positions(), BTreeMap::from([(0, 110), (1, 9)]));
}

#[test]
fn what_began_after_the_snapshot_that_a_table_is_taken_back_to_begins_again() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let first = world.metadata().current_snapshot_id().unwrap();
    world.land(1, 30, 40, "c2").unwrap();
    world.foreign(&format!(
        r#"[{{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":{first}}}]"#
    ));
    assert_eq!(world.positions(), BTreeMap::from([(0, 10), (1, 30)]));
}

#[test]
fn a_table_taken_back_to_where_nothing_is_known_any_more_stops() {
    let world = World::guarded_by(GUARD, by_day_and_symbol());
    world.land(0, 0, 10, "c1").unwrap();
    let ours = world.metadata().current_snapshot_id().unwrap();
    foreign_snapshot(&world, 77);
    world.land(0, 10, 20, "c2").unwrap();
    world.foreign(&format!(
        r#"[{{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":77}},
            {{"action":"remove-snapshots","snapshot-ids":[{ours}]}}]"#
    ));
    match world.committer().stored(&[TABLE.to_owned()]) {
        Err(Failure::Misconfigured(why)) => assert!(why.contains("taken back"), "{why}"),
        other => panic!("{other:?}"),
    }
}
