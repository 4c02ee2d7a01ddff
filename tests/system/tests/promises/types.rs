//! Every type that docs/ICEBERG.md has a row for, as every reader has its values.

use std::collections::BTreeMap;

use jackfield_system_tests::{
    read_duckdb, read_java_below, read_pyiceberg, shared_cluster, write_topic,
};
use serde_json::{Map, Value, json};

use crate::kafka_records::consumer;
use crate::run_until_idle;

const TABLE: &str = "plant.types";

/// A record of each: the least, the most, the smallest beside nothing, and what is odd.
const RECORDS: usize = 4;

/// A column; of what is sent and read there is a value a record.
struct Column {
    name: &'static str,
    avro: Value,
    iceberg: &'static str,
    sent: Value,
    read: Value,
}

/// Values that are read in the form in which they are sent.
fn same(name: &'static str, avro: Value, iceberg: &'static str, values: Value) -> Column {
    other(name, avro, iceberg, values.clone(), values)
}

fn other(
    name: &'static str,
    avro: Value,
    iceberg: &'static str,
    sent: Value,
    read: Value,
) -> Column {
    for values in [&sent, &read] {
        let values = values.as_array().map(Vec::len);
        assert_eq!(values, Some(RECORDS), "{name}");
    }
    Column {
        name,
        avro,
        iceberg,
        sent,
        read,
    }
}

/// A logical type.
fn logical(of: &str, name: &str) -> Value {
    json!({ "type": of, "logicalType": name })
}

/// One of `fixed`.
fn logical_fixed(size: u32, named: &str, logical: &str) -> Value {
    json!({ "type": "fixed", "name": named, "size": size, "logicalType": logical })
}

fn decimal(mut of: Value, precision: u32, scale: u32) -> Value {
    of["precision"] = json!(precision);
    of["scale"] = json!(scale);
    of
}

/// Decimals are read as the text that they are sent by.
fn decimals(name: &'static str, avro: Value, iceberg: &'static str, values: Value) -> Column {
    other(name, avro, iceberg, marked("$decimal", &values), values)
}

/// Bytes are read as the hexadecimal digits that they are sent by.
fn bytes(name: &'static str, avro: Value, iceberg: &'static str, values: Value) -> Column {
    other(name, avro, iceberg, marked("$bytes", &values), values)
}

/// In the form of write_topic.py.
fn marked(mark: &str, values: &Value) -> Value {
    let values = values.as_array().unwrap().iter();
    values.map(|it| json!({ mark: it })).collect()
}

fn scalars() -> Vec<Column> {
    let enumeration = json!({ "type": "enum", "name": "Kind", "symbols": ["LOW", "HIGH"] });
    let four = json!({ "type": "fixed", "name": "Four", "size": 4 });
    let long_text = "x".repeat(200);
    let long_bytes = "61".repeat(100);
    let (least, most) = (f64::from(f32::MIN), f64::from(f32::MAX));
    let smallest = f64::from(f32::from_bits(1));
    let nil = "00000000-0000-0000-0000-000000000000";
    let full = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    let any = "12345678-9abc-4def-8123-456789abcdef";
    let uids = json!([nil, full, any, any]);
    let without_dashes = uids.as_array().unwrap().iter();
    let without_dashes: Value = without_dashes
        .map(|it| json!(it.as_str().unwrap().replace('-', "")))
        .collect();
    vec![
        same(
            "flag",
            json!("boolean"),
            "boolean",
            json!([false, true, true, false]),
        ),
        same("n", json!("int"), "int", json!([i32::MIN, i32::MAX, -1, 0])),
        same(
            "whole",
            json!("long"),
            "long",
            json!([i64::MIN, i64::MAX, -1, 0]),
        ),
        other(
            "ratio",
            json!("float"),
            "float",
            json!([least, most, smallest, { "$float": "NaN" }]),
            json!([least, most, smallest, "NaN"]),
        ),
        other(
            "wide",
            json!("double"),
            "double",
            json!([f64::MIN, f64::MAX, f64::from_bits(1), { "$float": "-Infinity" }]),
            json!([f64::MIN, f64::MAX, f64::from_bits(1), "-Infinity"]),
        ),
        same(
            "word",
            json!("string"),
            "string",
            json!(["", "☃ \u{0}\" 𝄞", long_text, "w"]),
        ),
        bytes(
            "raw",
            json!("bytes"),
            "binary",
            json!(["", "00ff7f80", long_bytes, "00"]),
        ),
        bytes(
            "four",
            four,
            "fixed[4]",
            json!(["00000000", "ffffffff", "00ff00ff", "01020304"]),
        ),
        same(
            "kind",
            enumeration,
            "string",
            json!(["LOW", "HIGH", "HIGH", "LOW"]),
        ),
        same("uid_text", logical("string", "uuid"), "uuid", uids.clone()),
        other(
            "uid_bytes",
            logical_fixed(16, "Uid", "uuid"),
            "uuid",
            marked("$bytes", &without_dashes),
            uids,
        ),
    ]
}

