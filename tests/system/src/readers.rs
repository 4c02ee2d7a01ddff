//! The table as others read it: PyIceberg and DuckDB, by the scripts in tests/python; `java.rs` has
//! the third.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::process::Command;

use crate::repository;
use jackfield_test_lakes::AzureServer;

/// What a reader found: the first line of its script, and the rows.
#[derive(Debug)]
pub struct Table<A> {
    /// All that is said of the table beside its rows.
    pub about: A,
    /// Column by name, in the form that `plain` of tests/python/lake.py gives its value.
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
    /// Its row groups, as the manifest has them.
    pub row_groups: u64,
    /// Its partition's values by field.
    pub partition: BTreeMap<String, Value>,
}

/// What DuckDB says of the table and its files.
#[derive(Debug, Deserialize)]
pub struct Files {
    /// DuckDB's types by column.
    pub types: BTreeMap<String, String>,
    /// Each file by itself.
    pub by_partition: Vec<CountedFile>,
    /// How many different lists of columns they have.
    pub versions: u64,
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
    /// The symbols in it; none if it has no such column.
    pub symbols: Vec<String>,
}

/// Where a lake is, for its readers.
#[derive(Debug, Clone)]
pub struct Place {
    pub(crate) catalog: String,
    pub(crate) warehouse: String,
    pub(crate) properties: Vec<(String, String)>,
}

impl Place {
    /// The lake `local` under a folder.
    pub fn below(data: &Path) -> Self {
        Self {
            catalog: data.join("catalog.db").display().to_string(),
            warehouse: data.join("warehouse").display().to_string(),
            properties: Vec::new(),
        }
    }

    /// The same catalog, its files in a bucket.
    pub fn in_s3(data: &Path, warehouse: &str, endpoint: &str) -> Self {
        let properties = [
            ("s3.endpoint", endpoint),
            ("s3.access-key-id", "key"),
            ("s3.secret-access-key", "secret"),
            ("s3.region", "us-east-1"),
        ];
        Self {
            warehouse: warehouse.to_owned(),
            properties: properties
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..Self::below(data)
        }
    }

    /// The same catalog, its files in a bucket of Google's that an S3 server keeps: `endpoint`.
    pub fn in_gcs(data: &Path, warehouse: &str, endpoint: &str) -> Self {
        let mut place = Self::in_s3(data, warehouse, endpoint);
        let io = ("py-io-impl".to_owned(), "lake.OfTests".to_owned());
        place.properties.push(io);
        place
    }

    /// The same catalog, its files in a container of Azure's, at a server's host and port.
    pub fn in_azure(data: &Path, warehouse: &str, server: &AzureServer) -> Self {
        let properties = [
            ("py-io-impl", "lake.OfTests".to_owned()),
            ("azure.account_name", server.account().to_owned()),
            ("azure.account_key", server.key().to_owned()),
            ("azure.blob_storage_authority", server.authority()),
            ("azure.dfs_storage_authority", server.authority()),
            ("azure.blob_storage_scheme", "http".to_owned()),
            ("azure.dfs_storage_scheme", "http".to_owned()),
        ];
        Self {
            warehouse: warehouse.to_owned(),
            properties: properties
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
            ..Self::below(data)
        }
    }

    /// The same warehouse, its catalog in a PostgreSQL server's database: `postgres://…`.
    pub fn in_postgres(data: &Path, uri: &str) -> Self {
        Self {
            // PyIceberg knows the scheme by its long name only.
            catalog: uri.replacen("postgres://", "postgresql+psycopg2://", 1),
            ..Self::below(data)
        }
    }

    /// Behind a REST catalog.
    pub fn behind(url: &str) -> Self {
        Self {
            catalog: url.to_owned(),
            warehouse: String::new(),
            properties: Vec::new(),
        }
    }
}

/// Reads a table of the lake `local` under `data` with PyIceberg.
pub async fn read_pyiceberg(data: &Path, table: &str) -> Table<About> {
    read("read_table.py", &Place::below(data), table).await
}

/// Reads the same with DuckDB.
pub async fn read_duckdb(data: &Path, table: &str) -> Table<Files> {
    read("read_duckdb.py", &Place::below(data), table).await
}

/// Reads a table of any lake with PyIceberg.
pub async fn read_pyiceberg_at(place: &Place, table: &str) -> Table<About> {
    read("read_table.py", place, table).await
}

/// Reads a table of any lake with DuckDB.
pub async fn read_duckdb_at(place: &Place, table: &str) -> Table<Files> {
    read("read_duckdb.py", place, table).await
}

/// What PyIceberg says of a table of the lake `local` under `data`, without its rows.
pub async fn describe_pyiceberg(data: &Path, table: &str) -> About {
    let mut command = script("read_table.py", &Place::below(data), table);
    command.arg("--no-rows");
    run("read_table.py", command, table).await.about
}

/// Makes the table one that nothing fits into, or takes it away.
pub async fn spoil_table(data: &Path, table: &str, mend: bool) {
    let (place, root) = (Place::below(data), repository());
    let mut command = Command::new(root.join("scripts/python"));
    command
        .arg(root.join("tests/python/spoil_table.py"))
        .args(["--catalog", &place.catalog])
        .args(["--warehouse", &place.warehouse])
        .args(["--name", "local", "--table", table]);
    if mend {
        command.arg("--mend");
    }
    let output = command.kill_on_drop(true).output().await;
    let output = output.expect("the script is there");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

async fn read<A: for<'a> Deserialize<'a>>(name: &str, place: &Place, table: &str) -> Table<A> {
    run(name, script(name, place, table), table).await
}

/// A script of tests/python on a table.
pub(crate) fn script(name: &str, place: &Place, table: &str) -> Command {
    let root = repository();
    let mut command = Command::new(root.join("scripts/python"));
    command
        .arg(root.join("tests/python").join(name))
        .args(["--catalog", &place.catalog])
        .args(["--warehouse", &place.warehouse])
        .args(["--name", "local", "--table", table]);
    for (key, value) in &place.properties {
        command.arg("--property").arg(format!("{key}={value}"));
    }
    command
}

/// Runs a reader, and takes what it writes.
pub(crate) async fn run<A: for<'a> Deserialize<'a>>(
    script: &str,
    mut command: Command,
    table: &str,
) -> Table<A> {
    let output = command.kill_on_drop(true).output().await;
    let output = output.expect("the script is there");
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
