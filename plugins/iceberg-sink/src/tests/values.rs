//! Every supported type, against Avro's own encoder.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType,
};
use proptest::prelude::*;

use super::*;

const ALL: &str = r#"{"type":"record","name":"All","fields":[
    {"name":"flag","type":"boolean"},
    {"name":"small","type":"int"},
    {"name":"large","type":"long"},
    {"name":"single","type":"float"},
    {"name":"double","type":"double"},
    {"name":"text","type":"string"},
    {"name":"raw","type":"bytes"},
    {"name":"four","type":{"type":"fixed","name":"Four","size":4}},
    {"name":"side","type":{"type":"enum","name":"Side","symbols":["BUY","SELL"]}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"clock","type":{"type":"int","logicalType":"time-millis"}},
    {"name":"fine","type":{"type":"long","logicalType":"time-micros"}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"local","type":{"type":"long","logicalType":"local-timestamp-micros"}},
    {"name":"id","type":{"type":"string","logicalType":"uuid"}},
    {"name":"maybe","type":["string","null"]},
    {"name":"inner","type":["null",{"type":"record","name":"Inner","fields":[
        {"name":"x","type":"int"},{"name":"y","type":["null","string"]}]}]},
    {"name":"list","type":{"type":"array","items":["null","long"]}},
    {"name":"map","type":{"type":"map","values":"double"}}]}"#;

#[derive(Debug, Clone)]
struct All {
    small: i32,
    large: i64,
    double: f64,
    text: String,
    raw: Vec<u8>,
    sell: bool,
    maybe: Option<String>,
    inner: Option<(i32, Option<String>)>,
    list: Vec<Option<i64>>,
    map: Vec<(String, f64)>,
}

fn optional(value: Option<Value>, null_branch: u32) -> Value {
    match value {
        None => Value::Union(null_branch, Box::new(Value::Null)),
        Some(value) => Value::Union(1 - null_branch, Box::new(value)),
    }
}

impl All {
    fn value(&self) -> Value {
        let inner = self.inner.clone().map(|(x, y)| {
            Value::Record(vec![
                ("x".to_owned(), Value::Int(x)),
                ("y".to_owned(), optional(y.map(Value::String), 0)),
            ])
        });
        let list = self
            .list
            .iter()
            .map(|it| optional(it.map(Value::Long), 0))
            .collect();
        let map = self
            .map
            .iter()
            .map(|(k, v)| (k.clone(), Value::Double(*v)))
            .collect();
        let side = if self.sell { (1, "SELL") } else { (0, "BUY") };
        let fields = [
            ("flag", Value::Boolean(self.sell)),
            ("small", Value::Int(self.small)),
            ("large", Value::Long(self.large)),
            ("single", Value::Float(self.double as f32)),
            ("double", Value::Double(self.double)),
            ("text", Value::String(self.text.clone())),
            ("raw", Value::Bytes(self.raw.clone())),
            ("four", Value::Fixed(4, vec![1, 2, 3, 4])),
            ("side", Value::Enum(side.0, side.1.to_owned())),
            ("day", Value::Date(self.small % 100_000)),
            (
                "clock",
                Value::TimeMillis(self.small.rem_euclid(86_400_000)),
            ),
            ("fine", Value::TimeMicros(self.large.rem_euclid(DAY))),
            ("at", Value::TimestampMillis(i64::from(self.small))),
            (
                "local",
                Value::LocalTimestampMicros(self.large % MICROS_MAX),
            ),
            ("id", Value::Uuid(apache_avro_uuid(self.large))),
            ("maybe", optional(self.maybe.clone().map(Value::String), 1)),
            ("inner", optional(inner, 0)),
            ("list", Value::Array(list)),
            ("map", Value::Map(map)),
        ];
        Value::Record(
            fields
                .into_iter()
                .map(|(name, it)| (name.to_owned(), it))
                .collect(),
        )
    }
}