/// Of 4, 8 and 16 bytes in the file, and of either kind in Avro.
fn numbers() -> Vec<Column> {
    let nines = "9".repeat(38);
    let last = format!("-0.{}1", "0".repeat(37));
    let nothing = format!("0.{}", "0".repeat(38));
    let (below, above) = (format!("-0.{nines}"), format!("0.{nines}"));
    vec![
        decimals(
            "cents",
            decimal(logical("bytes", "decimal"), 9, 2),
            "decimal(9, 2)",
            json!(["-9999999.99", "9999999.99", "-0.01", "0.00"]),
        ),
        decimals(
            "mills",
            decimal(logical_fixed(8, "Mills", "decimal"), 18, 4),
            "decimal(18, 4)",
            json!([
                "-99999999999999.9999",
                "99999999999999.9999",
                "-0.0001",
                "0.0000"
            ]),
        ),
        decimals(
            "nines",
            decimal(logical("bytes", "decimal"), 38, 38),
            "decimal(38, 38)",
            json!([below, above, last, nothing]),
        ),
        decimals(
            "huge",
            decimal(logical_fixed(16, "Huge", "decimal"), 38, 0),
            "decimal(38, 0)",
            json!([format!("-{nines}"), nines, "-1", "0"]),
        ),
    ]
}

/// From the first day of the year 1 to the last of 9999, as far as all readers go; nanoseconds, of
/// which 64 bits hold fewer years, from 1677 to 2262.
fn moments() -> Vec<Column> {
    const FIRST_MS: i64 = -62_135_596_799_999;
    const LAST_MS: i64 = 253_402_300_799_999;
    const FIRST_US: i64 = -62_135_596_799_999_999;
    const LAST_US: i64 = 253_402_300_799_999_999;
    const NANOS: i64 = i64::MAX / 1000 * 1000;
    let mut columns = vec![
        other(
            "day",
            logical("int", "date"),
            "date",
            json!([-719_162, 2_932_896, -1, 0]),
            json!(["0001-01-01", "9999-12-31", "1969-12-31", "1970-01-01"]),
        ),
        other(
            "time_ms",
            logical("int", "time-millis"),
            "time",
            json!([0, 86_399_999, 1, 43_200_000]),
            json!([0, 86_399_999_000_i64, 1000, 43_200_000_000_i64]),
        ),
        same(
            "time_us",
            logical("long", "time-micros"),
            "time",
            json!([0, 86_399_999_999_i64, 1, 43_200_000_001_i64]),
        ),
    ];
    for (zone, iceberg, names) in [
        ("", "timestamptz", ["zoned_ms", "zoned_us", "zoned_ns"]),
        ("local-", "timestamp", ["local_ms", "local_us", "local_ns"]),
    ] {
        let [millis, micros, nanos] = names;
        let avro = |unit: &str| logical("long", &format!("{zone}timestamp-{unit}"));
        columns.push(other(
            millis,
            avro("millis"),
            iceberg,
            json!([FIRST_MS, LAST_MS, -1, 1]),
            json!([FIRST_MS * 1000, LAST_MS * 1000, -1000, 1000]),
        ));
        columns.push(same(
            micros,
            avro("micros"),
            iceberg,
            json!([FIRST_US, LAST_US, -1, 1]),
        ));
        columns.push(other(
            nanos,
            avro("nanos"),
            iceberg,
            json!([-NANOS, NANOS, -1000, 1000]),
            json!([-NANOS / 1000, NANOS / 1000, -1, 1]),
        ));
    }
    columns
}

