//! Upkeep of a table with a past, in real catalogs: what is forgotten and deleted, and what is not.
//!
//! Nobody waits for files and snapshots to get old: between two runs another program makes them so.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{
    About, Jackfield, Place, Site, Table, compare, python, read_duckdb_at, read_java_at,
    read_pyiceberg_at, trades_sink,
};
use jackfield_test_lakes::{PostgresServer, RestServer};
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::lakes::{TABLE, counted};
use crate::{COMMITTED, exchange};

const SINK: &str = "/pipelines/trades/sinks/lake";

/// Few enough for the recording to last, and for a commit to have few rows.
const TRADES_PER_SECOND: f64 = 500.0;

/// A quarter of an hour of trades: longer than all that is waited for.
const LAPS: u32 = 30;

/// Commits of the past: more than a merge wants manifests.
const COMMITS_MIN: usize = 120;

/// Further ones, after the last clean-up.
const COMMITS_AFTER: usize = 20;

/// Longest that a machine which is busy with other tests may take to one of these steps.
const STEP_MAX: Duration = Duration::from_secs(300);

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Older than any age that is set here.
const OLD: Duration = Duration::from_secs(2 * 24 * 3600);

/// Where a catalog keeps its tables, for programs that go past it.
struct Database {
    /// The catalog's name in there.
    name: &'static str,
    uri: String,
    warehouse: PathBuf,
}

impl Database {
    /// The files that a script tells of.
    async fn files(&self, script: &str, more: &[&str]) -> Vec<PathBuf> {
        let warehouse = self.warehouse.to_str().unwrap();
        let own = ["--name", self.name, "--table", TABLE];
        let place = ["--catalog", &self.uri, "--warehouse", warehouse];
        let told = python(script, &[&own[..], &place, more].concat(), "").await;
        serde_json::from_str(&told).unwrap()
    }
}

/// An exchange that goes on for as long as its test.
async fn lasting() -> Running {
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |o| o.laps = LAPS).await;
    let lasts = exchange.status().total as f64 / TRADES_PER_SECOND;
    assert!(lasts > 2.0 * STEP_MAX.as_secs_f64(), "{lasts} s");
    exchange
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < STEP_MAX, "never: {what}");
        sleep(LOOK_EVERY).await;
    }
}

fn run(site: &Site) -> Jackfield {
    Jackfield::run(site, &["--grace", "60s"])
}

async fn stop(mut jackfield: Jackfield) {
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
}

fn commits(jackfield: &Jackfield) -> usize {
    jackfield.log().matches(COMMITTED).count()
}

/// Where something lies on this machine.
fn local(uri: &str) -> PathBuf {
    let path = uri.trim_start_matches("file:").trim_start_matches('/');
    Path::new("/").join(path)
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files
}

fn make_old(files: &[PathBuf]) {
    let then = SystemTime::now() - OLD;
    for file in files {
        let file = File::options().write(true).open(file).unwrap();
        file.set_modified(then).unwrap();
    }
}

/// What a writer leaves that ends before its commit: a data file with rows, and a manifest.
fn leave(table: &Path, name: &str) -> [PathBuf; 2] {
    [("data", ".parquet"), ("metadata", "-m0.avro")].map(|(folder, end)| {
        let files = files_below(&table.join(folder));
        let alike = |it: &&PathBuf| it.to_string_lossy().ends_with(end);
        let like = files.iter().find(alike).expect("the table has some");
        let left = like.with_file_name(format!("{name}{end}"));
        fs::copy(like, &left).unwrap();
        left
    })
}

/// What has landed is each symbol's first trades, each once and none of them missing.
fn assert_no_hole(exchange: &Running, table: &Table<About>) {
    let sent = exchange.trades();
    let mut expected = Vec::new();
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        let landed = table.rows.iter().filter(|it| it["symbol"] == symbol);
        let those = sent.iter().filter(|it| *it.symbol == *symbol);
        expected.extend(those.take(landed.count()).cloned());
    }
    let difference = compare(&expected, &table.rows);
    assert!(difference.is_none(), "{difference}");
}

/// Whether only upkeep can tell what becomes of a file: documents come and go with each commit.
fn is_kept_by_age(file: &Path) -> bool {
    let end = file.extension().and_then(|it| it.to_str());
    matches!(end, Some("parquet" | "avro"))
}

