//! Lakes elsewhere: in S3, Google's and Azure's stores, in PostgreSQL, behind a REST catalog, shared
//! with other writers.

mod late;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jackfield_exchange::Speed;
use jackfield_system_tests::{
    About, Jackfield, PATIENCE, Place, Site, Snapshot, Table, compare, iceberg_java,
    read_duckdb_at, read_java_at, read_pyiceberg_at, repository, trades_sink,
};
use jackfield_test_lakes::{
    AzureServer, Fault, Front, GcsServer, PostgresServer, RestServer, S3Server,
};
use serde_json::{Map, Value, json};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::{COMMITTED, exchange, run_until_idle};

pub(crate) const TABLE: &str = "market.trades";

/// Ways in which a request goes wrong on a bad day.
const WAYS: u64 = 5;

/// A store of which each fifth request goes wrong, in turn in every way there is.
fn bad_days(front: &Front) -> Arc<AtomicU64> {
    let met = Arc::new(AtomicU64::new(0));
    let (counted, mut requests) = (Arc::clone(&met), 0_u64);
    front.decide(move |_| {
        requests += 1;
        if requests % 5 != 0 {
            return None;
        }
        counted.fetch_add(1, Ordering::SeqCst);
        Some(match requests / 5 % WAYS {
            0 => Fault::Status(500, String::new()),
            1 => Fault::Status(503, "<Error><Code>SlowDown</Code></Error>".to_owned()),
            2 => Fault::Late(Duration::from_millis(700)),
            3 => Fault::Unheard,
            _ => Fault::Lost,
        })
    });
    met
}

