//! Tables that come and go: who makes room, and what is left of it.

use jackfield_sdk::sink::LogPosition;

use super::*;
use crate::files::CLOSED_PER_PUT_MAX;

fn mixed_into(world: &World, task: &mut IcebergSink, first: i64, next: i64, symbols: &[&str]) {
    let batch = trades(world.schema, &mixed(first, next, symbols));
    put(task, &span(0, first, next), &batch).unwrap();
}

#[test]
fn tables_without_rows_make_room_for_those_that_come() {
    let world = world("market.{symbol}", r#","tables-max":2"#);
    let mut task = world.task();
    let at = span(0, 0, 5);
    let held = Holding {
        target: "market.A".to_owned(),
        positions: vec![LogPosition {
            topic: at.topic,
            topic_id: at.topic_id,
            partition: at.partition,
            next_offset: at.next_offset,
        }],
    };
    task.assigned(vec![held]).unwrap();
    let days = [["A", "B"], ["C", "D"], ["A", "C"], ["A", "E"], ["F", "A"]];
    for (first, symbols) in (10..).step_by(2).zip(days) {
        mixed_into(&world, &mut task, first, first + 2, &symbols);
        let pieces = task.stage().unwrap();
        let mut targets: Vec<_> = pieces.iter().map(|it| it.target.clone()).collect();
        targets.sort();
        let mut expected = symbols.map(|it| format!("market.{it}"));
        expected.sort();
        assert_eq!(targets, expected);
    }
    // What it holds was not forgotten with it.
    mixed_into(&world, &mut task, 30, 32, &["C", "D"]);
    task.stage().unwrap();
    let batch = trades(world.schema, &[Trade::new("A", 3), Trade::new("A", 33)]);
    let taken = put(&mut task, &span(0, 3, 34), &batch).unwrap();
    assert_eq!((taken.counts.records, taken.counts.duplicates), (1, 1));
    // Those with rows make none.
    let batch = trades(world.schema, &mixed(34, 36, &["B", "C"]));
    match put(&mut task, &span(0, 34, 36), &batch) {
        Err(Failure::Retry { reason, .. }) => assert!(reason.contains("market.C"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

/// With a slow catalog an interval gets long, and brings records of more tables than it was meant
/// to: nothing of that is for a person to mend.
#[test]
fn a_table_too_many_waits_for_a_stage_and_only_a_batch_of_too_many_stops() {
    let world = world("market.{symbol}", r#","tables-max":2"#);
    let mut task = world.task();
    mixed_into(&world, &mut task, 0, 4, &["A", "B"]);
    let batch = trades(world.schema, &mixed(4, 6, &["B", "C"]));
    for _ in 0..3 {
        let told = put(&mut task, &span(0, 4, 6), &batch);
        assert!(asks_for_a_stage(&told), "{told:?}");
    }
    let staged = task.stage().unwrap();
    let rows = commit(&world, staged, &[span(0, 0, 4)], "c1");
    assert_eq!(
        rows.values().sum::<u64>(),
        4,
        "nothing of the batch was taken"
    );
    let taken = put(&mut task, &span(0, 4, 6), &batch).unwrap();
    assert_eq!(taken.counts.records, 2);

    let batch = trades(world.schema, &mixed(6, 9, &["D", "E", "F"]));
    let told = put(&mut task, &span(0, 6, 9), &batch);
    assert!(matches!(told, Err(Failure::Retry { .. })), "{told:?}");
    let staged = task.stage().unwrap();
    let rows = commit(&world, staged, &[span(0, 4, 6)], "c2");
    assert_eq!(rows.values().sum::<u64>(), 2);
    match put(&mut task, &span(0, 6, 9), &batch) {
        Err(Failure::Misconfigured(why)) => assert!(why.contains("tables-max"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// One is opened again before the catalog has the schema that its rows were written with.
#[test]
fn a_table_that_made_room_before_its_schema_was_committed_gets_that_once() {
    let more = TRADE.replace("}}]}", r#"}},{"name":"venue","type":"string"}]}"#);
    assert_ne!(more, TRADE);
    let world = world("market.{symbol}", r#","tables-max":1,"evolve":"add""#);
    let schema = world.lake.schemas.avro(&more);
    let mut task = world.task();
    mixed_into(&world, &mut task, 0, 1, &["A"]);
    let pieces = task.stage().unwrap();
    commit(&world, pieces, &[span(0, 0, 1)], "c1");

    let mut staged = |at: i64, symbol: &str| {
        let mut datum = Trade::new(symbol, at).datum();
        // A text of one letter.
        datum.extend([2, b'x']);
        let batch = batch_of(schema, &[(at, Some(datum))]);
        put(&mut task, &span(0, at, at + 1), &batch).unwrap();
        task.stage().unwrap()
    };
    let (before, _, after) = (staged(1, "A"), staged(2, "B"), staged(3, "A"));
    commit(&world, before, &[span(0, 1, 2)], "c2");
    commit(&world, after, &[span(0, 2, 4)], "c3");
    let rows = world.rows_of("market.A");
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    assert!(rows.iter().all(|it| it.num_columns() == 9), "{rows:?}");
}

/// One that had no rows for an interval leaves its share to the other; that gives it back when the
/// first has rows again, though it gets none itself by then.
#[test]
fn tables_share_with_those_that_have_rows() {
    const OPEN: usize = 4;
    /// So many are no longer gathered, but written.
    const ROWS: i64 = 33_000;
    let more = format!(r#","partition-by":["bucket({OPEN}, trade_id)"],"open-files":{OPEN}"#);
    let world = world("market.{symbol}", &more);
    let mut task = world.task();
    mixed_into(&world, &mut task, 0, 2, &["A", "B"]);
    task.stage().unwrap();
    mixed_into(&world, &mut task, 2, 3, &["A"]);
    task.stage().unwrap();
    for (begin, symbol) in [(3, "A"), (3 + ROWS, "B")] {
        for first in (begin..begin + ROWS).step_by(1000) {
            mixed_into(&world, &mut task, first, first + 1000, &[symbol]);
        }
        assert_eq!(world.lake.store.uploads_max(), OPEN, "{symbol}");
    }
    let pieces = task.stage().unwrap();
    for table in ["market.A", "market.B"] {
        let (own, _) = by_target(pieces.clone(), table);
        let (rows, ..) = crate::piece::tally(table, &own).unwrap();
        assert_eq!(rows, ROWS.unsigned_abs(), "{table}");
    }
}

/// Tables come to one that has all files open: what it must give back is closed over many calls.
#[test]
fn files_beyond_a_tables_share_are_closed_few_at_a_time() {
    const OPEN: usize = 8;
    /// As many as have a file of each partition opened.
    const ROWS: i64 = 66_000;
    let more = format!(r#","partition-by":["bucket({OPEN}, trade_id)"],"open-files":{OPEN}"#);
    let world = world("market.{symbol}", &more);
    let mut task = world.task();
    for first in (0..ROWS).step_by(1000) {
        mixed_into(&world, &mut task, first, first + 1000, &["A"]);
    }
    let closed = || {
        let names = world.lake.store.names().into_iter();
        let files = names.filter(|it| it.contains("/market/A/") && it.ends_with(".parquet"));
        files.count()
    };
    assert_eq!((world.lake.store.uploads_max(), closed()), (OPEN, 0));
    // With so many tables none may have a file open.
    let others: Vec<_> = (0..OPEN).map(|n| format!("B{n}")).collect();
    let others: Vec<_> = others.iter().map(String::as_str).collect();
    let (mut next, mut before) = (ROWS, 0);
    while before < OPEN {
        let first = next;
        next += 8;
        mixed_into(&world, &mut task, first, next, &others);
        let now = closed();
        let range = before + 1..=before + CLOSED_PER_PUT_MAX;
        assert!(range.contains(&now), "{before}, then {now}");
        before = now;
    }
    assert_eq!(world.lake.store.uploads_max(), OPEN);
    let rows = commit(&world, task.stage().unwrap(), &[span(0, 0, next)], "c1");
    assert_eq!(rows.values().sum::<u64>(), next.unsigned_abs());
}
