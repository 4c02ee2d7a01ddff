//! Tables that come, go and change while the sink runs.

use std::collections::BTreeSet;
use std::sync::Mutex;

use bytes::Bytes;
use jackfield_sdk::sink::{Catalog, CatalogError, CatalogTable, StoreError};
use parquet::basic::Compression;
use parquet::column::page::Page;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;

fn one(world: &World) -> Vec<u8> {
    trades(world.schema, &[Trade::new("BTCUSDT", 0)])
}

fn misconfigured<R: std::fmt::Debug>(outcome: Result<R, Failure>) -> String {
    match outcome {
        Err(Failure::Misconfigured(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A catalog in which the table appears just after it was found missing.
struct Raced {
    inner: Arc<dyn Catalog>,
    missing: Mutex<u32>,
}

impl Catalog for Raced {
    fn load(&self, ident: &str, known: Option<&str>) -> Result<Option<CatalogTable>, CatalogError> {
        let mut missing = self.missing.lock().unwrap();
        if *missing > 0 {
            *missing -= 1;
            return Err(CatalogError::Missing);
        }
        self.inner.load(ident, known)
    }

    fn create(&self, ident: &str, creation: &str) -> Result<CatalogTable, CatalogError> {
        self.inner.create(ident, creation)
    }

    fn commit(&self, _: &str, _: &str, _: &str, _: &str) -> Result<CatalogTable, CatalogError> {
        unreachable!("tasks commit nothing")
    }
}

#[test]
fn two_tasks_that_create_one_table_share_it() {
    let world = World::new(by_day_and_symbol());
    let first = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
    let mut ports = world.lake.ports();
    ports.catalog = Arc::new(Raced {
        inner: ports.catalog,
        missing: Mutex::new(1),
    });
    let mut second = world.open_with(ports, Role::Task(1)).unwrap();
    put(&mut second, &span(1, 0, 1), &one(&world)).unwrap();
    let mut pieces = second.stage().unwrap();
    pieces.extend(first);
    let spans = [span(0, 0, 1), span(1, 0, 1)];
    let committed = world
        .committer()
        .commit(TABLE, &pieces, &spans, "c1")
        .unwrap();
    assert_eq!((committed.rows, committed.files), (2, 2));
    assert_eq!(world.snapshots(), 1);
}

#[test]
fn no_table_is_made_where_none_is_wanted() {
    let world = World::new(settings(r#"{"table":"market.trades","create":false}"#));
    let why = misconfigured(put(&mut world.task(), &span(0, 0, 1), &one(&world)));
    assert!(why.contains("does not exist"), "{why}");
}

#[test]
fn a_table_that_was_dropped_is_not_committed_to() {
    let world = World::new(by_day_and_symbol());
    let pieces = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
    world.lake.catalog.drop_table(TABLE);
    misconfigured(
        world
            .committer()
            .commit(TABLE, &pieces, &[span(0, 0, 1)], "c1"),
    );

    // Made again, it is another: the files belong to the old one.
    let _ = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
    let failure = world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 1)], "c1")
        .unwrap_err();
    assert!(matches!(failure, Failure::Rewind(_)), "{failure}");
}

#[test]
fn a_spec_that_changed_in_between_rewinds_and_then_goes_on() {
    let mut world = World::new(by_day_and_symbol());
    world.settings = settings(r#"{"table":"market.trades"}"#);
    world.land(0, 0, 5, "c1").unwrap();
    let mut task = world.task();
    let batch = trades(world.schema, &[Trade::new("BTCUSDT", 5)]);
    put(&mut task, &span(0, 5, 6), &batch).unwrap();
    let pieces = task.stage().unwrap();
    world.foreign(
        r#"[{"action":"add-spec","spec":{"spec-id":1,"fields":[
             {"source-id":1,"field-id":1001,"name":"symbol","transform":"identity"}]}},
            {"action":"set-default-spec","spec-id":-1}]"#,
    );
    let failure = world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 5, 6)], "c2")
        .unwrap_err();
    assert!(matches!(failure, Failure::Rewind(_)), "{failure}");
    task.discard();
    put(&mut task, &span(0, 5, 6), &batch).unwrap();
    let pieces = task.stage().unwrap();
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 5, 6)], "c3")
        .unwrap();
    assert_eq!(world.trade_ids(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(world.metadata().default_partition_spec_id(), 1);
}

#[test]
fn a_schema_that_lost_an_optional_column_goes_on_with_nulls() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 3, "c1").unwrap();
    let lesser = TRADE.replace(
        r#"{"name":"event_time","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},"#,
        "",
    );
    assert_ne!(lesser, TRADE);
    let schema = world.lake.schemas.avro(&lesser);
    let number = || Value::Decimal(vec![1].into());
    let fields = [
        ("symbol", Value::String("BTCUSDT".to_owned())),
        ("trade_id", Value::Long(3)),
        ("price", number()),
        ("quantity", number()),
        ("trade_time", Value::TimestampMicros(MIDNIGHT)),
        ("is_buyer_maker", Value::Boolean(true)),
        ("received_at", Value::TimestampMicros(MIDNIGHT)),
    ];
    let fields = fields
        .into_iter()
        .map(|(name, it)| (name.to_owned(), it))
        .collect();
    let datum = datum(&lesser, Value::Record(fields));
    let mut task = world.task();
    put(
        &mut task,
        &span(0, 3, 4),
        &batch_of(schema, &[(3, Some(datum))]),
    )
    .unwrap();
    let pieces = task.stage().unwrap();
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 3, 4)], "c2")
        .unwrap();
    assert_eq!(world.trade_ids(), [0, 1, 2, 3]);
    let nulls: usize = world
        .rows()
        .iter()
        .map(|rows| arrow_array::Array::null_count(rows.column_by_name("event_time").unwrap()))
        .sum();
    assert_eq!(nulls, 2, "trade 0 has none either");
}

