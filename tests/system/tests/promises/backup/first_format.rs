//! What the first format left behind, `tests/system/formats/1.tar.gz`: how that is made, and that
//! it opens.

use std::path::Path;
use std::process::Command;

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{Place, Site, compare, python, read_pyiceberg_at, repository};
use jackfield_test_lakes::S3Server;
use serde_json::{Value, json};

use super::{site, well};
use crate::lakes::{TABLE, in_s3};
use crate::rest::{Rest, sink};
use crate::{exchange, run_until_idle};

/// Set, it makes the tarball anew before that is opened.
const UPDATE: &str = "UPDATE_FORMATS";
/// The first version that writes the format. What a later one writes shows nothing of it.
const MADE_BY: &str = "0.1.0";
/// A source and a sink of the file, and a sink that was made over REST.
const CONNECTORS: [&str; 3] = ["trades-source", "trades-lake", "copy"];
/// What the sink that was made over REST writes.
const COPIES: &str = "market.copies";
/// Records that this sink has left in the log at least, so that the batches of the log are read.
const UNREAD: u64 = 2000;
/// In the tarball beside the backup: what the bucket held, and what is to be found after opening.
const OBJECTS: &str = "objects";
const LEFT: &str = "left.json";

/// The example with a grant for what is made over REST. Its lake lies in a bucket: tables name
/// their files by whole paths, and only a bucket's are the same in each test's folder.
async fn in_a_bucket(exchange: &Running, store: &S3Server) -> Site {
    let mut site = site(exchange).await;
    site.set("/lakes/local", in_s3(&store.url()));
    site.set("/grants", json!({ "spot": { "lake": "local" } }));
    site.set("/admin", json!({ "auth": "none" }));
    site
}

fn place(site: &Site, store: &S3Server) -> Place {
    Place::in_s3(&site.path().join("data"), "s3://lake/w", &store.url())
}

fn offsets(connector: &str) -> String {
    format!("/connectors/{connector}/offsets")
}

/// Records that a sink's group has committed, in all partitions together.
fn committed(offsets: &Value) -> u64 {
    let each = offsets["offsets"].as_array().into_iter().flatten();
    each.filter_map(|it| it["offset"]["kafka_offset"].as_u64())
        .sum()
}

async fn stop(rest: &Rest, connector: &str) {
    rest.told("PUT", &format!("/connectors/{connector}/stop"), 204)
        .await;
    rest.state(connector, "STOPPED").await;
}

/// Saves the bucket beside the backup, or puts what was saved into another one.
async fn bucket(what: &str, site: &Site, store: &S3Server) {
    let (url, folder) = (store.url(), site.path().join(OBJECTS));
    let folder = folder.to_str().unwrap();
    let options = ["--endpoint", &url, "--bucket", "lake", "--folder", folder];
    python("bucket.py", &[&[what][..], &options].concat(), "").await;
}

fn tar(arguments: &[&str], site: &Site, file: &Path) {
    let mut tar = Command::new("tar");
    tar.arg("--directory").arg(site.path());
    tar.arg("--file").arg(file).args(arguments);
    assert!(tar.status().unwrap().success(), "{tar:?}");
}

/// Each connector is stopped, the one that was made over REST far behind the other sink.
async fn make(fixture: &Path) {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(version, MADE_BY, "a released format's backup never changes");
    let exchange = exchange(Speed::PerSecond(1500.0), |_| {}).await;
    let store = S3Server::start().await;
    let site = in_a_bucket(&exchange, &store).await;
    let rest = Rest::run(&site).await;
    let some = |now: &Value| committed(now) > 0;
    rest.until("the topic is there", &offsets("trades-lake"), some)
        .await;
    let mut config = sink();
    config["table"] = json!(COPIES);
    let (status, said) = rest.ask("PUT", "/connectors/copy/config", config).await;
    assert_eq!(status, 201, "{said}");
    rest.until("the copy has begun", &offsets("copy"), some)
        .await;
    stop(&rest, "copy").await;
    let copied = committed(&rest.get(&offsets("copy")).await);
    let ahead = |now: &Value| committed(now) > copied + UNREAD;
    rest.until("the other sink is ahead", &offsets("trades-lake"), ahead)
        .await;
    for connector in ["trades-source", "trades-lake"] {
        stop(&rest, connector).await;
    }
    let mut left = json!({ "offsets": {}, "rows": {} });
    for connector in CONNECTORS {
        left["offsets"][connector] = rest.get(&offsets(connector)).await;
    }
    rest.stop().await;
    for table in [TABLE, COPIES] {
        let read = read_pyiceberg_at(&place(&site, &store), table).await;
        left["rows"][table] = json!(read.rows.len());
    }
    well(&site, "backup", &[]).await;
    bucket("save", &site, &store).await;
    let text = serde_json::to_string_pretty(&left).unwrap();
    std::fs::write(site.path().join(LEFT), text).unwrap();
    let plain = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner"];
    let packed = ["--mtime=@0", "--create", "--gzip", "backup", OBJECTS, LEFT];
    tar(&[&plain[..], &packed].concat(), &site, fixture);
}

/// Log, state and lake as the tarball has them; what was left in them.
async fn unpack(fixture: &Path, site: &Site, store: &S3Server) -> Value {
    tar(&["--extract", "--gzip"], site, fixture);
    well(site, "restore", &["--without-lakes"]).await;
    // `restore` puts a catalog back where it was saved from only.
    let catalog = site.path().join("backup/parts/lake-local-catalog");
    std::fs::copy(catalog, site.catalog()).unwrap();
    bucket("load", site, store).await;
    let left = std::fs::read_to_string(site.path().join(LEFT)).unwrap();
    serde_json::from_str(&left).unwrap()
}

/// What the first version left behind: where its connectors stood and what they were to do is known,
/// the one that was made over REST is there, and all go on without losing or doubling a trade.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_and_a_state_of_the_first_format_open() {
    let fixture = repository().join("tests/system/formats/1.tar.gz");
    if std::env::var_os(UPDATE).is_some() {
        make(&fixture).await;
    }
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let store = S3Server::start().await;
    let site = in_a_bucket(&exchange, &store).await;
    let left = unpack(&fixture, &site, &store).await;
    let kept = &left["offsets"];
    let (copied, landed) = (committed(&kept["copy"]), committed(&kept["trades-lake"]));
    assert!(0 < copied && copied < landed, "{left}");

    let rest = Rest::run(&site).await;
    for connector in CONNECTORS {
        rest.state(connector, "STOPPED").await;
        let now = rest.get(&offsets(connector)).await;
        assert_eq!(now, kept[connector], "{connector}");
    }
    let made = rest.get("/connectors/copy/config").await;
    assert_eq!(made["table"], COPIES, "{made}");
    assert_eq!(made["jackfield.grant"], "spot", "{made}");
    for table in [TABLE, COPIES] {
        let read = read_pyiceberg_at(&place(&site, &store), table).await;
        assert_eq!(json!(read.rows.len()), left["rows"][table], "{table}");
    }

    for connector in CONNECTORS {
        rest.told("PUT", &format!("/connectors/{connector}/resume"), 202)
            .await;
        rest.state(connector, "RUNNING").await;
    }
    exchange.finished().await;
    rest.stop().await;
    run_until_idle(&site, "4s").await;
    for table in [TABLE, COPIES] {
        let read = read_pyiceberg_at(&place(&site, &store), table).await;
        let difference = compare(&exchange.trades(), &read.rows);
        assert!(difference.is_none(), "{table}: {difference}");
    }
}
