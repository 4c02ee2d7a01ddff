//! A change of the catalog's row that PostgreSQL makes, and whose answer is lost.

use std::collections::BTreeSet;
use std::path::Path;

use jackfield_system_tests::{Jackfield, Place, Site, read_pyiceberg_at};
use jackfield_test_kafka::{Fate, Proxy, Side};
use jackfield_test_lakes::PostgresServer;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::TRADES_PER_SECOND;
use crate::lakes::{TABLE, until};
use crate::{COMMITTED, assert_holds_so_far, lasting_exchange};

/// How the server's answer to such a change begins. It sends nothing of it before the transaction, of
/// this one statement, is committed.
const CHANGED: &[u8] = b"UPDATE 1\0";

/// Where a snapshot says which commit made it.
const COMMIT_ID: &str = "jackfield.commit-id.trades-lake";

/// The first commit's answer, and that of one which goes on from another.
const LOST: usize = 2;

/// What has happened is found by loading the table: nothing is committed again, no life ends, and the
/// document that the row names is not taken for one that nobody needs.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_to_postgres_whose_answer_is_lost_is_found_and_not_made_again() {
    let server = spawn_blocking(PostgresServer::start).await.unwrap();
    let proxy = Proxy::listen();
    proxy.to(server.port());
    let exchange = lasting_exchange(TRADES_PER_SECOND).await;
    let mut site = Site::new(&exchange).await;
    let uri = server.uri_at(proxy.port());
    let lake = json!({ "catalog": { "sql": uri }, "warehouse": "data/warehouse" });
    site.set("/lakes/local", lake);
    proxy.when(Side::Server, CHANGED, Fate::Ended);
    let mut jackfield = Jackfield::run(&site, &[]);
    for lost in 1..=LOST {
        until("the catalog's row is changed", || proxy.has_met()).await;
        if lost < LOST {
            proxy.when(Side::Server, CHANGED, Fate::Ended);
        }
    }
    jackfield.nth_line(COMMITTED, LOST).await;
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
    for said in [
        "sink restarts from what its targets hold",
        "the committer tries again",
    ] {
        assert_eq!(jackfield.count(said), 0, "{said}");
    }
    let place = Place::in_postgres(&site.path().join("data"), &server.uri());
    let table = read_pyiceberg_at(&place, TABLE).await;
    assert_holds_so_far(&table, &exchange.trades(), 1);
    let snapshots = &table.about.snapshots;
    let ids = snapshots.iter().map(|it| &it.summary[COMMIT_ID]);
    let commits: BTreeSet<&String> = ids.collect();
    assert_eq!(commits.len(), snapshots.len(), "one is there twice");
    let folder = site.warehouse().join("market/trades/metadata");
    let kept = documents(&folder);
    assert_eq!(kept, snapshots.len() + 1, "the first, and each commit's");
}

/// How many documents of a table a folder has.
fn documents(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|it| it.ends_with(".metadata.json")).count()
}