/// A lake whose files are in a bucket.
pub(crate) fn in_s3(endpoint: &str) -> Value {
    json!({
        "catalog": { "sql": "sqlite://data/catalog.db" },
        "warehouse": "s3://lake/w",
        "s3": { "endpoint": endpoint, "region": "us-east-1",
                "access-key-id": "key", "secret-access-key": "secret" }
    })
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_s3_with_bad_days_and_kills_lands_every_trade_once() {
    let server = S3Server::start().await;
    let front = Front::before(server.url()).await;
    let met = bad_days(&front);
    // Slow enough for two lives to come up and commit while trades come in, and for the last to make
    // many requests, on a busy machine too.
    let exchange = exchange(Speed::PerSecond(300.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set("/lakes/local", in_s3(&front.url()));
    let place = Place::in_s3(&site.path().join("data"), "s3://lake/w", &server.url());
    // Whichever step of a commit each kill meets: lakes_kills.rs has them one by one.
    let total = exchange.status().total;
    for kill in 1..=4 {
        let mut jackfield = Jackfield::run(&site, &[]);
        if kill <= 2 {
            jackfield.line(COMMITTED).await;
        }
        exchange.reached(total * kill / 6).await;
        if kill == 4 {
            until("each way met", || met.load(Ordering::SeqCst) >= WAYS).await;
        }
        jackfield.kill().await;
    }
    let met_alive = met.load(Ordering::SeqCst);
    let snapshots = read_pyiceberg_at(&place, TABLE).await.about.snapshots.len();
    assert!(snapshots > 1, "{snapshots}: the last run finds all to do");
    run_until_idle(&site, "5s").await;
    exchange.finished().await;
    let met = met.load(Ordering::SeqCst);
    println!("{met} requests went wrong, {met_alive} of them before the last kill");
    assert!(met > 2 * WAYS);
    let table = read_pyiceberg_at(&place, TABLE).await;
    let difference = compare(&exchange.trades(), &table.rows);
    assert!(difference.is_none(), "{difference}");
    assert_eq!(table.about.location, "s3://lake/w/market/trades");
    assert_all_read_the_same(&place, &table).await;
}

/// DuckDB and Iceberg's own library read what PyIceberg does, value by value.
async fn assert_all_read_the_same(place: &Place, table: &Table<About>) {
    let all = counted(&table.rows);
    let duckdb = read_duckdb_at(place, TABLE).await;
    assert_eq!(counted(&duckdb.rows), all, "DuckDB");
    let java = read_java_at(place, TABLE).await;
    assert_eq!(counted(&java.rows), all, "Java");
}

/// A kill in the middle, and then to the end: each trade is in the table once.
async fn lands_with_a_kill(lake: Value, place: impl Fn(&Site) -> Place) -> (Site, Table<About>) {
    let exchange = exchange(Speed::PerSecond(3000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set("/lakes/local", lake);
    let mut jackfield = Jackfield::run(&site, &[]);
    jackfield.line(COMMITTED).await;
    exchange.reached(exchange.status().total / 2).await;
    jackfield.kill().await;
    run_until_idle(&site, "3s").await;
    exchange.finished().await;
    let table = read_pyiceberg_at(&place(&site), TABLE).await;
    let difference = compare(&exchange.trades(), &table.rows);
    assert!(difference.is_none(), "{difference}");
    (site, table)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_googles_store_lands_every_trade_once() {
    let server = GcsServer::start().await;
    let lake = json!({
        "catalog": { "sql": "sqlite://data/catalog.db" },
        "warehouse": "gs://lake/w",
        "gcs": { "endpoint": server.url(), "service-account": server.account() }
    });
    let data = |site: &Site| site.path().join("data");
    lands_with_a_kill(lake, |site| {
        Place::in_gcs(&data(site), "gs://lake/w", &server.below())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_azures_store_lands_every_trade_once() {
    let server = tokio::task::spawn_blocking(AzureServer::start)
        .await
        .unwrap();
    let warehouse = format!("abfss://lake@{}.dfs.core.windows.net/w", server.account());
    let lake = json!({
        "catalog": { "sql": "sqlite://data/catalog.db" },
        "warehouse": warehouse,
        "azure": { "endpoint": server.url(), "access-key": server.key() }
    });
    let data = |site: &Site| site.path().join("data");
    lands_with_a_kill(lake, |site| {
        Place::in_azure(&data(site), &warehouse, &server)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_postgres_is_read_by_all() {
    let start = || PostgresServer::with_password("sesame");
    let server = tokio::task::spawn_blocking(start).await.unwrap();
    let lake = json!({ "catalog": { "sql": server.uri() }, "warehouse": "data/warehouse" });
    let place = |site: &Site| Place::in_postgres(&site.path().join("data"), &server.uri());
    let (site, table) = lands_with_a_kill(lake, place).await;
    assert_all_read_the_same(&place(&site), &table).await;
}

/// Rows by all their values, with how often they are there.
pub(crate) fn counted(rows: &[Map<String, Value>]) -> BTreeMap<String, u32> {
    let mut counted = BTreeMap::new();
    for row in rows {
        let sorted: BTreeMap<_, _> = row.iter().collect();
        let text = serde_json::to_string(&sorted).unwrap();
        *counted.entry(text).or_default() += 1;
    }
    counted
}

/// Rounds of the stranger that compacts.
const COMPACTIONS: usize = 5;

/// Two connectors and two strangers commit to one table behind Iceberg's own REST server, and now
/// and then an answer to a commit is lost. One of the strangers makes small files large ones.
#[tokio::test(flavor = "multi_thread")]
async fn two_sinks_and_a_stranger_share_a_table_behind_a_rest_catalog() {
    let server = RestServer::start();
    let front = Front::before(server.url()).await;
    let commits = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&commits);
    front.decide(move |seen| {
        let commit = seen.method == "POST" && seen.path.ends_with("/tables/trades");
        if !commit {
            return None;
        }
        match counting.fetch_add(1, Ordering::SeqCst) % 6 {
            2 => Some(Fault::Unheard),
            4 => Some(Fault::Status(503, String::new())),
            _ => None,
        }
    });
    // Slow enough for both to commit often before the kill, on a busy machine too.
    let exchange = exchange(Speed::PerSecond(500.0), |o| o.hold = true).await;
    let mut site = Site::new(&exchange).await;
    site.set(
        "/lakes/local",
        json!({
            "catalog": { "rest": front.url() },
            "warehouse": server.warehouse()
        }),
    );
    let mut second = trades_sink();
    second["tasks"] = json!(2);
    site.set("/pipelines/trades/sinks/again", second);

    let place = Place::behind(&server.url());
    let mut jackfield = Jackfield::run(&site, &[]);
    jackfield.line("reading from").await;
    exchange.start();
    // There is a table for the strangers.
    jackfield.line(COMMITTED).await;
    exchange.reached(2000).await;
    let stranger = Command::new(repository().join("scripts/python"))
        .arg(repository().join("tests/python/commit_beside.py"))
        .args(["--catalog", &server.url(), "--warehouse", "-"])
        .args(["--table", TABLE, "--commits", "12"])
        .kill_on_drop(true)
        .output();
    let rounds = COMPACTIONS.to_string();
    let mut compacting = iceberg_java("Compact", &[TABLE, &rounds], &place);
    let killed = async {
        exchange.reached(10_000).await;
        jackfield.kill().await;
    };
    let (stranger, compacted, ()) = tokio::join!(stranger, compacting.output(), killed);
    for ended in [stranger.unwrap(), compacted.unwrap()] {
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{errors}");
    }
    // What comes now goes into a table that others have made anew.
    run_until_idle(&site, "5s").await;
    exchange.finished().await;
    assert!(commits.load(Ordering::SeqCst) > 12);

    let table = read_pyiceberg_at(&place, TABLE).await;
    let sent = exchange.trades();
    assert_eq!(table.rows.len(), 2 * sent.len(), "once by each of the two");
    assert!(counted(&table.rows).values().all(|times| *times == 2));
    let mut once = table.rows.clone();
    let mut seen = BTreeSet::new();
    once.retain(|row| seen.insert((row["symbol"].to_string(), row["trade_id"].to_string())));
    let difference = compare(&sent, &once);
    assert!(difference.is_none(), "{difference}");
    let strange = table.about.properties.get("stranger.commits");
    assert_eq!(strange.map(String::as_str), Some("12"));
    let snapshots = &table.about.snapshots;
    let compacts = |it: &Snapshot| it.summary.contains_key("stranger.rewrites");
    let compactions = snapshots.iter().filter(|it| compacts(it));
    let compactions = compactions.filter(|it| it.operation == "replace").count();
    assert!(compactions >= COMPACTIONS, "{compactions}");
    let last = snapshots.iter().rposition(compacts).unwrap();
    for connector in ["trades-lake", "trades-again"] {
        let key = format!("jackfield.offsets.{connector}");
        assert!(table.about.properties.contains_key(&key), "{key}");
        let on = snapshots[last..]
            .iter()
            .any(|it| it.summary.contains_key(&key));
        assert!(on, "{key} goes on after the last compaction");
    }
    assert_all_read_the_same(&place, &table).await;
}
