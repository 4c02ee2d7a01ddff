//! Lakes elsewhere: in S3, behind a REST catalog, shared with other writers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jackfield_exchange::Speed;
use jackfield_system_tests::{
    Jackfield, Place, Site, compare, read_duckdb, read_java, read_java_below, read_pyiceberg,
    read_pyiceberg_at, repository, spoil_table, trades_sink,
};
use jackfield_test_lakes::{AzureServer, Fault, Front, GcsServer, RestServer, S3Server};
use serde_json::{Map, Value, json};
use tokio::process::Command;

use crate::{COMMITTED, assert_landed, exchange, run_until_idle};

const TABLE: &str = "market.trades";

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
        Some(match requests / 5 % 5 {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_s3_with_bad_days_and_kills_lands_every_trade_once() {
    let server = S3Server::start().await;
    let front = Front::before(server.url()).await;
    let met = bad_days(&front);
    let exchange = exchange(Speed::PerSecond(1500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set("/lakes/local", in_s3(&front.url()));
    // Every step of a commit is met by one kill or another.
    let total = exchange.status().total;
    for kill in 1..=4 {
        let mut jackfield = Jackfield::run(&site, &[]);
        exchange.reached(total * kill / 6).await;
        jackfield.kill().await;
    }
    run_until_idle(&site, "5s").await;
    exchange.finished().await;
    println!("{} requests went wrong", met.load(Ordering::SeqCst));
    assert!(met.load(Ordering::SeqCst) > 10);
    let place = Place::in_s3(&site.path().join("data"), "s3://lake/w", &server.url());
    let table = read_pyiceberg_at(&place, TABLE).await;
    let difference = compare(&exchange.trades(), &table.rows);
    assert!(difference.is_none(), "{difference}");
    assert_eq!(table.about.location, "s3://lake/w/market/trades");
}

/// A kill in the middle, and then to the end: each trade is in the table once.
async fn lands_with_a_kill(lake: Value, place: impl Fn(&Site) -> Place) {
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

/// Rows by all their values, with how often they are there.
fn counted(rows: &[Map<String, Value>]) -> BTreeMap<String, u32> {
    let mut counted = BTreeMap::new();
    for row in rows {
        let sorted: BTreeMap<_, _> = row.iter().collect();
        let text = serde_json::to_string(&sorted).unwrap();
        *counted.entry(text).or_default() += 1;
    }
    counted
}

/// Two connectors and a stranger commit to one table behind Iceberg's own REST server, and now
/// and then an answer to a commit is lost.
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
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
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

    let mut jackfield = Jackfield::run(&site, &["--until-idle", "5s"]);
    exchange.reached(2000).await;
    let stranger = Command::new(repository().join("scripts/python"))
        .arg(repository().join("tests/python/commit_beside.py"))
        .args(["--catalog", &server.url(), "--warehouse", "-"])
        .args(["--table", TABLE, "--commits", "12"])
        .kill_on_drop(true)
        .output();
    let (ended, stranger) = tokio::join!(jackfield.wait(), stranger);
    assert_eq!(ended, 0);
    let stranger = stranger.unwrap();
    assert!(
        stranger.status.success(),
        "{}",
        String::from_utf8_lossy(&stranger.stderr)
    );
    exchange.finished().await;
    assert!(commits.load(Ordering::SeqCst) > 12);

    let table = read_pyiceberg_at(&Place::behind(&server.url()), TABLE).await;
    let sent = exchange.trades();
    assert_eq!(table.rows.len(), 2 * sent.len(), "once by each of the two");
    let all = counted(&table.rows);
    assert!(all.values().all(|times| *times == 2));
    let mut once = table.rows.clone();
    let mut seen = std::collections::BTreeSet::new();
    once.retain(|row| seen.insert((row["symbol"].to_string(), row["trade_id"].to_string())));
    let difference = compare(&sent, &once);
    assert!(difference.is_none(), "{difference}");
    for connector in ["trades-lake", "trades-again"] {
        let key = format!("jackfield.offsets.{connector}");
        assert!(table.about.properties.contains_key(&key), "{key}");
    }
    let strange = table.about.properties.get("stranger.commits");
    assert_eq!(strange.map(String::as_str), Some("12"));

    // Iceberg's own library reads the same, value by value.
    let java = read_java(&server.url(), TABLE).await;
    assert_eq!(counted(&java.rows), all);
}

/// Manifests that this sink merged by hand are manifests to everyone, also in a sorted table.
#[tokio::test(flavor = "multi_thread")]
async fn merged_manifests_and_sorted_files_are_read_by_all() {
    let exchange = exchange(Speed::PerSecond(1500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let mut sink = trades_sink();
    sink["commit"] = json!({ "every": "500ms", "rows": 80 });
    sink["settings"]["sort-by"] = json!(["trade_id desc"]);
    sink["settings"]["properties"] = json!({
        "write.parquet.compression-codec": "gzip",
        "write.parquet.bloom-filter-enabled.column.symbol": "true"
    });
    sink["settings"]["maintain"] = json!({ "merge-manifests": true, "expire": "1h" });
    site.set("/pipelines/trades/sinks/lake", sink);
    run_until_idle(&site, "4s").await;
    exchange.finished().await;
    let data = site.path().join("data");
    let table = assert_landed(&data, &exchange.trades()).await;
    let merges = table.about.snapshots.iter();
    let merges = merges.filter(|it| it.operation == "replace").count();
    println!("{} snapshots, {merges} merges", table.about.snapshots.len());
    assert!(merges > 0, "{} commits", table.about.snapshots.len());
    let java = read_java_below(&data, TABLE).await;
    assert_eq!(counted(&java.rows), counted(&table.rows));
    let duckdb = read_duckdb(&data, TABLE).await;
    assert_eq!(counted(&duckdb.rows), counted(&table.rows));
}

/// Of two tables one can't be written for. It stays behind by itself, also over a kill, and has all
/// its records once someone has mended it.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_fails_stays_behind_alone_and_catches_up_when_mended() {
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let mut sink = trades_sink();
    sink["settings"] = json!({ "table": "market.{symbol}" });
    site.set("/pipelines/trades/sinks/lake", sink);
    let data = site.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let (good, bad) = ("market.BTCUSDT", "market.ETHUSDT");
    spoil_table(&data, bad, false).await;

    let mut jackfield = Jackfield::run(&site, &[]);
    let said = jackfield.line("a target has failed").await;
    assert!(said.contains(bad), "{said}");
    exchange.reached(8000).await;
    jackfield.kill().await;

    let mut jackfield = Jackfield::run(&site, &["--until-idle", "3s"]);
    assert_eq!(jackfield.wait().await, 1, "not all has landed");
    let log = jackfield.log();
    let failed = log.lines().find(|line| line.contains("FAILED")).unwrap();
    assert!(
        failed.contains(bad) && failed.contains("symbol"),
        "{failed}"
    );
    exchange.finished().await;
    let sent = exchange.trades();
    let of = |symbol: &str| -> Vec<_> {
        let those = sent.iter().filter(|it| *it.symbol == *symbol);
        those.cloned().collect()
    };
    let landed = read_pyiceberg(&data, good).await;
    let difference = compare(&of("BTCUSDT"), &landed.rows);
    assert!(difference.is_none(), "{difference}");

    spoil_table(&data, bad, true).await;
    run_until_idle(&site, "3s").await;
    for (table, symbol) in [(good, "BTCUSDT"), (bad, "ETHUSDT")] {
        let landed = read_pyiceberg(&data, table).await;
        let difference = compare(&of(symbol), &landed.rows);
        assert!(difference.is_none(), "{table}: {difference}");
    }
}