#[test]
fn a_schema_with_more_columns_than_the_table_stops_and_says_which() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 3, "c1").unwrap();
    let more = TRADE.replace(
        r#"{"name":"is_buyer_maker""#,
        r#"{"name":"venue","type":"string"},{"name":"is_buyer_maker""#,
    );
    let schema = world.lake.schemas.avro(&more);
    let mut task = world.task();
    let batch = batch_of(schema, &[(3, Some(Vec::new()))]);
    let why = misconfigured(put(&mut task, &span(0, 3, 4), &batch));
    assert!(why.contains("`venue` (string) has no column"), "{why}");
}

#[test]
fn a_store_that_fails_loses_only_what_is_read_again() {
    let world = World::new(by_day_and_symbol());
    let mut task = world.task();
    put(&mut task, &span(0, 0, 1), &one(&world)).unwrap();
    world
        .lake
        .faults
        .store(".parquet", StoreError::Transient("slow down".to_owned()));
    let failure = task.stage().unwrap_err();
    assert!(matches!(failure, Failure::Rewind(_)), "{failure}");
    // As after any rewind: from what is stored.
    task.discard();
    put(&mut task, &span(0, 0, 1), &one(&world)).unwrap();
    let pieces = task.stage().unwrap();

    for part in ["-m0.avro", "snap-"] {
        world
            .lake
            .faults
            .store(part, StoreError::Transient("slow down".to_owned()));
        let failure = world
            .committer()
            .commit(TABLE, &pieces, &[span(0, 0, 1)], "c1")
            .unwrap_err();
        assert!(matches!(failure, Failure::Retry { .. }), "{failure}");
    }
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 1)], "c1")
        .unwrap();
    assert_eq!(world.trade_ids(), [0]);
}

#[test]
fn what_is_not_granted_is_for_a_person_to_mend() {
    let world = World::new(by_day_and_symbol());
    let mut task = world.task();
    put(&mut task, &span(0, 0, 1), &one(&world)).unwrap();
    world
        .lake
        .faults
        .store(".parquet", StoreError::Denied("outside".to_owned()));
    misconfigured(task.stage());
}

#[test]
fn what_was_discarded_is_never_staged() {
    let world = World::new(by_day_and_symbol());
    let mut task = world.task();
    put(&mut task, &span(0, 0, 1), &one(&world)).unwrap();
    task.discard();
    assert_eq!(task.stage().unwrap(), vec![]);
}

#[test]
fn each_role_refuses_the_others_calls() {
    let world = World::new(by_day_and_symbol());
    assert!(matches!(world.task().stored(&[]), Err(Failure::Broken(_))));
    assert!(matches!(
        world.task().commit(TABLE, &[], &[], "c"),
        Err(Failure::Broken(_))
    ));
    assert!(matches!(world.committer().stage(), Err(Failure::Broken(_))));
    assert!(matches!(
        put(&mut world.committer(), &span(0, 0, 1), &one(&world)),
        Err(Failure::Broken(_))
    ));
}

