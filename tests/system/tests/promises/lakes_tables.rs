//! Tables of every making: sorted, many from one topic, of many partitions, after a long backlog; and
//! those that fail.

use std::collections::BTreeSet;
use std::time::Duration;

use jackfield_exchange::{Speed, Trade};
use jackfield_system_tests::{
    Jackfield, PATIENCE, Place, Site, compare, describe_pyiceberg, python, read_duckdb,
    read_java_below, read_pyiceberg, read_pyiceberg_at, spoil_table, trades_sink,
};
use jackfield_test_lakes::{Fault, Front, RestServer, S3Server, Seen};
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::lakes::{TABLE, counted, in_s3};
use crate::{ALL, COMMITTED, assert_landed, exchange, run_until_idle};

/// Manifests that this sink merged by hand are manifests to everyone, also in a sorted table.
#[tokio::test(flavor = "multi_thread")]
async fn merged_manifests_and_sorted_files_are_read_by_all() {
    const TRADES_PER_SECOND: f64 = 1500.0;
    // Ten seconds each: they last for as long as a merge is waited for.
    const LAPS: u32 = 13;
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |o| o.laps = LAPS).await;
    let lasts = exchange.status().total as f64 / TRADES_PER_SECOND;
    assert!(lasts > PATIENCE.as_secs_f64(), "{lasts} s");
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
    let mut jackfield = Jackfield::run(&site, &["--grace", "60s"]);
    jackfield.line("manifests were merged").await;
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
    // The first of each symbol, without a hole and in order.
    let data = site.path().join("data");
    let table = read_pyiceberg(&data, TABLE).await;
    let sent = exchange.trades();
    let landed = |symbol: &str| {
        let rows = table.rows.iter().filter(|it| it["symbol"] == symbol);
        of(&sent, symbol).into_iter().take(rows.count())
    };
    let expected: Vec<_> = landed("BTCUSDT").chain(landed("ETHUSDT")).collect();
    let difference = compare(&expected, &table.rows);
    assert!(difference.is_none(), "{difference}");
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
    let landed = read_pyiceberg(&data, good).await;
    let difference = compare(&of(&sent, "BTCUSDT"), &landed.rows);
    assert!(difference.is_none(), "{difference}");

    spoil_table(&data, bad, true).await;
    run_until_idle(&site, "3s").await;
    for (table, symbol) in [(good, "BTCUSDT"), (bad, "ETHUSDT")] {
        let landed = read_pyiceberg(&data, table).await;
        let difference = compare(&of(&sent, symbol), &landed.rows);
        assert!(difference.is_none(), "{table}: {difference}");
    }
}

/// Those of one symbol.
fn of(trades: &[Trade], symbol: &str) -> Vec<Trade> {
    let those = trades.iter().filter(|it| *it.symbol == *symbol);
    those.cloned().collect()
}

/// Of two tables one takes no commit, for longer than the connector is to be patient.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_takes_no_commit_stays_behind_after_the_deadline() {
    let server = RestServer::start();
    let front = Front::before(server.url()).await;
    front.decide(|seen| {
        let commit = seen.method == "POST" && seen.path.ends_with("/tables/ETHUSDT");
        commit.then(|| Fault::Status(503, String::new()))
    });
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let lake = json!({ "catalog": { "rest": front.url() }, "warehouse": server.warehouse() });
    site.set("/lakes/local", lake);
    site.set("/pipelines/trades/retry", json!({ "deadline": "3s" }));
    let mut sink = trades_sink();
    sink["settings"] = json!({ "table": "market.{symbol}" });
    site.set("/pipelines/trades/sinks/lake", sink);
    let (good, bad) = ("market.BTCUSDT", "market.ETHUSDT");

    let mut jackfield = Jackfield::run(&site, &["--until-idle", "3s"]);
    let said = jackfield.line("a target has failed").await;
    assert!(said.contains(bad), "{said}");
    assert_eq!(jackfield.wait().await, 1, "not all has landed");
    exchange.finished().await;
    let sent = exchange.trades();
    let place = Place::behind(&server.url());
    let landed = read_pyiceberg_at(&place, good).await;
    let difference = compare(&of(&sent, "BTCUSDT"), &landed.rows);
    assert!(difference.is_none(), "{difference}");
    assert!(read_pyiceberg_at(&place, bad).await.rows.is_empty());

    front.mend();
    run_until_idle(&site, "3s").await;
    for (table, symbol) in [(good, "BTCUSDT"), (bad, "ETHUSDT")] {
        let landed = read_pyiceberg_at(&place, table).await;
        let difference = compare(&of(&sent, symbol), &landed.rows);
        assert!(difference.is_none(), "{table}: {difference}");
    }
}

