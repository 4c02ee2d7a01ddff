//! Partitions: which, how many, and what can't be.

use iceberg::spec::{Literal, PrimitiveLiteral};

use super::*;
use crate::files::OPEN_FILES_MAX;

fn refused_open(json: &str) -> String {
    match World::new(settings(json)).open(Role::Task(0)) {
        Err(Failure::Misconfigured(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

fn refused_put(world: &World) -> String {
    let batch = trades(world.schema, &[Trade::new("BTCUSDT", 0)]);
    match put(&mut world.task(), &span(0, 0, 1), &batch) {
        Err(Failure::Misconfigured(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_transform_never_opens() {
    let why = refused_open(r#"{"table":"market.trades","partition-by":["week(trade_time)"]}"#);
    assert!(
        why.contains("partition-by[0]") && why.contains("`week`"),
        "{why}"
    );
}

#[test]
fn an_unknown_column_or_unsuitable_transform_makes_no_table() {
    for (part, said) in [("day(time)", "`time`"), ("day(symbol)", "can't be applied")] {
        let json = format!(r#"{{"table":"market.trades","partition-by":["{part}"]}}"#);
        let world = World::new(settings(&json));
        let why = refused_put(&world);
        assert!(why.contains(said), "{why}");
        assert!(world.lake.catalog.table(TABLE).is_none());
    }
}

#[test]
fn a_table_that_is_partitioned_otherwise_is_left_alone() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 5, "c1").unwrap();
    let mut other = world.sibling("other");
    other.settings = settings(r#"{"table":"market.trades","partition-by":["symbol"]}"#);
    let why = refused_put(&other);
    assert!(
        why.contains("[symbol]") && why.contains("[day(trade_time), symbol]"),
        "{why}"
    );
    // Left out, the table decides.
    other.settings = settings(r#"{"table":"market.trades"}"#);
    other.land(0, 0, 5, "c1").unwrap();
    assert_eq!(world.files().len(), 2);
}

#[test]
fn every_transform_puts_rows_where_iceberg_looks_for_them() {
    for part in [
        "symbol",
        "year(trade_time)",
        "month(trade_time)",
        "day(trade_time)",
        "hour(trade_time)",
        "hour(event_time)",
        "bucket(7, symbol)",
        "bucket(7, trade_id)",
        "bucket(5, price)",
        "truncate(3, symbol)",
        "truncate(100, trade_id)",
        "is_buyer_maker",
        "trade_time",
    ] {
        let json = format!(r#"{{"table":"market.trades","partition-by":["{part}"]}}"#);
        let world = World::new(settings(&json));
        let those: Vec<_> = (0..300)
            .map(|id| {
                let mut trade = Trade::new(["BTCUSDT", "BTCEUR", "ETHUSDT"][id as usize % 3], id);
                trade.trade_time = MIDNIGHT - 150 * DAY / 100 + id * DAY / 100;
                trade
            })
            .collect();
        let pieces = world.staged(0, &those);
        world
            .committer()
            .commit(TABLE, &pieces, &[span(0, 0, 300)], "c1")
            .unwrap();
        assert_eq!(world.trade_ids(), (0..300).collect::<Vec<_>>(), "{part}");
        let files = world.files();
        let mut values: Vec<_> = files
            .iter()
            .map(|it| format!("{:?}", it.partition()))
            .collect();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), files.len(), "{part}: one file a partition");
        assert!(part == "trade_time" || files.len() < 300, "{part}");
    }
}

#[test]
fn bucket_is_icebergs_own() {
    // From the specification's test values: bucket of "iceberg" hashes to 1210000089.
    let world = World::new(settings(
        r#"{"table":"market.trades","partition-by":["bucket(100, symbol)"]}"#,
    ));
    let pieces = world.staged(0, &[Trade::new("iceberg", 0)]);
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 1)], "c1")
        .unwrap();
    assert_eq!(
        world.files()[0].partition().fields(),
        [Some(Literal::int(1_210_000_089 % 100))]
    );
}

#[test]
fn two_thousand_partitions_stay_within_bounds() {
    const PARTITIONS: i64 = 2000;
    const ROWS: i64 = 60_000;
    let world = World::new(by_day_and_symbol());
    let mut task = world.task();
    for first in (0..ROWS).step_by(1000) {
        let those: Vec<_> = (first..first + 1000)
            .map(|id| Trade::new(&format!("S{}", (id * 7919) % PARTITIONS), id))
            .collect();
        put(
            &mut task,
            &span(0, first, first + 1000),
            &trades(world.schema, &those),
        )
        .unwrap();
    }
    let pieces = task.stage().unwrap();
    assert!(
        pieces[0].bytes.len() < 8 * 1024 * 1024,
        "{}",
        pieces[0].bytes.len()
    );
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, ROWS)], "c1")
        .unwrap();
    assert!(
        world.lake.store.uploads_max() <= OPEN_FILES_MAX,
        "{}",
        world.lake.store.uploads_max()
    );
    assert_eq!(world.trade_ids(), (0..ROWS).collect::<Vec<_>>());
    let files = world.files();
    assert_eq!(files.len(), PARTITIONS as usize);
    for file in files {
        let Some(Literal::Primitive(PrimitiveLiteral::String(symbol))) = &file.partition()[1]
        else {
            panic!("{:?}", file.partition());
        };
        assert!(
            file.file_path().contains(&format!("/symbol={symbol}/")),
            "{}",
            file.file_path()
        );
    }
}

#[test]
fn a_partition_for_each_row_is_told_and_does_not_pile_up() {
    let world = World::new(settings(
        r#"{"table":"market.trades","partition-by":["trade_id"]}"#,
    ));
    let mut task = world.task();
    for first in (0..40_000).step_by(1000) {
        let those: Vec<_> = (first..first + 1000)
            .map(|id| Trade::new("BTCUSDT", id))
            .collect();
        let outcome = put(
            &mut task,
            &span(0, first, first + 1000),
            &trades(world.schema, &those),
        );
        if let Err(failure) = outcome {
            assert!(
                failure.to_string().contains("`partition-by` is too fine"),
                "{failure}"
            );
            assert!(matches!(failure, Failure::Misconfigured(_)));
            return;
        }
    }
    panic!("40,000 partitions were taken");
}

#[test]
fn a_piece_is_staged_before_it_is_too_large_to_hand_over() {
    let world = World::new(settings(
        r#"{"table":"market.trades","partition-by":["bucket(4000, trade_id)"]}"#,
    ));
    let mut task = world.task();
    for first in (0..40_000).step_by(1000) {
        let those: Vec<_> = (first..first + 1000)
            .map(|id| Trade::new("BTCUSDT", id))
            .collect();
        let batch = trades(world.schema, &those);
        let taken = put(&mut task, &span(0, first, first + 1000), &batch).unwrap();
        if taken.stage_now {
            let bytes = task.stage().unwrap()[0].bytes.len();
            assert!((1024 * 1024..16 * 1024 * 1024).contains(&bytes), "{bytes}");
            return;
        }
    }
    panic!("4000 files were not enough");
}
