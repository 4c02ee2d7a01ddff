//! `kill -9` in each step of a commit: before the step is done, and when it is done and nobody knows.

mod unheard;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{Jackfield, PATIENCE, Place, Site, compare, http, read_pyiceberg_at};
use jackfield_test_lakes::{Fault, Front, RestServer, S3Server, Seen};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::lakes::{TABLE, in_s3};
use crate::{COMMITTED, exchange, run_until_idle};

/// Nobody waits for it: the process is killed meanwhile.
const FOR_EVER: Duration = Duration::from_secs(86_400);

/// Slow enough for trades to be left when the first commit has been made, by the third life at the
/// latest, on a busy machine too.
const TRADES_PER_SECOND: f64 = 300.0;

/// Tells a step by its request.
type IsStep = fn(&Seen) -> bool;

/// The steps that the store sees, in their order.
const IN_THE_STORE: [(&str, IsStep); 4] = [
    ("a data file", |it| is_put(it, ".parquet")),
    ("the manifest", |it| is_put(it, "-m0.avro")),
    ("the list of manifests", |it| {
        is_put(it, ".avro") && it.path.contains("/snap-")
    }),
    ("the table's document", is_document),
];

/// The steps of making a table that the catalog sees, in their order.
const OF_A_NEW_TABLE: [(&str, IsStep); 2] = [
    ("the namespace", |it| is_post(it, "/namespaces")),
    ("the table", |it| is_post(it, "/namespaces/market/tables")),
];

fn is_put(seen: &Seen, end: &str) -> bool {
    let path = seen.path.split('?').next().unwrap_or_default();
    seen.method == "PUT" && path.ends_with(end)
}

fn is_document(seen: &Seen) -> bool {
    is_put(seen, ".metadata.json")
}

fn is_post(seen: &Seen, end: &str) -> bool {
    seen.method == "POST" && seen.path.ends_with(end)
}

/// The step of a commit that the catalog sees.
pub(crate) fn is_commit(seen: &Seen) -> bool {
    is_post(seen, "/tables/trades")
}

/// Commits once, so that each commit after it goes on from another one.
async fn commit_once(site: &Site) {
    let mut jackfield = Jackfield::run(site, &[]);
    jackfield.line(COMMITTED).await;
    jackfield.kill().await;
}

/// Runs until the first request that is `step`, and kills: before it is done, or when it is done and
/// not answered.
async fn kill_at(site: &Site, front: &Front, name: &str, step: IsStep, done: bool) {
    let met = Arc::new(Notify::new());
    let telling = Arc::clone(&met);
    front.decide(move |seen| {
        if !step(seen) {
            return None;
        }
        if done {
            return Some(Fault::Withheld(Arc::clone(&telling)));
        }
        telling.notify_one();
        Some(Fault::Late(FOR_EVER))
    });
    let mut jackfield = Jackfield::run(site, &[]);
    let in_time = timeout(PATIENCE, met.notified()).await.is_ok();
    assert!(in_time, "{name} is never met: {}", jackfield.log());
    jackfield.kill().await;
    front.mend();
}

async fn assert_all_landed(site: &Site, exchange: &Running, place: &Place) {
    run_until_idle(site, "3s").await;
    exchange.finished().await;
    let table = read_pyiceberg_at(place, TABLE).await;
    let difference = compare(&exchange.trades(), &table.rows);
    assert!(difference.is_none(), "{difference}");
}

async fn snapshots(place: &Place) -> usize {
    read_pyiceberg_at(place, TABLE).await.about.snapshots.len()
}

/// None of these kills lets a commit happen, so that each meets the same one. The first two meet the
/// document of the table that is made.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_each_step_of_a_commit_loses_and_doubles_nothing() {
    let server = S3Server::start().await;
    let front = Front::before(server.url()).await;
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set("/lakes/local", in_s3(&front.url()));
    for done in [false, true] {
        kill_at(&site, &front, "the first document", is_document, done).await;
    }
    commit_once(&site).await;
    let data = site.path().join("data");
    let place = Place::in_s3(&data, "s3://lake/w", &server.url());
    let before = snapshots(&place).await;
    for (name, step) in IN_THE_STORE {
        for done in [false, true] {
            kill_at(&site, &front, name, step, done).await;
            assert_eq!(snapshots(&place).await, before, "{name}, done: {done}");
        }
    }
    assert_all_landed(&site, &exchange, &place).await;
}

/// The last step is the catalog's: after the second kill the commit has happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_the_catalogs_step_of_a_commit_loses_and_doubles_nothing() {
    let server = RestServer::start();
    let front = Front::before(server.url()).await;
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let lake = json!({ "catalog": { "rest": front.url() }, "warehouse": server.warehouse() });
    site.set("/lakes/local", lake);
    commit_once(&site).await;
    let place = Place::behind(&server.url());
    let mut before = snapshots(&place).await;
    for done in [false, true] {
        kill_at(&site, &front, "the catalog's step", is_commit, done).await;
        let now = snapshots(&place).await;
        assert_eq!(now, before + usize::from(done), "done: {done}");
        before = now;
    }
    assert_all_landed(&site, &exchange, &place).await;
}

/// Nothing is there at first: each kill leaves what it says of it, and the next life goes on from that.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_a_table_is_made_loses_and_doubles_nothing() {
    let server = RestServer::start();
    let front = Front::before(server.url()).await;
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let lake = json!({ "catalog": { "rest": front.url() }, "warehouse": server.warehouse() });
    site.set("/lakes/local", lake);
    let made = ["/namespaces/market", "/namespaces/market/tables/trades"];
    for ((name, step), what) in OF_A_NEW_TABLE.into_iter().zip(made) {
        for done in [false, true] {
            kill_at(&site, &front, name, step, done).await;
            assert_eq!(is_there(&server, what).await, done, "{name}, done: {done}");
        }
    }
    let place = Place::behind(&server.url());
    assert_eq!(snapshots(&place).await, 0);
    assert_all_landed(&site, &exchange, &place).await;
}

/// Whether a REST catalog has this.
async fn is_there(server: &RestServer, what: &str) -> bool {
    let url = format!("{}/v1{what}", server.url());
    http().get(url).send().await.unwrap().status().is_success()
}