/// Whether a data file of this table is put in its partition's folder: the file that the sink tries
/// the store with lies above that.
fn in_a_partition(seen: &Seen, table: &str) -> bool {
    let path = seen.path.split('?').next().unwrap_or_default();
    let below = path.split_once(&format!("/{table}/data/"));
    seen.method == "PUT" && below.is_some_and(|(_, file)| file.contains('/'))
}

/// Of two tables one loses its files whenever there are any, though its store takes the one that it
/// is tried with. Its rows are read again, until that has been so for as long as the connector is
/// patient: from then on the other has the sink for itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_loses_its_files_again_and_again_stays_behind_after_the_deadline() {
    let server = S3Server::start().await;
    let front = Front::before(server.url()).await;
    // An answer that is not worth another try of the same request.
    front.decide(|seen| in_a_partition(seen, "ETHUSDT").then(|| Fault::Status(404, String::new())));
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set("/lakes/local", in_s3(&front.url()));
    site.set("/pipelines/trades/retry", json!({ "deadline": "3s" }));
    let mut sink = trades_sink();
    sink["settings"] = json!({ "table": "market.{symbol}", "partition-by": ["day(trade_time)"] });
    site.set("/pipelines/trades/sinks/lake", sink);
    let (good, bad) = ("market.BTCUSDT", "market.ETHUSDT");

    let mut jackfield = Jackfield::run(&site, &["--until-idle", "3s"]);
    let said = jackfield.line("a target has failed").await;
    assert!(said.contains(bad) && said.contains("gave up"), "{said}");
    assert_eq!(jackfield.wait().await, 1, "not all has landed");
    exchange.finished().await;
    let sent = exchange.trades();
    let place = Place::in_s3(&site.path().join("data"), "s3://lake/w", &server.url());
    let landed = read_pyiceberg_at(&place, good).await;
    let difference = compare(&of(&sent, "BTCUSDT"), &landed.rows);
    assert!(difference.is_none(), "{difference}");
    assert!(read_pyiceberg_at(&place, bad).await.rows.is_empty());

    front.mend();
    run_until_idle(&site, "3s").await;
    for (table, symbol) in [(good, "BTCUSDT"), (bad, "ETHUSDT")] {
        let landed = read_pyiceberg_at(&place, table).await;
        let difference = compare(&of(&sent, symbol), &landed.rows);
        assert!(difference.is_none(), "{table}: {difference}");
    }
}

