//! Many tables of one connector.

mod failing_catalog;
mod failing_store;
mod room;

use super::*;

fn world(table: &str, more: &str) -> World {
    World::new(settings(&format!(r#"{{"table":"{table}"{more}}}"#)))
}

fn mixed(from: i64, to: i64, symbols: &[&str]) -> Vec<Trade> {
    (from..to)
        .map(|id| Trade::new(symbols[usize::try_from(id).unwrap() % symbols.len()], id))
        .collect()
}

/// Commits what was staged, each target by itself.
fn commit(world: &World, pieces: Vec<Piece>, spans: &[Span], id: &str) -> BTreeMap<String, u64> {
    let mut targets: BTreeMap<String, Vec<Piece>> = BTreeMap::new();
    for piece in pieces {
        targets.entry(piece.target.clone()).or_default().push(piece);
    }
    let mut committer = world.committer();
    targets
        .into_iter()
        .map(|(target, pieces)| {
            let done = committer.commit(&target, &pieces, spans, id).unwrap();
            (target, done.rows)
        })
        .collect()
}

#[test]
fn each_value_of_a_field_has_a_table_of_its_own() {
    let world = world("market.{symbol}", r#","partition-by":["day(trade_time)"]"#);
    let mut task = world.task();
    let symbols = ["BTCUSDT", "ETHUSDT", "A-1"];
    let batch = trades(world.schema, &mixed(0, 30, &symbols));
    let taken = put(&mut task, &span(0, 0, 30), &batch).unwrap();
    assert_eq!(taken.counts.records, 30);
    let rows = commit(&world, task.stage().unwrap(), &[span(0, 0, 30)], "c1");
    let expected = symbols.map(|it| (format!("market.{it}"), 10));
    assert_eq!(rows, BTreeMap::from(expected));
    let held = world
        .committer()
        .stored(&symbols.map(|it| format!("market.{it}")));
    assert_eq!(held.unwrap().len(), 3, "each fences its own positions");
}

#[test]
fn each_table_drops_what_it_holds() {
    let world = world("market.{symbol}", "");
    let mut task = world.task();
    let batch = trades(world.schema, &mixed(0, 10, &["A", "B"]));
    put(&mut task, &span(0, 0, 10), &batch).unwrap();
    let pieces = task.stage().unwrap();
    // Only one of the two gets there before the process dies.
    let a: Vec<_> = pieces
        .into_iter()
        .filter(|it| it.target == "market.A")
        .collect();
    commit(&world, a, &[span(0, 0, 10)], "c1");
    let held = world
        .committer()
        .stored(&["market.A".to_owned(), "market.B".to_owned()])
        .unwrap();
    let mut task = world.task();
    task.assigned(held).unwrap();
    let taken = put(&mut task, &span(0, 0, 10), &batch).unwrap();
    assert_eq!((taken.counts.records, taken.counts.duplicates), (5, 5));
    let rows = commit(&world, task.stage().unwrap(), &[span(0, 0, 10)], "c2");
    assert_eq!(rows, BTreeMap::from([("market.B".to_owned(), 5)]));
}

#[test]
fn a_topic_can_name_its_table() {
    let world = world("lake.{topic}", "");
    let mut task = world.task();
    let batch = trades(world.schema, &mixed(0, 3, &["A"]));
    put(&mut task, &span(0, 0, 3), &batch).unwrap();
    let rows = commit(&world, task.stage().unwrap(), &[span(0, 0, 3)], "c1");
    assert_eq!(rows, BTreeMap::from([(format!("lake.{TOPIC}"), 3)]));
}

#[test]
fn a_value_that_names_no_table_is_a_bad_record() {
    let world = world("market.{symbol}", "");
    let mut task = world.task();
    let batch = trades(
        world.schema,
        &[Trade::new("A", 0), Trade::new("a.b", 1), Trade::new("", 2)],
    );
    let told = put(&mut task, &span(0, 0, 3), &batch);
    let Err(Failure::Rejected(those)) = told else {
        panic!("{told:?}")
    };
    let indices: Vec<_> = those.iter().map(|it| it.index).collect();
    assert_eq!(indices, [1, 2]);
    let left = trades(world.schema, &[Trade::new("A", 0)]);
    put(&mut task, &span(0, 0, 3), &left).unwrap();
    let rows = commit(&world, task.stage().unwrap(), &[span(0, 0, 3)], "c1");
    assert_eq!(rows, BTreeMap::from([("market.A".to_owned(), 1)]));
}

#[test]
fn more_tables_than_allowed_stop_and_say_which() {
    let world = world("market.{symbol}", r#","tables-max":2"#);
    let mut task = world.task();
    let batch = trades(world.schema, &mixed(0, 3, &["A", "B", "C"]));
    match put(&mut task, &span(0, 0, 3), &batch) {
        Err(Failure::Misconfigured(why)) => {
            assert!(
                why.contains("market.C") && why.contains("tables-max"),
                "{why}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// A table that can't be had fails by itself: its commit says why, and the other has its rows.
#[test]
fn a_table_that_can_not_be_written_for_fails_alone() {
    let world = world("market.{symbol}", r#","create":false"#);
    let there = World {
        settings: settings(r#"{"table":"market.A"}"#),
        ..world.sibling("someone")
    };
    let mut maker = there.task();
    let first = trades(world.schema, &[Trade::new("A", 0)]);
    put(&mut maker, &span(9, 0, 1), &first).unwrap();
    let mut task = world.task();
    let batch = trades(world.schema, &mixed(0, 10, &["A", "B"]));
    let taken = put(&mut task, &span(0, 0, 10), &batch).unwrap();
    assert_eq!(taken.counts.records, 5);
    let (a, b): (Vec<_>, Vec<_>) = task
        .stage()
        .unwrap()
        .into_iter()
        .partition(|it| it.target == "market.A");
    let rows = commit(&world, a, &[span(0, 0, 10)], "c1");
    assert_eq!(rows, BTreeMap::from([("market.A".to_owned(), 5)]));
    let told = world
        .committer()
        .commit("market.B", &b, &[span(0, 0, 10)], "c1");
    match told {
        Err(Failure::Misconfigured(why)) => {
            assert!(why.contains("market.B does not exist"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    // The host says so: its records are dropped until someone has mended it.
    let everything = span(0, 0, i64::MAX);
    let failed = Holding {
        target: "market.B".to_owned(),
        positions: vec![jackfield_sdk::sink::LogPosition {
            topic: everything.topic,
            topic_id: everything.topic_id,
            partition: 0,
            next_offset: i64::MAX,
        }],
    };
    task.discard();
    task.assigned(vec![failed]).unwrap();
    let batch = trades(world.schema, &mixed(10, 20, &["A", "B"]));
    let taken = put(&mut task, &span(0, 10, 20), &batch).unwrap();
    assert_eq!((taken.counts.records, taken.counts.duplicates), (5, 5));
    let pieces = task.stage().unwrap();
    assert!(pieces.iter().all(|it| it.target == "market.A"));
}

fn by_target(pieces: Vec<Piece>, target: &str) -> (Vec<Piece>, Vec<Piece>) {
    pieces.into_iter().partition(|it| it.target == target)
}

#[test]
fn a_topic_whose_schema_nobody_can_use_stops_its_own_table() {
    const BAD: &str = r#"{"type":"record","name":"R","fields":[
        {"name":"x","type":["int","string"]}]}"#;
    let world = world("lake.{topic}", "");
    let bad = world.lake.schemas.avro(BAD);
    let there = Span {
        topic: "orders".to_owned(),
        topic_id: "22222222-2222-4222-8222-222222222222".to_owned(),
        ..span(0, 0, 1)
    };
    let mut task = world.task();
    let records = batch_of(bad, &[(0, Some(vec![0, 0]))]);
    let taken = put(&mut task, &there, &records).unwrap();
    assert_eq!(taken.counts.records, 0);
    let good = trades(world.schema, &[Trade::new("A", 0)]);
    put(&mut task, &span(0, 0, 1), &good).unwrap();
    let (bad_ones, good_ones) = by_target(task.stage().unwrap(), "lake.orders");
    let rows = commit(&world, good_ones, &[span(0, 0, 1)], "c1");
    assert_eq!(rows, BTreeMap::from([(format!("lake.{TOPIC}"), 1)]));
    let spans = [there.clone()];
    match world
        .committer()
        .commit("lake.orders", &bad_ones, &spans, "c1")
    {
        Err(Failure::Misconfigured(why)) => assert!(why.contains("orders"), "{why}"),
        other => panic!("{other:?}"),
    }
    // Where a field has a part in it, nobody knows which tables' records they are.
    for table in ["lake.{topic}_{x}", "lake.orders"] {
        let world = World {
            settings: settings(&format!(r#"{{"table":"{table}"}}"#)),
            ..world.sibling("other")
        };
        let told = put(&mut world.task(), &there, &records);
        assert!(matches!(told, Err(Failure::Misconfigured(_))), "{told:?}");
    }
}

#[test]
fn each_topic_has_a_table_of_its_own_schema() {
    let world = world("lake.{topic}", "");
    let orders = r#"{"type":"record","name":"Order","fields":[{"name":"number","type":"long"}]}"#;
    let schema = world.lake.schemas.avro(orders);
    let there = |first_offset, next_offset| Span {
        topic: "orders".to_owned(),
        topic_id: "22222222-2222-4222-8222-222222222222".to_owned(),
        ..span(0, first_offset, next_offset)
    };
    let order = |at: i64| {
        (
            at,
            Some(datum(
                orders,
                Value::Record(vec![("number".to_owned(), Value::Long(at))]),
            )),
        )
    };
    let mut task = world.task();
    // In turn, at the same offsets.
    for at in 0..4 {
        let trade = trades(world.schema, &[Trade::new("A", at)]);
        put(&mut task, &span(0, at, at + 1), &trade).unwrap();
        put(
            &mut task,
            &there(at, at + 1),
            &batch_of(schema, &[order(at)]),
        )
        .unwrap();
    }
    let spans = [span(0, 0, 4), there(0, 4)];
    let rows = commit(&world, task.stage().unwrap(), &spans, "c1");
    let trades_table = format!("lake.{TOPIC}");
    let expected = [(trades_table.clone(), 4), ("lake.orders".to_owned(), 4)];
    assert_eq!(rows, BTreeMap::from(expected));
    for (table, columns) in [(trades_table.as_str(), 8), ("lake.orders", 1)] {
        let rows = world.rows_of(table);
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
        assert!(rows.iter().all(|it| it.num_columns() == columns), "{table}");
    }
}

/// With more tables than files may be open none has one open. All the same a table with many rows
/// gets few files: its rows wait.
#[test]
fn many_tables_share_what_one_may_hold() {
    const ROWS: i64 = 30_000;
    let symbols: Vec<_> = (0..40).map(|n| format!("S{n}")).collect();
    let symbols: Vec<_> = symbols.iter().map(String::as_str).collect();
    let world = world("market.{symbol}", r#","buffer":"1GiB""#);
    let mut task = world.task();
    for round in 0..20_i64 {
        let batch = trades(world.schema, &mixed(round * 30, round * 30 + 30, &symbols));
        put(&mut task, &span(0, round * 30, round * 30 + 30), &batch).unwrap();
    }
    for first in (600..600 + ROWS).step_by(1000) {
        let batch = trades(world.schema, &mixed(first, first + 1000, &["S0"]));
        put(&mut task, &span(0, first, first + 1000), &batch).unwrap();
    }
    let pieces = task.stage().unwrap();
    for symbol in &symbols {
        let table = format!("market.{symbol}");
        let (own, _) = by_target(pieces.clone(), &table);
        let (_, files, _) = crate::piece::tally(&table, &own).unwrap();
        assert_eq!(files, 1, "{table}");
    }
    let rows = commit(&world, pieces, &[span(0, 0, 600 + ROWS)], "c1");
    let most = world.lake.store.uploads_max();
    assert!(
        most <= crate::settings::OPEN_FILES_DEFAULT as usize,
        "{most} files were open"
    );
    assert_eq!(rows.len(), 40);
    assert_eq!(rows.values().sum::<u64>(), 600 + ROWS.unsigned_abs());
}

#[test]
fn a_field_that_can_not_name_a_table_is_for_a_person_to_mend() {
    for field in ["venue", "price"] {
        let world = world(&format!("market.{{{field}}}"), "");
        let batch = trades(world.schema, &mixed(0, 1, &["A"]));
        match put(&mut world.task(), &span(0, 0, 1), &batch) {
            Err(Failure::Misconfigured(why)) => assert!(why.contains(field), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let upsert = settings(r#"{"table":"a.b","mode":"upsert"}"#);
    let told = World::new(upsert).open(Role::Committer).unwrap_err();
    assert!(told.to_string().contains("append"), "{told}");
}
