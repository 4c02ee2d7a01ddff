//! Two processes commit for one connector to one table. Each has a log of its own with the same
//! records, and nothing tells it of the other but the table.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{
    About, Jackfield, PATIENCE, Place, Site, Table, compare, read_pyiceberg_at, trades_sink,
};
use jackfield_test_kafka::{Fate, Proxy, Side};
use jackfield_test_lakes::{Fault, Front, PostgresServer, RestServer};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{TABLE, until};
use crate::lakes_kills::is_commit;
use crate::lakes_upkeep::files_below;
use crate::{COMMITTED, exchange, run_until_idle};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_committers_behind_a_rest_catalog_the_late_one_is_fenced() {
    let server = RestServer::start();
    let front = Front::before(server.url()).await;
    let (met, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let released = Arc::new(AtomicBool::new(false));
    let (meeting, holding, told) = (met.clone(), release.clone(), released.clone());
    let mut first = true;
    front.decide(move |seen| {
        if !is_commit(seen) || told.load(Ordering::SeqCst) {
            return None;
        }
        if std::mem::take(&mut first) {
            meeting.notify_one();
            return Some(Fault::Held(holding.clone()));
        }
        // Who does not wait for the first answer gets no other one meanwhile.
        Some(Fault::Status(503, String::new()))
    });
    let lake = |url: String| json!({ "catalog": { "rest": url }, "warehouse": server.warehouse() });
    let held = async {
        let in_time = timeout(PATIENCE, met.notified()).await.is_ok();
        assert!(in_time, "the late one does not commit");
    };
    let release = || {
        released.store(true, Ordering::SeqCst);
        release.notify_one();
    };
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = filled(&exchange).await;
    let quick = beside(&mut site, lake(server.url()));
    site.set("/lakes/local", lake(front.url()));
    let place = Place::behind(&server.url());
    late_is_fenced(&site, quick.path(), &place, held, release).await;
    landed_once(&exchange, &place, &server.warehouse()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_committers_in_postgres_the_late_one_is_fenced() {
    let server = spawn_blocking(PostgresServer::start).await.unwrap();
    let proxy = Proxy::listen();
    proxy.to(server.port());
    proxy.when(Side::Client, b"UPDATE iceberg_tables", Fate::Cut);
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = filled(&exchange).await;
    let warehouse = site.warehouse();
    let lake = |uri: String| json!({ "catalog": { "sql": uri }, "warehouse": warehouse });
    let quick = beside(&mut site, lake(server.uri()));
    site.set("/lakes/local", lake(server.uri_at(proxy.port())));
    let place = Place::in_postgres(&site.path().join("data"), &server.uri());
    let held = until("the late one commits", || proxy.has_met());
    late_is_fenced(&site, quick.path(), &place, held, || proxy.mend()).await;
    landed_once(&exchange, &place, &site.warehouse()).await;
}

/// A site that only reads, of whose log no sink has read anything yet.
async fn filled(exchange: &Running) -> Site {
    let mut site = Site::new(exchange).await;
    site.set("/pipelines/trades/sinks", json!({}));
    run_until_idle(&site, "3s").await;
    exchange.finished().await;
    site.set("/pipelines/trades/source", Value::Null);
    site.set("/plugins/binance", Value::Null);
    site.set("/pipelines/trades/topics/gap", Value::Null);
    site.set("/pipelines/trades/sinks", json!({ "lake": trades_sink() }));
    site
}

/// A folder with a copy of a site's log, and its file with another way to the lake.
fn beside(site: &mut Site, lake: Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut copy = Command::new("cp");
    copy.arg("-R").arg(site.path().join("data"));
    assert!(copy.arg(folder.path()).status().unwrap().success());
    site.set("/lakes/local", lake);
    std::fs::copy(site.file(), folder.path().join("pipeline.yaml")).unwrap();
    folder
}

/// The site's process is about to commit, and is held up; the one beside it commits all there is; then
/// the first one's commit gets through.
async fn late_is_fenced(
    site: &Site,
    beside: &Path,
    place: &Place,
    held: impl Future<Output = ()>,
    release: impl FnOnce(),
) {
    let mut late = Jackfield::run(site, &[]);
    held.await;
    assert!(table(place).await.about.snapshots.is_empty());
    let file = beside.join("pipeline.yaml");
    let mut quick = Jackfield::run_file(&file, &["--until-idle", "3s"]);
    quick.line(COMMITTED).await;
    assert_eq!(quick.wait().await, 0);
    let before = table(place).await.about.snapshots.len();
    assert!(before > 0);
    assert_eq!(late.count(COMMITTED), 0, "it has been held up");

    release();
    let fenced = late.line("is stored up to").await;
    assert!(fenced.contains("these pieces begin at 0"), "{fenced}");
    late.line("sink restarts from what its targets hold").await;
    late.terminate().await;
    assert_eq!(late.wait().await, 0);
    let again = run_until_idle(site, "2s").await;
    assert_eq!(late.count(COMMITTED) + again.count(COMMITTED), 0);
    assert_eq!(table(place).await.about.snapshots.len(), before);
}

async fn table(place: &Place) -> Table<About> {
    read_pyiceberg_at(place, TABLE).await
}

/// Each trade is in the table once; what the late one wrote lies in the warehouse, and nothing refers
/// to it.
async fn landed_once(exchange: &Running, place: &Place, warehouse: &Path) {
    let table = table(place).await;
    let difference = compare(&exchange.trades(), &table.rows);
    assert!(difference.is_none(), "{difference}");
    let files = table.about.files.iter();
    let referred: BTreeSet<String> = files.map(|it| name(Path::new(&it.path))).collect();
    let all = files_below(warehouse).into_iter();
    // No two of them share a name.
    let data = all.filter(|it| it.extension().is_some_and(|it| it == "parquet"));
    let there: BTreeSet<String> = data.map(|it| name(&it)).collect();
    assert!(there.is_superset(&referred));
    assert!(there.len() > referred.len(), "the late one wrote nothing");
}

fn name(path: &Path) -> String {
    let name = path.file_name().and_then(|it| it.to_str());
    name.expect("a file of the sink's has a name").to_owned()
}