/// What is said of each commit with rows: of which of these tables it was, and how long after its
/// interval's beginning, in ms.
fn commits<'a>(log: &str, tables: &[&'a str]) -> Vec<(&'a str, u64)> {
    let lines = log.lines().filter(|line| line.contains(COMMITTED));
    let of = |line: &str| {
        // Where the line comes from has the same key, and is behind it.
        let said = |table: &&&str| line.contains(&format!(r#""target":"{table}""#));
        let table = tables.iter().find(said)?;
        let line: Value = serde_json::from_str(line).ok()?;
        let rows = line["rows"].as_u64()?;
        (rows > 0).then_some((*table, line["took_ms"].as_u64()?))
    };
    lines.filter_map(of).collect()
}

/// The table that comes first by its name takes seconds for each commit. Once that is known, it goes
/// last: the other is told so long before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_table_is_committed_to_after_the_others() {
    const LATE: Duration = Duration::from_secs(2);
    let server = RestServer::start();
    let front = Front::before(server.url()).await;
    front.decide(|seen| {
        let commit = seen.method == "POST" && seen.path.ends_with("/tables/BTCUSDT");
        commit.then_some(Fault::Late(LATE))
    });
    let exchange = exchange(Speed::PerSecond(1500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let lake = json!({ "catalog": { "rest": front.url() }, "warehouse": server.warehouse() });
    site.set("/lakes/local", lake);
    let mut sink = trades_sink();
    sink["settings"] = json!({ "table": "market.{symbol}" });
    site.set("/pipelines/trades/sinks/lake", sink);
    let (slow, quick) = ("market.BTCUSDT", "market.ETHUSDT");

    let jackfield = run_until_idle(&site, "3s").await;
    let commits = commits(&jackfield.log(), &[slow, quick]);
    let late = u64::try_from(LATE.as_millis()).unwrap();
    // In one interval, since the slow one's time contains the other's.
    let last = |two: &[(&str, u64)]| {
        let ((first, before), (second, after)) = (two[0], two[1]);
        (first, second) == (quick, slow) && after >= before + late
    };
    assert!(commits.windows(2).any(last), "{commits:?}");
    exchange.finished().await;
    let sent = exchange.trades();
    let place = Place::behind(&server.url());
    for (table, symbol) in [(slow, "BTCUSDT"), (quick, "ETHUSDT")] {
        let landed = read_pyiceberg_at(&place, table).await;
        let difference = compare(&of(&sent, symbol), &landed.rows);
        assert!(difference.is_none(), "{table}: {difference}");
    }
}

/// Waits until a connector has taken so many records.
async fn until_taken(admin: &Admin, connector: &str, records: u64) {
    let path = format!("/status/{connector}");
    let taken = |now: &Value| now["records"].as_u64() >= Some(records);
    admin.until("all is taken", &path, taken).await;
}

/// Which of the sink's tasks a line is of.
fn task_of(line: &str) -> u64 {
    let line: Value = serde_json::from_str(line).unwrap();
    line["span"]["task"].as_u64().unwrap()
}

/// However many tasks there are, an interval of all of them is one snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn four_tasks_make_one_snapshot() {
    const TASKS: usize = 4;
    let exchange = exchange(Speed::Unlimited, |o| o.hold = true).await;
    let mut site = Site::new(&exchange).await;
    let mut sink = trades_sink();
    sink["tasks"] = json!(TASKS);
    sink["commit"] = json!({ "every": "1h" });
    site.set("/pipelines/trades/sinks/lake", sink);
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    // A task that joins later is given a partition of another's, which commits before it lets go of it.
    // There are as many partitions: with one each they are at rest.
    let (mut reading, mut told) = (BTreeSet::new(), 0);
    while reading.len() < TASKS {
        told += 1;
        let line = admin.jackfield.nth_line("reading from", told).await;
        reading.insert(task_of(&line));
    }
    exchange.start();
    until_taken(&admin, "trades-lake", ALL as u64).await;
    let told = admin.get("/connectors/trades-lake/status").await;
    assert_eq!(
        told["tasks"].as_array().map(Vec::len),
        Some(TASKS),
        "{told}"
    );
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    let table = assert_landed(&site.path().join("data"), &exchange.trades()).await;
    assert_eq!(table.about.snapshots.len(), 1);
    // Each symbol has a partition of the log, and so a task, of its own.
    let files = table.about.files.iter();
    let symbols: BTreeSet<_> = files.map(|it| it.partition["symbol"].to_string()).collect();
    assert_eq!(symbols.len(), 2, "{symbols:?}");
}

/// What `count_rows.py` says of a table.
async fn rows_counted(site: &Site, table: &str) -> Value {
    let (catalog, warehouse) = (site.catalog(), site.warehouse());
    let catalog = ["--catalog", catalog.to_str().unwrap()];
    let warehouse = ["--warehouse", warehouse.to_str().unwrap()];
    let args = [catalog, warehouse, ["--table", table]].concat();
    serde_json::from_str(&python("count_rows.py", &args, "").await).unwrap()
}

/// The same of the trades of one symbol.
fn sent_counted(trades: &[Trade], symbol: &str) -> Value {
    let ids: BTreeSet<i64> = of(trades, symbol).iter().map(|it| it.trade_id).collect();
    let sum: i128 = ids.iter().copied().map(i128::from).sum();
    json!({ "rows": ids.len(), "distinct": ids.len(), "first": ids.first(), "last": ids.last(),
        "sum": sum.to_string() })
}

/// Half a million records wait before the sinks first start. One of these spreads them over 2,000
/// partitions, and its instances stay within their memory; the other commits all the way through.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_backlog_lands_in_steps_and_over_two_thousand_partitions() {
    const LAPS: u32 = 32;
    const PARTITIONS: u64 = 2000;
    /// Fewer than a busy machine makes, and more than a sink that commits when it has read all.
    const STEPS_MIN: usize = 5;
    let exchange = exchange(Speed::Unlimited, |o| o.laps = LAPS).await;
    let total = exchange.status().total;
    assert!(total >= 500_000, "{total}");
    let mut site = Site::new(&exchange).await;
    site.set("/pipelines/trades/sinks", json!({}));
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    until_taken(&admin, "trades-source", total).await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);

    site.set("/pipelines/trades/source", Value::Null);
    site.set("/plugins/binance", Value::Null);
    site.set("/plugins/iceberg/memory", json!("256MiB"));
    let mut spread = trades_sink();
    spread["commit"] = json!({ "every": "1h" });
    let by = format!("bucket({PARTITIONS}, trade_id)");
    spread["settings"] = json!({ "table": TABLE, "partition-by": [by] });
    let mut steps = trades_sink();
    steps["commit"] = json!({ "every": "1h", "rows": 1000 });
    steps["settings"] = json!({ "table": "market.steps" });
    let sinks = json!({ "spread": spread, "steps": steps });
    site.set("/pipelines/trades/sinks", sinks);
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    for connector in ["trades-spread", "trades-steps"] {
        until_taken(&admin, connector, total).await;
        let told = admin.get(&format!("/connectors/{connector}/status")).await;
        assert_eq!(told["connector"]["state"], "RUNNING", "{told}");
        for name in [
            "jackfield_restarts_total",
            "jackfield_component_deaths_total",
        ] {
            assert_eq!(admin.figure(name, connector).await, 0, "{connector} {name}");
        }
    }
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);

    let sent = exchange.trades();
    for (table, partitions) in [(TABLE, PARTITIONS), ("market.steps", 1)] {
        let counted = rows_counted(&site, table).await;
        assert_eq!(counted["partitions"], partitions, "{table}");
        for symbol in ["BTCUSDT", "ETHUSDT"] {
            let expected = sent_counted(&sent, symbol);
            assert_eq!(counted["symbols"][symbol], expected, "{table} {symbol}");
        }
    }
    let data = site.path().join("data");
    let snapshots = describe_pyiceberg(&data, "market.steps").await.snapshots;
    let added = snapshots
        .iter()
        .filter_map(|it| it.summary.get("added-records"));
    let most = added.map(|it| it.parse::<u64>().unwrap()).max();
    println!("{} steps, of at most {most:?} rows", snapshots.len());
    assert!(snapshots.len() >= STEPS_MIN, "{}", snapshots.len());
    assert!(most < Some(total / 2), "{most:?} of {total}");
}
