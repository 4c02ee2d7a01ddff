//! Tables of any shape, as every reader has them.

mod rest;

use std::collections::BTreeMap;

use jackfield_system_tests::{
    read_duckdb, read_java_below, read_pyiceberg, shared_cluster, write_topic,
};
use serde_json::{Map, Value, json};

use crate::kafka_records::consumer;
use crate::run_until_idle;

/// Everything that nests, and the types that no other test has.
const FIRST: &str = r#"{"type":"record","name":"Deep","fields":[
    {"name":"id","type":"int"},
    {"name":"where","type":{"type":"record","name":"Where","fields":[
        {"name":"hall","type":"string"},{"name":"row","type":"int"}]}},
    {"name":"tags","type":{"type":"array","items":"string"}},
    {"name":"parts","type":{"type":"array","items":{"type":"record","name":"Part","fields":[
        {"name":"n","type":"int"},{"name":"kg","type":["null","double"],"default":null}]}}},
    {"name":"limits","type":{"type":"map","values":"double"}},
    {"name":"ratio","type":"float"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
    {"name":"gone","type":["null","string"],"default":null},
    {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]}},
    {"name":"uid","type":{"type":"string","logicalType":"uuid"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}}]}"#;

/// Wider numbers, fields added at the top and within, one taken out, one renamed.
const THEN: &str = r#"{"type":"record","name":"Deep","fields":[
    {"name":"id","type":"long"},
    {"name":"where","type":{"type":"record","name":"Where","fields":[
        {"name":"hall","type":"string"},{"name":"row","type":"int"},
        {"name":"shelf","type":["null","int"],"default":null}]}},
    {"name":"labels","aliases":["tags"],"type":{"type":"array","items":"string"}},
    {"name":"parts","type":{"type":"array","items":{"type":"record","name":"Part","fields":[
        {"name":"n","type":"int"},{"name":"kg","type":["null","double"],"default":null},
        {"name":"made","type":["null","string"],"default":null}]}}},
    {"name":"limits","type":{"type":"map","values":"double"}},
    {"name":"ratio","type":"double"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":2}},
    {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]}},
    {"name":"uid","type":{"type":"string","logicalType":"uuid"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"note","type":["null","string"],"default":null}]}"#;

/// Records of each schema.
const EACH: i64 = 40;

fn uid(number: i64) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

/// A record, and the row that it becomes.
fn deep(number: i64) -> (Value, Value) {
    let then = number >= EACH;
    let words: Vec<String> = (0..number % 3).map(|it| format!("w{it}")).collect();
    let parts = |made: Option<Value>| -> Value {
        let of = |n: i64| {
            let mut part = json!({ "n": n, "kg": (n % 2 == 0).then(|| n as f64 / 8.0) });
            if let Some(made) = &made {
                part["made"] = made.clone();
            }
            part
        };
        (0..number % 4).map(of).collect()
    };
    let price = format!("{}.25", number * 1000);
    let mut record = json!({
        "id": number,
        "where": { "hall": "h", "row": number },
        "limits": { "low": -1.5, "high": number as f64 },
        "ratio": number as f64 / 16.0,
        "price": { "$decimal": price },
        "kind": if number % 2 == 0 { "A" } else { "B" },
        "uid": uid(number),
        "day": number,
    });
    let mut row = record.clone();
    row["price"] = json!(price);
    row["limits"] = json!([["high", number as f64], ["low", -1.5]]);
    row["labels"] = json!(words);
    row["where"]["shelf"] = Value::Null;
    row["day"] = json!(day(number));
    if then {
        let made = json!("here");
        record["where"]["shelf"] = json!(7);
        row["where"]["shelf"] = json!(7);
        record["labels"] = json!(words);
        record["parts"] = parts(Some(made.clone()));
        row["parts"] = parts(Some(made));
        record["note"] = json!("n");
        row["note"] = json!("n");
        row["gone"] = Value::Null;
    } else {
        record["tags"] = json!(words);
        record["parts"] = parts(None);
        row["parts"] = parts(Some(Value::Null));
        row["note"] = Value::Null;
        record["gone"] = json!("g");
        row["gone"] = json!("g");
    }
    (record, row)
}

/// A day of 1970, by its number from 0.
fn day(number: i64) -> String {
    const MONTHS: [i64; 4] = [31, 28, 31, 30];
    let mut left = number;
    for (month, days) in (1..).zip(MONTHS) {
        if left < days {
            return format!("1970-{month:02}-{:02}", left + 1);
        }
        left -= days;
    }
    panic!("{number} is further than these tests go");
}

/// Each row is there once, as it was sent.
fn assert_same(reader: &str, rows: &[Map<String, Value>], sent: &BTreeMap<i64, Value>) {
    let mut ids = Vec::new();
    for row in rows {
        let id = row["id"].as_i64().unwrap();
        assert_eq!(Value::Object(row.clone()), sent[&id], "{reader}");
        ids.push(id);
    }
    ids.sort_unstable();
    assert!(ids.iter().eq(sent.keys()), "{reader}: {ids:?}");
}

/// A table that nests, and whose schema has changed at every level, is one table to PyIceberg, to
/// Iceberg's own library and to DuckDB.
#[tokio::test(flavor = "multi_thread")]
async fn evolved_and_nested_tables_are_read_by_all() {
    let cluster = shared_cluster().await;
    let mut site = consumer(&cluster).await;
    site.set(
        "/pipelines/trades/sinks/lake/settings",
        json!({ "table": "plant.deep", "evolve": "full" }),
    );
    let mut sent = BTreeMap::new();
    for (schema, numbers) in [(FIRST, 0..EACH), (THEN, EACH..2 * EACH)] {
        let mut records = Vec::new();
        for number in numbers {
            let (record, row) = deep(number);
            records.push(json!({ "key": "k", "value": record, "partition": 0 }));
            sent.insert(number, row);
        }
        write_topic(&cluster, &site.topic("readings"), Some(schema), &records).await;
        run_until_idle(&site, "1s").await;
    }
    let data = site.path().join("data");
    let table = read_pyiceberg(&data, "plant.deep").await;
    let kind = |name: &str| {
        let mut fields = table.about.schema.iter();
        let field = fields.find(|it| it.name == name);
        field.map(|it| it.kind.clone()).unwrap_or_default()
    };
    for (name, wide) in [
        ("id", "long"),
        ("ratio", "double"),
        ("price", "decimal(18, 2)"),
    ] {
        assert_eq!(kind(name), wide);
    }
    assert_same("PyIceberg", &table.rows, &sent);
    let java = read_java_below(&data, "plant.deep").await;
    assert_same("Java", &java.rows, &sent);
    let duckdb = read_duckdb(&data, "plant.deep").await;
    assert_same("DuckDB", &duckdb.rows, &sent);
    assert!(duckdb.about.versions > 1);
}