/// With nulls and empty ones. Ids of fields within are given after those of all columns.
fn nested() -> Vec<Column> {
    let place = json!({ "type": "record", "name": "Place", "fields": [
        { "name": "hall", "type": "string" }, { "name": "floor", "type": ["null", "int"] }] });
    vec![
        same(
            "place",
            place,
            "struct<30: hall: required string, 31: floor: optional int>",
            json!([
                { "hall": "", "floor": null },
                { "hall": "h", "floor": i32::MIN },
                { "hall": "h", "floor": 0 },
                { "hall": "h", "floor": 1 }
            ]),
        ),
        same(
            "words",
            json!({ "type": "array", "items": ["null", "string"] }),
            "list<string>",
            json!([[], [null, "", "w", null], [""], [null]]),
        ),
        other(
            "limits",
            json!({ "type": "map", "values": ["null", "long"] }),
            "map<string, long>",
            json!([{}, { "": null, "a": i64::MAX, "b": i64::MIN }, { "k": null }, { "k": 0 }]),
            json!([
                [],
                [["", null], ["a", i64::MAX], ["b", i64::MIN]],
                [["k", null]],
                [["k", 0]]
            ]),
        ),
        same(
            "sole",
            json!(["long"]),
            "long",
            json!([i64::MIN, i64::MAX, 0, 1]),
        ),
        same(
            "note",
            json!(["null", "string"]),
            "string",
            json!([null, "", "n", null]),
        ),
    ]
}

/// What a record has, or a row.
fn at(columns: &[Column], record: usize, value: fn(&Column) -> &Value) -> Map<String, Value> {
    let pairs = columns.iter();
    pairs
        .map(|it| (it.name.to_owned(), value(it)[record].clone()))
        .collect()
}

/// Each row is there once, as it was sent. Column by column, so that a failure shows one.
fn assert_same(reader: &str, rows: &[Map<String, Value>], columns: &[Column]) {
    assert_eq!(rows.len(), RECORDS, "{reader}");
    let by_number: BTreeMap<i64, _> = rows
        .iter()
        .map(|row| (row["n"].as_i64().unwrap(), row))
        .collect();
    for record in 0..RECORDS {
        let expected = at(columns, record, |it| &it.read);
        let found = by_number[&expected["n"].as_i64().unwrap()];
        for column in columns {
            let name = column.name;
            assert_eq!(found[name], expected[name], "{reader}: {name}");
        }
        assert_eq!(found.len(), columns.len(), "{reader}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_read_by_all_as_it_was_sent() {
    let columns = [scalars(), numbers(), moments(), nested()];
    let columns: Vec<Column> = columns.into_iter().flatten().collect();
    let fields = columns.iter();
    let fields: Value = fields
        .map(|it| json!({ "name": it.name, "type": it.avro }))
        .collect();
    let schema = json!({ "type": "record", "name": "All", "fields": fields }).to_string();
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    site.set(
        "/pipelines/trades/sinks/lake/settings",
        json!({ "table": TABLE }),
    );
    let record = |number| {
        let value = at(&columns, number, |it| &it.sent);
        json!({ "key": "k", "value": value, "partition": 0 })
    };
    let records: Vec<Value> = (0..RECORDS).map(record).collect();
    write_topic(&cluster, &site.topic("readings"), Some(&schema), &records).await;
    run_until_idle(&site, "1s").await;

    let data = site.path().join("data");
    let table = read_pyiceberg(&data, TABLE).await;
    for (field, column) in table.about.schema.iter().zip(&columns) {
        let there = (field.name.as_str(), field.kind.as_str(), field.required);
        assert_eq!(there, (column.name, column.iceberg, column.name != "note"));
    }
    assert_eq!(table.about.schema.len(), columns.len());
    assert_same("PyIceberg", &table.rows, &columns);
    let java = read_java_below(&data, TABLE).await;
    assert_same("Java", &java.rows, &columns);
    let duckdb = read_duckdb(&data, TABLE).await;
    assert_same("DuckDB", &duckdb.rows, &columns);
}
