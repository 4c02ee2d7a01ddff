//! The example lands the recording: every trade, every column, once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use jackfield_exchange::Speed;
use jackfield_system_tests::{
    Artifacts, Jackfield, compare, read_duckdb, read_pyiceberg, repository,
};
use serde_json::{Map, Value};
use tokio::process::Command;

use crate::{ALL, exchange};

const COLUMNS: [(&str, &str, bool); 8] = [
    ("symbol", "string", true),
    ("trade_id", "long", true),
    ("price", "decimal(38, 8)", true),
    ("quantity", "decimal(38, 8)", true),
    ("trade_time", "timestamptz", true),
    ("event_time", "timestamptz", false),
    ("is_buyer_maker", "boolean", true),
    ("received_at", "timestamptz", true),
];

fn now_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros() as i64
}

/// `connectors.yaml` as it is, beside the data that it writes.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_lands_every_trade_once() {
    let exchange = exchange(Speed::Realtime(60.0), |_| {}).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connectors.yaml");
    std::fs::copy(repository().join("connectors.yaml"), &file).unwrap();
    let artifacts = Artifacts::get();
    let mut command = Command::new(&artifacts.jackfield);
    command
        .arg("run")
        .arg(&file)
        .args(["--until-idle", "3s", "--listen", "127.0.0.1:0"])
        .env("JACKFIELD_PLUGINS", &artifacts.plugins)
        .env("BINANCE_WS", exchange.ws_url())
        .env("BINANCE_REST", exchange.rest_url());
    let begin = now_us();
    let mut jackfield = Jackfield::spawn(command);
    assert_eq!(jackfield.wait().await, 0);
    let end = now_us();

    let data = folder.path().join("data");
    let sent = exchange.trades();
    assert_eq!(sent.len(), ALL);
    let iceberg = read_pyiceberg(&data, "market.trades").await;
    let difference = compare(&sent, &iceberg.rows);
    assert!(difference.is_none(), "{difference}");
    // An audit may bring a few trades by REST before they come live.
    println!("{} of {ALL} trades came by REST", difference.recovered);
    for row in &iceberg.rows {
        let received_at = row["received_at"].as_i64().unwrap();
        assert!((begin..=end).contains(&received_at), "{row:?}");
    }

    let bitcoin = sent.iter().filter(|trade| *trade.symbol == *"BTCUSDT");
    let counted = counted_by_the_page(folder.path()).await;
    assert_eq!(counted.trim(), bitcoin.count().to_string());

    schema_is_right(&iceberg.about);
    partitions_are_right(&iceberg.about);
    snapshots_are_right(&iceberg.about);

    // The other reader sees the same, value by value.
    let duckdb = read_duckdb(&data, "market.trades").await;
    assert_eq!(sorted(&duckdb.rows), sorted(&iceberg.rows));
    assert_eq!(duckdb.about.types["price"], "DECIMAL(38,8)");
    assert_eq!(duckdb.about.types["trade_time"], "TIMESTAMP WITH TIME ZONE");
    for file in &duckdb.about.by_partition {
        assert_eq!(file.rows, file.counted);
        assert_eq!(file.symbols.len(), 1, "a file holds one partition");
        assert!(
            file.partition
                .values()
                .any(|value| *value == *file.symbols[0])
        );
    }
}

/// What docs/ICEBERG.md's lines of PyIceberg print of the table below a folder.
async fn counted_by_the_page(folder: &Path) -> String {
    let page = std::fs::read_to_string(repository().join("docs/ICEBERG.md")).unwrap();
    let (_, lines) = page.split_once("```python\n").unwrap();
    let (lines, _) = lines.split_once("```").unwrap();
    // scripts/python begins in the repository.
    let script = format!("import os\nos.chdir({folder:?})\n{lines}");
    let ran = Command::new(repository().join("scripts/python"))
        .args(["-c", &script])
        .kill_on_drop(true)
        .output();
    let ran = ran.await.unwrap();
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{error}");
    String::from_utf8(ran.stdout).unwrap()
}

fn sorted(rows: &[Map<String, Value>]) -> Vec<String> {
    let mut rows: Vec<String> = rows
        .iter()
        .map(|row| serde_json::to_string(&row.iter().collect::<BTreeMap<_, _>>()).unwrap())
        .collect();
    rows.sort_unstable();
    rows
}

fn schema_is_right(about: &jackfield_system_tests::About) {
    let columns: Vec<_> = about
        .schema
        .iter()
        .map(|field| (field.name.as_str(), field.kind.as_str(), field.required))
        .collect();
    assert_eq!(columns, COLUMNS);
    for field in &about.schema {
        assert!(
            field.doc.as_deref().is_some_and(|doc| !doc.is_empty()),
            "{field:?}"
        );
    }
    let ids: BTreeSet<i32> = about.schema.iter().map(|field| field.id).collect();
    assert_eq!(ids.len(), COLUMNS.len());
}

fn partitions_are_right(about: &jackfield_system_tests::About) {
    let spec: Vec<_> = about
        .partition
        .iter()
        .map(|field| (field.source.as_str(), field.transform.as_str()))
        .collect();
    assert_eq!(spec, [("trade_time", "day"), ("symbol", "identity")]);
    let mut by_partition: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for file in &about.files {
        let values = file.partition.values().map(ToString::to_string).collect();
        *by_partition.entry(values).or_default() += file.rows;
    }
    // The exchange's clock passed midnight during the recording or it did not: both symbols, and
    // whatever days the trades themselves say.
    let rows: u64 = by_partition.values().sum();
    assert_eq!(rows, ALL as u64);
    assert!(by_partition.len() >= 2, "{by_partition:?}");
}

fn snapshots_are_right(about: &jackfield_system_tests::About) {
    let key = "jackfield.offsets.trades-lake";
    let mut ends: BTreeMap<String, i64> = BTreeMap::new();
    let mut commits = BTreeSet::new();
    for snapshot in &about.snapshots {
        assert_eq!(snapshot.operation, "append");
        let offsets: Value = serde_json::from_str(&snapshot.summary[key]).unwrap();
        for (partition, offset) in flat("", &offsets) {
            let before = ends.insert(partition.clone(), offset);
            assert!(
                before.is_none_or(|before| before <= offset),
                "{partition} went back"
            );
        }
        let commit = &snapshot.summary["jackfield.commit-id.trades-lake"];
        assert!(
            commits.insert(commit.clone()),
            "{commit} was committed twice"
        );
    }
    // All partitions together: as many offsets as there are records, and transaction markers none.
    assert!(ends.values().sum::<i64>() >= ALL as i64, "{ends:?}");
    // The property says the same as the newest snapshot, so that expiry can't lose it.
    let newest = about.snapshots.last().unwrap();
    assert_eq!(about.properties[key], newest.summary[key]);
}

/// The numbers of a JSON tree by their path.
fn flat(path: &str, value: &Value) -> Vec<(String, i64)> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, v)| flat(&format!("{path}/{key}"), v))
            .collect(),
        Value::Array(list) => (0..)
            .zip(list)
            .flat_map(|(i, v): (u32, _)| flat(&format!("{path}/{i}"), v))
            .collect(),
        _ => value
            .as_i64()
            .map(|number| (path.to_owned(), number))
            .into_iter()
            .collect(),
    }
}