/// A run makes the past. The next merges its manifests and forgets its snapshots, and a third deletes
/// what only these referred to. Both go on where the one before them ended.
async fn is_kept_up(exchange: &Running, mut site: Site, place: Place, database: Database) {
    let mut sink = trades_sink();
    sink["tasks"] = json!(2);
    sink["commit"] = json!({ "every": "100ms", "rows": 20 });
    site.set(SINK, sink.clone());
    let jackfield = run(&site);
    until("a past", || commits(&jackfield) >= COMMITS_MIN).await;
    stop(jackfield).await;
    let before = read_pyiceberg_at(&place, TABLE).await;
    let past: BTreeSet<i64> = before.about.snapshots.iter().map(|it| it.id).collect();

    let lists = database.files("age_snapshots.py", &["--hours", "2"]).await;
    assert_eq!(lists.len(), past.len());
    let folder = local(&before.about.location);
    let left = leave(&folder, "left");
    let strange = folder.join("data/notes.txt");
    fs::write(&strange, "mine").unwrap();
    // Those that are in use too.
    make_old(&files_below(&folder));
    let young = leave(&folder, "young");
    sink["settings"]["maintain"] =
        json!({ "merge-manifests": true, "expire": "1h", "orphans": "1d" });
    site.set(SINK, sink);
    let jackfield = run(&site);
    for done in ["manifests were merged", "old snapshots were expired"] {
        until(done, || jackfield.log().contains(done)).await;
    }
    let gone = || left.iter().all(|it| !it.exists());
    until("what was left is gone", gone).await;
    stop(jackfield).await;
    assert_no_hole(exchange, &read_pyiceberg_at(&place, TABLE).await);

    let left = leave(&folder, "left-again");
    let mut old = files_below(&folder);
    old.retain(|it| !young.contains(it));
    make_old(&old);
    let jackfield = run(&site);
    let gone = || left.iter().chain(&lists).all(|it| !it.exists());
    until("what only the past referred to is gone", gone).await;
    let enough = commits(&jackfield) + COMMITS_AFTER;
    until("it goes on", || commits(&jackfield) >= enough).await;
    stop(jackfield).await;

    let table = read_pyiceberg_at(&place, TABLE).await;
    assert_no_hole(exchange, &table);
    assert!(table.rows.len() > before.rows.len());
    let all = counted(&table.rows);
    let java = read_java_at(&place, TABLE).await;
    assert_eq!(counted(&java.rows), all, "Java");
    let duckdb = read_duckdb_at(&place, TABLE).await;
    assert_eq!(counted(&duckdb.rows), all, "DuckDB");
    let mut snapshots = table.about.snapshots.iter();
    assert!(snapshots.all(|it| !past.contains(&it.id)));
    let mut snapshots = table.about.snapshots.iter();
    assert!(snapshots.any(|it| it.operation == "replace"));

    let referenced = database.files("list_files.py", &[]).await;
    let referenced: BTreeSet<PathBuf> = referenced.into_iter().collect();
    for file in referenced.iter().chain(&young).chain([&strange]) {
        assert!(file.exists(), "{} is gone", file.display());
    }
    for file in old.iter().filter(|it| is_kept_by_age(it)) {
        let kept = referenced.contains(file);
        assert_eq!(file.exists(), kept, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_postgres_is_kept_up_and_goes_on() {
    let start = || PostgresServer::with_password("sesame");
    let server = spawn_blocking(start).await.unwrap();
    let exchange = lasting().await;
    let mut site = Site::new(&exchange).await;
    let lake = json!({ "catalog": { "sql": server.uri() }, "warehouse": "data/warehouse" });
    site.set("/lakes/local", lake);
    let place = Place::in_postgres(&site.path().join("data"), &server.uri());
    let database = Database {
        name: "local",
        // As SQLAlchemy calls it.
        uri: server
            .uri()
            .replacen("postgres://", "postgresql+psycopg2://", 1),
        warehouse: site.warehouse(),
    };
    is_kept_up(&exchange, site, place, database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_behind_a_rest_catalog_is_kept_up_and_goes_on() {
    let server = spawn_blocking(RestServer::start).await.unwrap();
    let exchange = lasting().await;
    let mut site = Site::new(&exchange).await;
    let lake = json!({ "catalog": { "rest": server.url() }, "warehouse": server.warehouse() });
    site.set("/lakes/local", lake);
    let place = Place::behind(&server.url());
    let file = server.warehouse().with_file_name("catalog.db");
    let database = Database {
        name: "backend",
        uri: file.display().to_string(),
        warehouse: server.warehouse(),
    };
    is_kept_up(&exchange, site, place, database).await;
}
