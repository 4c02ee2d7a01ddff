//! A backup, put back: everything, or the log alone.

mod first_format;

use std::path::Path;
use std::process::{Command, Output};

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{
    Artifacts, Jackfield, Site, output, python, repository, shared_cluster,
};
use serde_json::{Value, json};

use crate::{COMMITTED, assert_landed, exchange, run_until_idle};

/// Slow enough for trades to be left for a second life, on a busy machine too.
const TRADES_PER_SECOND: f64 = 1000.0;

/// A site whose state is its own, with the components compiled already.
async fn site(exchange: &Running) -> Site {
    let mut site = Site::new(exchange).await;
    site.set("/state", json!("data/state"));
    keep_compiled(&site);
    site
}

fn keep_compiled(site: &Site) {
    let state = site.path().join("data/state");
    std::fs::create_dir_all(&state).unwrap();
    let copied = Command::new("cp")
        .args(["-a"])
        .args([Artifacts::get().state.join("plugins"), state])
        .status();
    assert!(copied.unwrap().success());
}

async fn jackfield(site: &Site, command: &str, arguments: &[&str]) -> Output {
    let file = site.file();
    let backup = site.path().join("backup");
    let given = [command, file.to_str().unwrap(), backup.to_str().unwrap()];
    output(&[&given[..], arguments].concat()).await
}

async fn well(site: &Site, command: &str, arguments: &[&str]) -> String {
    let output = jackfield(site, command, arguments).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{command}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs for a while, makes something visible and stops cleanly.
async fn run_to(site: &Site, exchange: &Running, trades: u64) {
    let mut jackfield = Jackfield::run(site, &[]);
    // The exchange may have come so far before this life has begun.
    jackfield.line(COMMITTED).await;
    exchange.reached(trades).await;
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
}

fn move_away(path: &Path) {
    std::fs::rename(path, path.with_extension("old")).unwrap();
}

/// The page's own program, but for which lake and which backup.
fn take_back(site: &Site) -> String {
    let page = std::fs::read_to_string(repository().join("docs/OPERATIONS.md")).unwrap();
    let program = page.split("```python\n").nth(1).unwrap();
    let mut program = program.split("```").next().unwrap().to_owned();
    let catalog = format!("sqlite:///{}", site.catalog().display());
    let manifest = site.path().join("backup/backup.json");
    for (theirs, ours) in [
        ("\"lake\"", "\"local\""),
        (
            "postgresql+psycopg2://iceberg:PASSWORD@localhost/iceberg",
            &catalog,
        ),
        (
            "/var/backups/jackfield/2026-11-27/backup.json",
            manifest.to_str().unwrap(),
        ),
    ] {
        assert!(program.contains(theirs), "{theirs}: {program}");
        program = program.replace(theirs, ours);
    }
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_put_back_goes_on_and_every_trade_is_there_once() {
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |_| {}).await;
    let site = site(&exchange).await;
    let mut running = Jackfield::run(&site, &[]);
    exchange.reached(4000).await;
    let refused = jackfield(&site, "backup", &[]).await;
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("open in another process"), "{said}");
    running.terminate().await;
    assert_eq!(running.wait().await, 0);
    let said = well(&site, "backup", &[]).await;
    for part in ["log", "state", "lake-local-catalog", "lake-local-warehouse"] {
        assert!(said.contains(part), "{said}");
    }

    // More happens after it, and then all is lost.
    run_to(&site, &exchange, 9000).await;
    let refused = jackfield(&site, "restore", &[]).await;
    assert_eq!(refused.status.code(), Some(1), "nothing is overwritten");
    move_away(&site.path().join("data"));
    keep_compiled(&site);
    well(&site, "restore", &[]).await;
    run_until_idle(&site, "4s").await;
    exchange.finished().await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

/// What docs/OPERATIONS.md says for a lake that is not part of the backup.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_older_than_its_table_goes_on_once_the_table_is_taken_back() {
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |_| {}).await;
    let site = site(&exchange).await;
    run_to(&site, &exchange, 4000).await;
    well(&site, "backup", &["--without-lakes"]).await;
    run_to(&site, &exchange, 9000).await;

    let data = site.path().join("data");
    move_away(&data.join("log"));
    move_away(&data.join("state"));
    keep_compiled(&site);
    let said = well(&site, "restore", &["--without-lakes"]).await;
    assert!(said.contains("take its tables back"), "{said}");
    let script = site.path().join("take_back.py");
    std::fs::write(&script, take_back(&site)).unwrap();
    let said = python(script.to_str().unwrap(), &[], "").await;
    assert!(said.contains("market.trades is at"), "{said}");
    run_until_idle(&site, "4s").await;
    exchange.finished().await;
    assert_landed(&data, &exchange.trades()).await;
}

/// The log is elsewhere and has no lock here, but a catalog and a warehouse are.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_log_is_kafka_is_noticed_by_its_name() {
    let exchange = exchange(Speed::PerSecond(1000.0), |_| {}).await;
    let mut site = site(&exchange).await;
    site.on_kafka(&shared_cluster().await);
    site.set("/log/kafka/worker", Value::Null);
    // Nobody's, so that it is the name alone that tells.
    site.set("/admin", json!({ "listen": "127.0.0.1:0" }));
    let mut running = Jackfield::run(&site, &[]);
    running.admin().await;
    let refused = jackfield(&site, "backup", &[]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("worker-0"), "{said}");
    running.terminate().await;
    assert_eq!(running.wait().await, 0);
    let said = well(&site, "backup", &[]).await;
    assert!(said.contains("state"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_who_is_there() {
    let exchange = exchange(Speed::PerSecond(1000.0), |_| {}).await;
    let site = Site::new(&exchange).await;
    let file = site.file();
    let mut running = Jackfield::run(&site, &[]);
    let url = running.admin().await;
    let address = url.strip_prefix("http://").unwrap();
    let ask = ["health", file.to_str().unwrap(), "--address", address];
    let alive = output(&ask).await;
    assert_eq!(alive.status.code(), Some(0));
    let ready = output(&[&ask[..], &["--ready", "--within", "120s"]].concat()).await;
    let said = String::from_utf8_lossy(&ready.stdout);
    assert_eq!(ready.status.code(), Some(0), "{said}");
    assert!(said.contains("trades-lake"), "{said}");
    running.kill().await;
    let gone = output(&ask).await;
    assert_eq!(gone.status.code(), Some(1));
}