fn apache_avro_uuid(seed: i64) -> uuid::Uuid {
    uuid::Uuid::from_u64_pair(seed.cast_unsigned(), 7)
}

fn any_all() -> impl Strategy<Value = All> {
    (
        (
            any::<i32>(),
            any::<i64>(),
            -1e9..1e9_f64,
            ".{0,20}",
            any::<Vec<u8>>(),
            any::<bool>(),
        ),
        proptest::option::of(".{0,5}"),
        proptest::option::of((any::<i32>(), proptest::option::of(".{0,5}"))),
        proptest::collection::vec(proptest::option::of(any::<i64>()), 0..5),
        proptest::collection::btree_map("[a-z]{1,4}", -1e9..1e9_f64, 0..4),
    )
        .prop_map(
            |((small, large, double, text, raw, sell), maybe, inner, list, map)| All {
                small,
                large,
                double,
                text,
                raw,
                sell,
                maybe,
                inner,
                list,
                map: map.into_iter().collect(),
            },
        )
}

fn compare(rows: &RecordBatch, at: usize, all: &All) {
    let column = |name: &str| rows.column_by_name(name).unwrap();
    assert_eq!(column("flag").as_boolean().value(at), all.sell);
    assert_eq!(
        column("small").as_primitive::<Int32Type>().value(at),
        all.small
    );
    assert_eq!(
        column("large").as_primitive::<Int64Type>().value(at),
        all.large
    );
    assert_eq!(
        column("single").as_primitive::<Float32Type>().value(at),
        all.double as f32
    );
    assert_eq!(
        column("double").as_primitive::<Float64Type>().value(at),
        all.double
    );
    assert_eq!(
        column("day").as_primitive::<Date32Type>().value(at),
        all.small % 100_000
    );
    assert_eq!(
        column("fine")
            .as_primitive::<Time64MicrosecondType>()
            .value(at),
        all.large.rem_euclid(DAY)
    );
    assert_eq!(column("text").as_string::<i32>().value(at), all.text);
    assert_eq!(column("raw").as_binary::<i64>().value(at), all.raw);
    assert_eq!(
        column("four").as_fixed_size_binary().value(at),
        [1, 2, 3, 4]
    );
    let side = if all.sell { "SELL" } else { "BUY" };
    assert_eq!(column("side").as_string::<i32>().value(at), side);
    let shown = |name: &str| {
        arrow_array::cast::downcast_array::<arrow_array::TimestampMicrosecondArray>(
            column(name).as_ref(),
        )
        .value(at)
    };
    assert_eq!(shown("at"), i64::from(all.small) * 1000);
    assert_eq!(shown("local"), all.large % MICROS_MAX);
    let clock = column("clock").as_primitive::<Time64MicrosecondType>();
    assert_eq!(
        clock.value(at),
        i64::from(all.small.rem_euclid(86_400_000)) * 1000
    );
    let id = column("id").as_fixed_size_binary();
    assert_eq!(id.value(at), apache_avro_uuid(all.large).as_bytes());
    let maybe = column("maybe");
    assert_eq!(
        (!maybe.is_null(at)).then(|| maybe.as_string::<i32>().value(at)),
        all.maybe.as_deref()
    );
    let inner = column("inner").as_struct();
    assert_eq!(inner.is_null(at), all.inner.is_none());
    if let Some((x, y)) = &all.inner {
        assert_eq!(inner.column(0).as_primitive::<Int32Type>().value(at), *x);
        let text = inner.column(1);
        assert_eq!(
            (!text.is_null(at)).then(|| text.as_string::<i32>().value(at)),
            y.as_deref()
        );
    }
    let list = column("list").as_list::<i32>().value(at);
    let list: Vec<_> = list.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(list, all.list);
    let map = column("map").as_map().value(at);
    let keys: Vec<_> = map
        .column(0)
        .as_string::<i32>()
        .iter()
        .flatten()
        .map(str::to_owned)
        .collect();
    let values = map
        .column(1)
        .as_primitive::<Float64Type>()
        .values()
        .to_vec();
    let mut pairs: Vec<_> = keys.into_iter().zip(values).collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(pairs, all.map);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_avro_encodes_comes_back(all in proptest::collection::vec(any_all(), 1..20)) {
        let world = World::new(settings(r#"{"table":"market.trades"}"#));
        let schema = world.lake.schemas.avro(ALL);
        let records: Vec<_> =
            (0..).zip(&all).map(|(at, it)| (at, Some(datum(ALL, it.value())))).collect();
        let mut task = world.task();
        let count = all.len() as i64;
        put(&mut task, &span(0, 0, count), &batch_of(schema, &records)).unwrap();
        let pieces = task.stage().unwrap();
        world.committer().commit(TABLE, &pieces, &[span(0, 0, count)], "c").unwrap();
        let rows = world.rows();
        prop_assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), all.len());
        let mut at = 0;
        for rows in &rows {
            for row in 0..rows.num_rows() {
                compare(rows, row, &all[at]);
                at += 1;
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(junk in proptest::collection::vec(any::<u8>(), 0..200)) {
        let world = World::new(settings(r#"{"table":"market.trades"}"#));
        let schema = world.lake.schemas.avro(ALL);
        let mut task = world.task();
        // Taken or rejected; what is rejected leaves nothing behind.
        if put(&mut task, &span(0, 0, 1), &batch_of(schema, &[(0, Some(junk))])).is_err() {
            prop_assert_eq!(task.stage().unwrap(), vec![]);
        }
    }

    #[test]
    fn a_cut_or_changed_datum_leaves_the_rows_before_as_they_were(
        all in any_all(), cut in 0..400_usize, flip in any::<(usize, u8)>()
    ) {
        let world = World::new(settings(r#"{"table":"market.trades"}"#));
        let schema = world.lake.schemas.avro(ALL);
        let good = datum(ALL, all.value());
        let mut bad = good.clone();
        bad.truncate(cut);
        if let Some(byte) = bad.get_mut(flip.0 % good.len()) {
            *byte ^= flip.1;
        }
        let mut task = world.task();
        put(&mut task, &span(0, 0, 1), &batch_of(schema, &[(0, Some(good.clone()))])).unwrap();
        let refused = put(&mut task, &span(0, 1, 2), &batch_of(schema, &[(1, Some(bad))])).is_err();
        put(&mut task, &span(0, 2, 3), &batch_of(schema, &[(2, Some(good))])).unwrap();
        let pieces = task.stage().unwrap();
        world.committer().commit(TABLE, &pieces, &[span(0, 0, 3)], "c").unwrap();
        let rows = world.rows();
        let count = rows.iter().map(RecordBatch::num_rows).sum::<usize>();
        prop_assert_eq!(count, if refused { 2 } else { 3 });
        compare(&rows[0], 0, &all);
        compare(rows.last().unwrap(), rows.last().unwrap().num_rows() - 1, &all);
    }
}

#[test]
fn a_time_of_another_day_is_a_bad_record() {
    for (logical, day) in [
        ("time-millis", 86_400_000_i64),
        ("time-micros", 86_400_000_000),
    ] {
        let ty = if logical == "time-millis" {
            "int"
        } else {
            "long"
        };
        let text = format!(
            r#"{{"type":"record","name":"T","fields":[
                {{"name":"at","type":{{"type":"{ty}","logicalType":"{logical}"}}}}]}}"#
        );
        let world = World::new(settings(r#"{"table":"market.trades"}"#));
        let schema = world.lake.schemas.avro(&text);
        let records: Vec<_> = [0, -1, day, day - 1]
            .into_iter()
            .zip(0..)
            .map(|(at, offset)| {
                let mut datum = Vec::new();
                long(at, &mut datum);
                (offset, Some(datum))
            })
            .collect();
        let told = put(
            &mut world.task(),
            &span(0, 0, 4),
            &batch_of(schema, &records),
        );
        let Err(Failure::Rejected(those)) = told else {
            panic!("{told:?}")
        };
        let indices: Vec<_> = those.iter().map(|it| it.index).collect();
        assert_eq!(indices, [1, 2], "{logical}");
    }
}

/// The largest number of 38 digits.
const NINES: i128 = 10_i128.pow(38) - 1;

#[test]
fn local_times_decimals_and_uuids_of_bytes_land_whole_up_to_their_bounds() {
    const TEXT: &str = r#"{"type":"record","name":"R","fields":[
        {"name":"millis","type":{"type":"long","logicalType":"local-timestamp-millis"}},
        {"name":"nanos","type":{"type":"long","logicalType":"local-timestamp-nanos"}},
        {"name":"wide","type":{"type":"fixed","name":"Wide","size":16,
            "logicalType":"decimal","precision":38,"scale":0}},
        {"name":"any","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":38}},
        {"name":"uid","type":{"type":"fixed","name":"Uid","size":16,"logicalType":"uuid"}},
        {"name":"again","type":["null","Uid"]}]}"#;
    let uid = apache_avro_uuid(9);
    let datum = |millis: i64, nanos: i64, number: i128| {
        let mut to = Vec::new();
        long(millis, &mut to);
        long(nanos, &mut to);
        to.extend_from_slice(&number.to_be_bytes());
        decimal(number, &mut to);
        to.extend_from_slice(uid.as_bytes());
        long(1, &mut to);
        to.extend_from_slice(uid.as_bytes());
        Some(to)
    };
    let good = [
        (1500, -2000, NINES),
        (MICROS_MAX / 1000, i64::MAX / 1000 * 1000, -NINES),
    ];
    let bad = [
        (MICROS_MAX / 1000 + 1, 0, 0),
        (-MICROS_MAX / 1000 - 1, 0, 0),
        (i64::MAX, 0, 0),
        (0, 1, 0),
        (0, 0, NINES + 1),
        (0, 0, -NINES - 1),
    ];
    let world = World::new(settings(r#"{"table":"market.trades"}"#));
    let schema = world.lake.schemas.avro(TEXT);
    let records = |those: &[(i64, i64, i128)]| {
        let those = (0..).zip(those);
        let those: Vec<_> = those
            .map(|(at, it)| (at, datum(it.0, it.1, it.2)))
            .collect();
        batch_of(schema, &those)
    };
    let mut task = world.task();
    match put(&mut task, &span(0, 0, 6), &records(&bad)) {
        Err(Failure::Rejected(those)) => assert_eq!(those.len(), bad.len(), "{those:?}"),
        other => panic!("{other:?}"),
    }
    put(&mut task, &span(0, 0, 2), &records(&good)).unwrap();
    let pieces = task.stage().unwrap();
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 2)], "c")
        .unwrap();
    let metadata = world.metadata();
    let ty = |name: &str| {
        let field = metadata.current_schema().field_by_name(name).unwrap();
        field.field_type.to_string()
    };
    assert_eq!(
        (ty("millis"), ty("nanos")),
        (ty("nanos"), "timestamp".to_owned())
    );
    assert_eq!(
        (ty("uid"), ty("again")),
        ("uuid".to_owned(), "uuid".to_owned())
    );
    let rows = world.rows();
    let [rows] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    let micros = |name: &str| {
        rows[name]
            .as_primitive::<TimestampMicrosecondType>()
            .values()
            .to_vec()
    };
    let expected = |of: fn(&(i64, i64, i128)) -> i64| good.iter().map(of).collect::<Vec<_>>();
    assert_eq!(micros("millis"), expected(|it| it.0 * 1000));
    assert_eq!(micros("nanos"), expected(|it| it.1 / 1000));
    for name in ["wide", "any"] {
        let numbers = rows[name].as_primitive::<Decimal128Type>();
        assert_eq!(numbers.values().to_vec(), [NINES, -NINES], "{name}");
    }
    for name in ["uid", "again"] {
        let ids = rows[name].as_fixed_size_binary();
        assert!(ids.iter().all(|it| it == Some(uid.as_bytes().as_slice())));
    }
}

#[test]
fn uuids_of_bytes_go_on_into_a_column_of_16_bytes() {
    let text = |logical: &str| {
        format!(
            r#"{{"type":"record","name":"R","fields":[
                {{"name":"uid","type":{{"type":"fixed","name":"Uid","size":16{logical}}}}}]}}"#
        )
    };
    let world = World::new(settings(r#"{"table":"market.trades"}"#));
    let (plain, marked) = (text(""), text(r#","logicalType":"uuid""#));
    let mut task = world.task();
    for (at, text) in [(0, plain), (1, marked)] {
        let schema = world.lake.schemas.avro(&text);
        let batch = batch_of(schema, &[(at, Some(vec![7; 16]))]);
        put(&mut task, &span(0, at, at + 1), &batch).unwrap();
    }
    let pieces = task.stage().unwrap();
    let done = world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 2)], "c")
        .unwrap();
    assert_eq!(done.rows, 2);
}

