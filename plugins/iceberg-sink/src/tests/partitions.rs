//! Partitions: which, how many, and what can't be.

use iceberg::spec::{Literal, PrimitiveLiteral};
use jackfield_sdk::sink::{Catalog, CatalogError, CatalogTable};

use super::*;

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
    const OPEN: usize = 4;
    let world = World::new(settings(&format!(
        r#"{{"table":"market.trades","partition-by":["day(trade_time)","symbol"],
            "open-files":{OPEN}}}"#
    )));
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
        world.lake.store.uploads_max() <= OPEN,
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
fn settings_bound_the_files_that_are_open_and_the_rows_that_wait() {
    const PARTITIONS: i64 = 50;
    const ROWS: i64 = 40_000;
    let land = |more: &str| {
        let world = World::new(settings(&format!(
            r#"{{"table":"market.trades","partition-by":["symbol"]{more}}}"#
        )));
        let mut task = world.task();
        for first in (0..ROWS).step_by(1000) {
            let those: Vec<_> = (first..first + 1000)
                .map(|id| Trade::new(&format!("S{}", id % PARTITIONS), id))
                .collect();
            let at = span(0, first, first + 1000);
            put(&mut task, &at, &trades(world.schema, &those)).unwrap();
        }
        let pieces = task.stage().unwrap();
        world
            .committer()
            .commit(TABLE, &pieces, &[span(0, 0, ROWS)], "c1")
            .unwrap();
        assert_eq!(world.trade_ids(), (0..ROWS).collect::<Vec<_>>(), "{more}");
        (world.files().len(), world.lake.store.uploads_max())
    };
    let (whole, _) = land("");
    assert_eq!(
        whole, PARTITIONS as usize,
        "all rows wait for their partition"
    );
    for open in [2, 8] {
        let (files, most) = land(&format!(r#","buffer":"1MiB","open-files":{open}"#));
        assert!(files > whole, "{files}");
        assert_eq!(most, open);
    }
}

/// Nobody heeds that it asks for a stage.
#[test]
fn a_partition_for_each_row_is_staged_before_it_is_too_much_for_one_stage() {
    let world = World::new(settings(
        r#"{"table":"market.trades","partition-by":["trade_id"]}"#,
    ));
    let mut task = world.task();
    task.set_clock(|| std::time::SystemTime::UNIX_EPOCH);
    for first in (0..40_000).step_by(1000) {
        let those: Vec<_> = (first..first + 1000)
            .map(|id| Trade::new("BTCUSDT", id))
            .collect();
        let at = span(0, first, first + 1000);
        let batch = trades(world.schema, &those);
        match put(&mut task, &at, &batch) {
            Ok(_) => continue,
            Err(Failure::Retry { after_ms: 0, .. }) => {}
            Err(failure) => panic!("{failure}"),
        }
        let pieces = task.stage().unwrap();
        assert!(pieces[0].bytes.len() < 16 * 1024 * 1024);
        let (rows, ..) = crate::piece::tally(TABLE, &pieces).unwrap();
        assert_eq!(
            rows,
            first.unsigned_abs(),
            "all that was taken, and no more"
        );
        put(&mut task, &at, &batch).unwrap();
        return;
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
            assert!((512 * 1024..16 * 1024 * 1024).contains(&bytes), "{bytes}");
            return;
        }
    }
    panic!("4000 files were not enough");
}

/// A catalog whose tables are partitioned in a way that nobody here knows.
struct Strange(Arc<dyn Catalog>);

impl Catalog for Strange {
    fn load(&self, ident: &str, known: Option<&str>) -> Result<Option<CatalogTable>, CatalogError> {
        let mut loaded = self.0.load(ident, known)?;
        if let Some(table) = &mut loaded {
            table.metadata = table.metadata.replace(r#""unknown""#, r#""zorder""#);
        }
        Ok(loaded)
    }

    fn create(&self, ident: &str, creation: &str) -> Result<CatalogTable, CatalogError> {
        self.0.create(ident, creation)
    }

    fn commit(&self, _: &str, _: &str, _: &str, _: &str) -> Result<CatalogTable, CatalogError> {
        unreachable!("tasks commit nothing")
    }
}

/// A table with one row, partitioned by others since.
fn repartitioned(fields: &str) -> World {
    let world = World::new(settings(r#"{"table":"market.trades"}"#));
    world.land(0, 0, 1, "c1").unwrap();
    world.foreign(&format!(
        r#"[{{"action":"add-spec","spec":{{"spec-id":1,"fields":[{fields}]}}}},
            {{"action":"set-default-spec","spec-id":-1}}]"#
    ));
    world
}

#[test]
fn a_spec_that_nobody_knows_is_refused_before_a_row_is_taken() {
    let world =
        repartitioned(r#"{"source-id":1,"field-id":1001,"name":"symbol_z","transform":"unknown"}"#);
    let why = refused_put(&world);
    assert!(
        why.contains("partitioned") && why.contains("schema 1 of binance.spot.trade"),
        "{why}"
    );
    let mut ports = world.lake.ports();
    ports.catalog = Arc::new(Strange(ports.catalog));
    let mut task = world.open_with(ports, Role::Task(0)).unwrap();
    let batch = trades(world.schema, &[Trade::new("BTCUSDT", 1)]);
    match put(&mut task, &span(0, 1, 2), &batch) {
        Err(Failure::Misconfigured(why)) => assert!(why.contains("zorder"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(task.stage().unwrap(), vec![]);
}

#[test]
fn specs_of_others_are_kept() {
    const VOID: &str = r#"{"source-id":1,"field-id":1000,"name":"symbol_gone","transform":"void"}"#;
    let day = r#"{"source-id":5,"field-id":1001,"name":"the_day","transform":"day"}"#;
    for (fields, files) in [(VOID.to_owned(), 1), (format!("{VOID},{day}"), 2)] {
        let world = repartitioned(&fields);
        let mut those: Vec<_> = (1..5).map(|id| Trade::new("BTCUSDT", id)).collect();
        those[3].trade_time += DAY;
        let pieces = world.staged(0, &those);
        world
            .committer()
            .commit(TABLE, &pieces, &[span(0, 1, 5)], "c2")
            .unwrap();
        assert_eq!(world.trade_ids(), [0, 1, 2, 3, 4], "{fields}");
        let all = world.files();
        let ours: Vec<_> = all.iter().map(DataFile::partition).collect();
        let ours: Vec<_> = ours.iter().filter(|it| !it.fields().is_empty()).collect();
        assert_eq!(ours.len(), files, "{fields}");
        assert!(ours.iter().all(|it| it[0].is_none()), "{ours:?}");
    }
}

#[test]
fn a_field_of_a_record_partitions_too() {
    let text = r#"{"type":"record","name":"R","fields":[
        {"name":"id","type":"int"},
        {"name":"s","type":{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}}]}"#;
    let world = World::new(settings(r#"{"table":"market.trades"}"#));
    let schema = world.lake.schemas.avro(text);
    // Zigzag: two ints, each below 64, are two bytes.
    let batch = |at: i64| batch_of(schema, &[(at, Some(vec![2, 2 * at as u8]))]);
    let mut task = world.task();
    put(&mut task, &span(0, 0, 1), &batch(0)).unwrap();
    task.discard();
    let nested = world.metadata();
    let nested = nested.current_schema().field_by_name("s.x").unwrap().id;
    world.foreign(&format!(
        r#"[{{"action":"add-spec","spec":{{"spec-id":1,"fields":[
             {{"source-id":{nested},"field-id":1000,"name":"by_x","transform":"identity"}}]}}}},
            {{"action":"set-default-spec","spec-id":-1}}]"#
    ));
    for at in 0..3 {
        put(&mut task, &span(0, at, at + 1), &batch(at)).unwrap();
    }
    let pieces = task.stage().unwrap();
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 3)], "c1")
        .unwrap();
    let mut values: Vec<_> = world
        .files()
        .iter()
        .map(|it| it.partition()[0].clone())
        .collect();
    values.sort_by_key(|it| format!("{it:?}"));
    assert_eq!(values, [0, 1, 2].map(|it| Some(Literal::int(it))));
}