#[test]
fn a_new_table_has_the_order_and_the_properties_that_were_asked_for() {
    let world = World::new(settings(
        r#"{"table":"market.trades","partition-by":["day(trade_time)"],
            "sort-by":["symbol desc","trade_id"],
            "properties":{"write.parquet.compression-codec":"gzip","owner":"me",
                "write.parquet.bloom-filter-enabled.column.symbol":"true",
                "write.metadata.metrics.column.price":"none"}}"#,
    ));
    let those: Vec<_> = (0..40)
        .map(|id| Trade::new(["BTCUSDT", "ETHUSDT", "A"][(id % 3) as usize], id))
        .collect();
    let batch = trades(world.schema, &those);
    let mut task = world.task();
    put(&mut task, &span(0, 0, 40), &batch).unwrap();
    let pieces = task.stage().unwrap();
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 40)], "c1")
        .unwrap();
    let metadata = world.metadata();
    assert_eq!(metadata.properties()["owner"], "me");
    let order = metadata.default_sort_order();
    assert_eq!((order.order_id, order.fields.len()), (1, 2));
    let files = world.files();
    let [file] = files.as_slice() else {
        panic!("{files:?}")
    };
    assert_eq!(file.sort_order_id(), Some(1));
    let schema = metadata.current_schema();
    let id = |name: &str| schema.field_by_name(name).unwrap().id;
    assert!(!file.value_counts().contains_key(&id("price")));
    assert!(!file.lower_bounds().contains_key(&id("price")));
    assert!(file.lower_bounds().contains_key(&id("trade_id")));
    let rows = world.rows();
    let mut expected = those.clone();
    expected.sort_by(|a, b| (&b.symbol, a.trade_id).cmp(&(&a.symbol, b.trade_id)));
    let ids: Vec<i64> = rows
        .iter()
        .flat_map(|it| {
            let ids = it.column_by_name("trade_id").unwrap();
            let ids = ids.as_any().downcast_ref::<arrow_array::Int64Array>();
            ids.unwrap().values().to_vec()
        })
        .collect();
    let wanted: Vec<_> = expected.iter().map(|it| it.trade_id).collect();
    assert_eq!(ids, wanted, "in the file's own order");
}

/// The only data file of trades `0..rows`, in a table with these properties.
fn encoded(rows: i64, properties: &str) -> SerializedFileReader<Bytes> {
    let world = World::new(settings(&format!(
        r#"{{"table":"market.trades","sort-by":["trade_id"],"properties":{{{properties}}}}}"#
    )));
    let mut task = world.task();
    for first in (0..rows).step_by(1000) {
        let next = rows.min(first + 1000);
        let those: Vec<_> = (first..next).map(|id| Trade::new("BTCUSDT", id)).collect();
        let batch = trades(world.schema, &those);
        put(&mut task, &span(0, first, next), &batch).unwrap();
    }
    let pieces = task.stage().unwrap();
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, rows)], "c1")
        .unwrap();
    let files = world.files();
    let [file] = files.as_slice() else {
        panic!("{files:?}")
    };
    let object = world.lake.store.object(file.file_path()).unwrap();
    let reader = SerializedFileReader::new(Bytes::from(object)).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), rows);
    reader
}

