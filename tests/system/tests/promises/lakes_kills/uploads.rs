//! A data file that goes to its store in parts, since it is larger than one.

use std::collections::BTreeSet;

use jackfield_system_tests::{Place, read_pyiceberg_at, shared_cluster, write_topic};
use jackfield_test_lakes::{Front, S3Server, Seen};
use serde_json::{Value, json};

use super::{IsStep, kill_at};
use crate::kafka_records::{READING, consumer, reading};
use crate::lakes::in_s3;
use crate::run_until_idle;

const TABLE: &str = "plant.readings";

/// Together 8 MB in one file: parts have 5 MiB.
const ROWS: i64 = 80;
const NOTE_CHARS: usize = 100_000;

/// The steps that the store sees, in their order.
const OF_AN_UPLOAD: [(&str, IsStep); 3] = [
    ("the upload's beginning", |it| {
        it.method == "POST" && query(it).starts_with("uploads")
    }),
    ("a part", |it| {
        it.method == "PUT" && query(it).contains("uploadId=")
    }),
    ("the upload's end", |it| {
        it.method == "POST" && query(it).contains("uploadId=")
    }),
];

fn query(seen: &Seen) -> &str {
    seen.path.split_once('?').map_or("", |(_, query)| query)
}

fn large(number: i64) -> Value {
    let mut value = reading(number);
    // None is like another: a dictionary would make the file small.
    value["note"] = json!("x".repeat(NOTE_CHARS) + &number.to_string());
    value
}

/// None of these kills lets a commit happen, so that each meets the same one.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_each_step_of_an_upload_in_parts_loses_and_doubles_nothing() {
    let cluster = shared_cluster().await;
    let server = S3Server::start().await;
    let front = Front::before(server.url()).await;
    let mut site = consumer(&cluster).await;
    let records: Vec<Value> = (0..ROWS)
        .map(|number| json!({ "key": format!("k{number}"), "value": large(number) }))
        .collect();
    write_topic(&cluster, &site.topic("readings"), Some(READING), &records).await;
    site.set("/lakes/local", in_s3(&front.url()));
    let lake = "/pipelines/trades/sinks/lake";
    // Nothing but all the rows makes a commit due.
    let commit = json!({ "every": "1h", "rows": ROWS });
    site.set(&format!("{lake}/commit"), commit);
    let properties = json!({ "write.parquet.compression-codec": "uncompressed" });
    let settings = json!({ "table": TABLE, "properties": properties });
    site.set(&format!("{lake}/settings"), settings);
    let place = Place::in_s3(&site.path().join("data"), "s3://lake/w", &server.url());
    for (name, step) in OF_AN_UPLOAD {
        for done in [false, true] {
            kill_at(&site, &front, name, step, done).await;
            let about = read_pyiceberg_at(&place, TABLE).await.about;
            assert!(about.snapshots.is_empty(), "{name}, done: {done}");
        }
    }
    run_until_idle(&site, "3s").await;
    let table = read_pyiceberg_at(&place, TABLE).await;
    assert_eq!(table.about.files.len(), 1, "all rows are of one file");
    let mut landed = BTreeSet::new();
    for mut row in table.rows {
        let number = row["at"].as_i64().unwrap() / 1000;
        row.remove("received_at");
        assert!(Value::Object(row) == large(number), "{number} is another");
        assert!(landed.insert(number), "{number} is there twice");
    }
    assert_eq!(landed, (0..ROWS).collect());
}
