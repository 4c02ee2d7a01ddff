//! Tests of the lake as a whole, on real folders and databases.

mod catalog;
mod clouds;
mod faults;
mod faulty;
mod foreign;
mod grants;
mod overlay;
mod postgres;
mod rest;
mod s3;
mod store;
mod vended;

use super::database::Database;
use super::rows::Rows;
use super::sql::SqlRows;
use super::store::Objects;
use super::uri::ObjectUri;
use super::{
    CatalogConfig, CatalogError, CatalogTable, Lake, LakeAccess, LakeConfig, StoreOptions,
};
use futures::future::join_all;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use url::Url;

const TRADES: &str = "market.trades";

/// A folder with a warehouse `w` and a SQLite catalog `c/catalog.db`, removed at the end.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(below)
    }

    fn uri(&self, below: &str) -> String {
        format!("file://{}", self.path(below).display())
    }

    fn sqlite(&self) -> String {
        format!("sqlite://{}", self.path("c/catalog.db").display())
    }

    fn config(&self, catalog: &str) -> LakeConfig {
        LakeConfig {
            name: "local".to_owned(),
            catalog: CatalogConfig::Sql {
                uri: catalog.into(),
            },
            warehouse: Some(Url::from_file_path(self.path("w")).unwrap()),
            store: StoreOptions::default(),
        }
    }

    async fn lake(&self) -> Arc<Lake> {
        Lake::open(self.config(&self.sqlite())).await.unwrap()
    }

    async fn access(&self) -> LakeAccess {
        self.lake().await.access()
    }

    /// The catalog's rows as they are, for faults around them.
    async fn rows(&self) -> SqlRows {
        self.lake().await;
        SqlRows::new("local", &Database::parse(&self.sqlite()).unwrap()).unwrap()
    }

    fn lake_of(&self, objects: Objects, rows: impl Rows + 'static) -> Arc<Lake> {
        std::fs::create_dir_all(self.path("w")).unwrap();
        let warehouse = ObjectUri::of_path(&self.path("w")).unwrap();
        Lake::of("local".to_owned(), warehouse, objects, Box::new(rows))
    }

    /// The names of all files below a folder.
    fn files(&self, below: &str) -> Vec<PathBuf> {
        fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    collect(&path, files);
                } else {
                    files.push(path);
                }
            }
        }
        let mut files = Vec::new();
        collect(&self.path(below), &mut files);
        files.sort();
        files
    }
}

fn creation() -> Value {
    json!({
        "name": "trades",
        "schema": {"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "symbol", "required": true, "type": "string", "doc": "The pair."},
            {"id": 2, "name": "price", "required": true, "type": "decimal(38, 8)"},
            {"id": 3, "name": "trade_time", "required": true, "type": "timestamptz"}
        ]},
        "partition-spec": {"spec-id": 0, "fields": [
            {"source-id": 3, "name": "day", "transform": "day"},
            {"source-id": 1, "name": "symbol", "transform": "identity"}
        ]},
        "properties": {"write.parquet.compression-codec": "zstd"}
    })
}

async fn create(access: &LakeAccess) -> CatalogTable {
    access
        .create_table(TRADES, &creation().to_string())
        .await
        .unwrap()
}

async fn load(access: &LakeAccess) -> CatalogTable {
    access.load(TRADES, None).await.unwrap().unwrap()
}

/// Updates that leave a trace.
fn mark(key: &str) -> String {
    json!([{"action": "set-properties", "updates": {key: "x"}}]).to_string()
}

async fn commit(
    access: &LakeAccess,
    expected: &str,
    key: &str,
) -> Result<CatalogTable, CatalogError> {
    access.commit(TRADES, expected, "[]", &mark(key)).await
}

fn property(table: &CatalogTable, key: &str) -> Option<String> {
    let metadata: Value = serde_json::from_str(&table.metadata).unwrap();
    metadata["properties"][key].as_str().map(str::to_owned)
}

/// Rounds in which all commit at once on the same base: one wins, the others know that they
/// lost, and what was won stays.
async fn race(accesses: &[LakeAccess], rounds: usize) {
    let mut at = create(&accesses[0]).await.metadata_location;
    let mut won = Vec::new();
    for round in 0..rounds {
        let keys: Vec<String> = (0..accesses.len())
            .map(|n| format!("round-{round}.{n}"))
            .collect();
        let commits = accesses
            .iter()
            .zip(&keys)
            .map(|(access, key)| commit(access, &at, key));
        let mut winners = Vec::new();
        for (outcome, key) in join_all(commits).await.into_iter().zip(&keys) {
            match outcome {
                Ok(table) => winners.push((table, key.clone())),
                Err(CatalogError::Conflict(_)) => {}
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        let (table, key) = winners.remove(0);
        at = table.metadata_location;
        won.push(key);
    }
    let table = load(&accesses[0]).await;
    assert_eq!(table.metadata_location, at);
    for key in &won {
        assert!(property(&table, key).is_some(), "{key} was lost");
    }
    let all: Value = serde_json::from_str(&table.metadata).unwrap();
    let marks = all["properties"].as_object().unwrap().keys();
    assert_eq!(marks.filter(|k| k.starts_with("round-")).count(), rounds);
}

/// Each commits on its own, on whatever is there, until it has done its share.
async fn crowd(accesses: Vec<LakeAccess>, commits_each: usize) {
    create(&accesses[0]).await;
    let committers = accesses.len();
    let tasks = accesses.into_iter().enumerate().map(|(n, access)| {
        tokio::spawn(async move {
            for i in 0..commits_each {
                loop {
                    let base = load(&access).await.metadata_location;
                    match commit(&access, &base, &format!("crowd-{n}-{i}")).await {
                        Ok(_) => break,
                        Err(CatalogError::Conflict(_) | CatalogError::Transient(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            access
        })
    });
    let accesses: Vec<_> = join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let table = load(&accesses[0]).await;
    for n in 0..committers {
        for i in 0..commits_each {
            let key = format!("crowd-{n}-{i}");
            assert!(property(&table, &key).is_some(), "{key} was lost");
        }
    }
}