#[test]
fn files_have_the_codec_the_filters_and_the_row_groups_that_a_table_asks_for() {
    for (asked, kind) in [("gzip", "GZIP"), ("snappy", "SNAPPY"), ("zstd", "ZSTD")] {
        let reader = encoded(
            40,
            &format!(
                r#""write.parquet.compression-codec":"{asked}",
                   "write.parquet.bloom-filter-enabled.column.symbol":"true",
                   "write.parquet.row-group-size-bytes":"100""#
            ),
        );
        let groups = reader.metadata().row_groups();
        assert!(groups.len() > 1, "{asked}");
        for column in groups.iter().flat_map(|it| it.columns()) {
            let name = column.column_path().string();
            let filter = column.bloom_filter_offset().is_some();
            assert_eq!(filter, name == "symbol", "{name}");
            let codec = format!("{:?}", column.compression());
            assert!(codec.starts_with(kind), "{name}: {codec}");
        }
    }
    let plain = encoded(40, r#""write.parquet.compression-codec":"uncompressed""#);
    let groups = plain.metadata().row_groups();
    assert_eq!(groups.len(), 1);
    let mut columns = groups[0].columns().iter();
    assert!(columns.all(|it| {
        it.compression() == Compression::UNCOMPRESSED && it.bloom_filter_offset().is_none()
    }));
}

#[test]
fn files_have_the_pages_that_a_table_asks_for() {
    let pages = |properties: &str| {
        let reader = encoded(5000, properties);
        let group = reader.get_row_group(0).unwrap();
        let id = 1;
        assert_eq!(
            group.metadata().column(id).column_path().string(),
            "trade_id"
        );
        let pages = group.get_column_page_reader(id).unwrap();
        let pages = pages.map(Result::unwrap);
        let dictionary = |it: &Page| matches!(it, Page::DictionaryPage { .. });
        pages.filter(|it| !dictionary(it)).count()
    };
    let one = pages(r#""owner":"me""#);
    let by_rows = pages(r#""write.parquet.page-row-limit":"1000""#);
    let by_bytes = pages(r#""write.parquet.page-size-bytes":"512""#);
    assert_eq!(one, 1);
    assert!(by_rows > 2, "{by_rows}");
    assert!(by_bytes > 2, "{by_bytes}");
}

#[test]
fn pages_are_of_the_version_that_a_table_asks_for_and_of_the_first_by_themselves() {
    let encodings = |properties: &str| -> BTreeSet<String> {
        let reader = encoded(50_000, properties);
        let columns = reader.metadata().row_group(0).columns();
        let encodings = columns.iter().flat_map(ColumnChunkMetaData::encodings);
        encodings.map(|it| it.to_string()).collect()
    };
    // RLE is how dictionaries are pointed into, and how nulls are told.
    let first = ["PLAIN", "RLE", "RLE_DICTIONARY"].map(str::to_owned).into();
    assert_eq!(encodings(r#""owner":"me""#), first);
    assert_eq!(encodings(r#""write.parquet.page-version":"v1""#), first);
    let second = encodings(r#""write.parquet.page-version":"V2""#);
    assert!(second.contains("DELTA_BINARY_PACKED"), "{second:?}");
}

#[test]
fn a_table_of_another_format_is_refused_before_a_row_is_taken() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 1, "c1").unwrap();
    for (key, value) in [
        ("write.format.default", "orc"),
        ("write.parquet.compression-codec", "brotli"),
        ("write.parquet.page-version", "v3"),
        ("write.target-file-size-bytes", "large"),
        ("write.metadata.metrics.default", "some"),
    ] {
        world.foreign(&format!(
            r#"[{{"action":"set-properties","updates":{{"{key}":"{value}"}}}}]"#
        ));
        let mut task = world.task();
        let why = misconfigured(put(&mut task, &span(0, 1, 2), &one(&world)));
        assert!(why.contains(key) && why.contains(value), "{why}");
        assert_eq!(task.stage().unwrap(), vec![]);
        world.foreign(&format!(
            r#"[{{"action":"remove-properties","removals":["{key}"]}}]"#
        ));
        // Nor is one made.
        let made = World::new(settings(&format!(
            r#"{{"table":"market.trades","properties":{{"{key}":"{value}"}}}}"#
        )));
        misconfigured(put(&mut made.task(), &span(0, 0, 1), &one(&made)));
        assert!(made.lake.catalog.table(TABLE).is_none(), "{key}");
    }
}

#[test]
fn the_tables_size_of_files_is_taken_where_the_settings_have_none() {
    let land = |more: &str| {
        let world = World::new(settings(&format!(
            r#"{{"table":"market.trades",
                "properties":{{"write.target-file-size-bytes":"1048576",
                    "write.parquet.compression-codec":"uncompressed",
                    "write.parquet.row-group-size-bytes":"65536"}}{more}}}"#
        )));
        let mut task = world.task();
        for first in (0..120_000).step_by(1000) {
            let those: Vec<_> = (first..first + 1000)
                .map(|id| Trade::new("BTCUSDT", id))
                .collect();
            let at = span(0, first, first + 1000);
            put(&mut task, &at, &trades(world.schema, &those)).unwrap();
        }
        let pieces = task.stage().unwrap();
        world
            .committer()
            .commit(TABLE, &pieces, &[span(0, 0, 120_000)], "c1")
            .unwrap();
        world.files().len()
    };
    assert!(land("") > 1);
    assert_eq!(land(r#","target-file-size":"128MiB""#), 1);
}

#[test]
fn an_order_of_an_unknown_column_makes_no_table() {
    let world = World::new(settings(r#"{"table":"market.trades","sort-by":["time"]}"#));
    let why = misconfigured(put(&mut world.task(), &span(0, 0, 1), &one(&world)));
    assert!(why.contains("sort-by") && why.contains("`time`"), "{why}");
    assert!(world.lake.catalog.table(TABLE).is_none());
}
