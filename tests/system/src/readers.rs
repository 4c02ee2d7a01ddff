//! The table as others read it: PyIceberg and DuckDB, by the scripts in tests/python.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::process::Command;

use crate::repository;

/// What a reader found: the first line of its script, and the rows.
#[derive(Debug)]
pub struct Table<A> {
    /// All that is said of the table beside its rows.
    pub about: A,
    /// Column by name: times in µs, decimals as text.
    pub rows: Vec<Map<String, Value>>,
}

/// The metadata, by PyIceberg.
#[derive(Debug, Deserialize)]
pub struct About {
    /// The table's folder.
    pub location: String,
    /// Columns in order.
    pub schema: Vec<Field>,
    /// Of the default partition spec: source column and transform.
    pub partition: Vec<Partition>,
    /// Table properties.
    pub properties: BTreeMap<String, String>,
    /// In the order in which they were made.
    pub snapshots: Vec<Snapshot>,
    /// Of the current snapshot.
    pub files: Vec<DataFile>,
}

/// A column.
#[derive(Debug, Deserialize)]
pub struct Field {
    /// Its field id.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// Its Iceberg type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is never null.
    pub required: bool,
    /// Its description.
    pub doc: Option<String>,
}

/// A field of a partition spec.
#[derive(Debug, Deserialize)]
pub struct Partition {
    /// The column it is made from.
    pub source: String,
    /// How.
    pub transform: String,
}

/// A snapshot.
#[derive(Debug, Deserialize)]
pub struct Snapshot {
    /// Its id.
    pub id: i64,
    /// `append` and so on.
    pub operation: String,
    /// Summary without the operation.
    pub summary: BTreeMap<String, String>,
}

/// A data file.
#[derive(Debug, Deserialize)]
pub struct DataFile {
    /// Its URI.
    pub path: String,
    /// Its rows, as the manifest has them.
    pub rows: u64,
    /// Its partition's values by field.
    pub partition: BTreeMap<String, Value>,
}

/// What DuckDB says of the files.
#[derive(Debug, Deserialize)]
pub struct Files {
    /// DuckDB's types by column.
    pub types: BTreeMap<String, String>,
    /// Each file by itself.
    pub by_partition: Vec<CountedFile>,
}

/// A file as the manifest has it and as it is.
#[derive(Debug, Deserialize)]
pub struct CountedFile {
    /// By the manifest.
    pub rows: u64,
    /// By counting.
    pub counted: u64,
    /// The partition's values by field.
    pub partition: BTreeMap<String, Value>,
    /// The symbols in it.
    pub symbols: Vec<String>,
}

/// Reads a table of the lake `local` under `data` with PyIceberg.
pub async fn read_pyiceberg(data: &Path, table: &str) -> Table<About> {
    read("read_table.py", data, table).await
}

/// Reads the same with DuckDB.
pub async fn read_duckdb(data: &Path, table: &str) -> Table<Files> {
    read("read_duckdb.py", data, table).await
}

async fn read<A: for<'a> Deserialize<'a>>(script: &str, data: &Path, table: &str) -> Table<A> {
    let root = repository();
    let output = Command::new(root.join("scripts/python"))
        .arg(root.join("tests/python").join(script))
        .arg("--catalog")
        .arg(data.join("catalog.db"))
        .arg("--warehouse")
        .arg(data.join("warehouse"))
        .args(["--name", "local", "--table", table])
        .kill_on_drop(true)
        .output()
        .await
        .expect("scripts/python is there");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} {table}: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (about, rows) = text.split_once('\n').expect("a first line");
    Table {
        about: serde_json::from_str(about).unwrap_or_else(|e| panic!("{script}: {e}: {about}")),
        rows: rows
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    }
}