#[test]
fn a_union_of_one_type_lands_as_that_type() {
    const TEXT: &str = r#"{"type":"record","name":"R","fields":[
        {"name":"list","type":{"type":"array","items":["long"]}},
        {"name":"n","type":["long"]}]}"#;
    let value = |n: i64| {
        let sole = |n: i64| Value::Union(0, Box::new(Value::Long(n)));
        Value::Record(vec![
            ("list".to_owned(), Value::Array(vec![sole(n), sole(n + 1)])),
            ("n".to_owned(), sole(n)),
        ])
    };
    let world = World::new(settings(r#"{"table":"market.trades"}"#));
    let schema = world.lake.schemas.avro(TEXT);
    let mut task = world.task();
    // An empty list, and then a second branch, which there is not.
    let bad = batch_of(schema, &[(0, Some(vec![0, 2, 14]))]);
    match put(&mut task, &span(0, 0, 1), &bad) {
        Err(Failure::Rejected(those)) => assert!(those[0].reason.contains("branch"), "{those:?}"),
        other => panic!("{other:?}"),
    }
    let good = [
        (0, Some(datum(TEXT, value(7)))),
        (1, Some(datum(TEXT, value(9)))),
    ];
    put(&mut task, &span(0, 0, 2), &batch_of(schema, &good)).unwrap();
    let pieces = task.stage().unwrap();
    world
        .committer()
        .commit(TABLE, &pieces, &[span(0, 0, 2)], "c")
        .unwrap();
    assert_eq!(world.longs("n"), [7, 9]);
    let metadata = world.metadata();
    let column = metadata.current_schema().field_by_name("n").unwrap();
    assert!(column.required);
}

#[test]
fn a_union_of_one_type_names_a_table() {
    const TEXT: &str = r#"{"type":"record","name":"R","fields":[
        {"name":"symbol","type":["string"]},
        {"name":"n","type":["long"]}]}"#;
    let sole = |value: Value| Value::Union(0, Box::new(value));
    let value = Value::Record(vec![
        ("symbol".to_owned(), sole(Value::String("BTC".to_owned()))),
        ("n".to_owned(), sole(Value::Long(1))),
    ]);
    let world = World::new(settings(r#"{"table":"market.{symbol}"}"#));
    let schema = world.lake.schemas.avro(TEXT);
    let mut task = world.task();
    let batch = batch_of(schema, &[(0, Some(datum(TEXT, value)))]);
    put(&mut task, &span(0, 0, 1), &batch).unwrap();
    let pieces = task.stage().unwrap();
    assert_eq!(pieces[0].target, "market.BTC");
}
