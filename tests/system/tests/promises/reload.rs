//! The file changes while it runs: what differs changes, the rest never notices.

mod grants;
mod refused;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use jackfield_exchange::{Running, Speed, Trade};
use jackfield_system_tests::{
    Artifacts, Jackfield, Site, compare, http, metric, read_pyiceberg, trades_sink,
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::admin::Admin;
use crate::{assert_landed, ends_amid_the_feed, exchange, lasting_exchange};

/// The connectors' names.
fn names(status: &Value) -> Vec<&str> {
    let all = status.as_array().expect("a list");
    let mut names: Vec<_> = all.iter().map(|it| it["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

const APPLIED: &str = "the changed file is applied";
const REFUSED: &str = "the file is not applied";
const COPY_ADDED: &str = r#"added":"[\"copy-lake\"]"#;

/// Of the topic of trades.
const PARTITIONS: usize = 4;
/// A file of this size has room for more.
const ROOMY_BYTES: usize = 16 * 1024;

/// The place in the file where this stands, as a refusal names it.
fn place(site: &Site, text: &str) -> String {
    let file = std::fs::read_to_string(site.file()).unwrap();
    let at = file.lines().position(|line| line.contains(text)).unwrap();
    format!("pipeline.yaml:{}:", at + 1)
}

/// Another sink on the topic of trades, in a pipeline of its own.
fn copy() -> Value {
    let mut sink = trades_sink();
    sink["topics"] = json!(["trade"]);
    sink["settings"]["table"] = json!("market.copy");
    json!({
        "delivery": "exactly-once",
        "topics": { "trade": { "name": "binance.spot.trade", "partitions": PARTITIONS } },
        "sinks": { "lake": sink }
    })
}

/// Exactly these trades have landed in both tables.
async fn assert_landed_twice(site: &Site, sent: &[Trade]) {
    let data = site.path().join("data");
    assert_landed(&data, sent).await;
    let copied = read_pyiceberg(&data, "market.copy").await;
    let difference = compare(sent, &copied.rows);
    assert!(difference.is_none(), "{difference}");
    assert_eq!(copied.rows.len(), sent.len());
}

/// Ends it amid the feed, of which both tables have what their sinks have put.
async fn ends_with_both(mut admin: Admin, site: &Site, exchange: &Running) -> Jackfield {
    let mut put = Vec::new();
    for (connector, table) in [
        ("trades-lake", "market.trades"),
        ("copy-lake", "market.copy"),
    ] {
        let path = format!("/status/{connector}");
        let some = |now: &Value| now["records"].as_u64() > Some(0);
        let now = admin.until("it takes", &path, some).await;
        put.push((table, now["records"].as_u64().unwrap()));
    }
    ends_amid_the_feed(&mut admin.jackfield, site, exchange, &put).await;
    admin.jackfield
}

/// How often a sink began to read a partition.
fn begun(log: &str, connector: &str) -> usize {
    let (message, of) = (
        r#""message":"reading from""#,
        format!(r#""connector":"{connector}""#),
    );
    let lines = log.lines();
    let lines = lines.filter(|line| line.contains(message) && line.contains(&of));
    lines.count()
}

/// Waits until the source has taken more.
async fn goes_on(admin: &Admin) {
    let source = "/status/trades-source";
    let records = |now: &Value| now["records"].as_u64().unwrap_or_default();
    let before = records(&admin.get(source).await);
    admin
        .until("it goes on", source, |now| records(now) > before)
        .await;
}

pub(crate) async fn hang_up(jackfield: &Jackfield) {
    let pid = jackfield.pid().unwrap().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status().await;
    assert!(sent.unwrap().success());
}

/// Fills a file up with empty lines, so that its size tells nothing.
fn fill_up(file: &Path) {
    let mut text = std::fs::read_to_string(file).unwrap();
    let missing = ROOMY_BYTES - text.len();
    text.push_str(&"\n".repeat(missing));
    std::fs::write(file, text).unwrap();
}

/// A pipeline is added, another one removed, a connector swapped, another one replaced: all by
/// editing the file. What is wrong changes nothing and says where. The others never begin anew, and
/// the trades land once.
#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_changes_what_differs_and_nothing_else() {
    let exchange = exchange(Speed::PerSecond(1500.0), |o| o.laps = 3).await;
    let mut site = Site::new(&exchange).await;
    let hostile = json!({ "file": Artifacts::get().plugin("hostile"), "memory": "32MiB" });
    site.set("/plugins/hostile", hostile);
    let steady = json!({
        "source": { "plugin": "hostile", "settings": {} },
        "topics": { "only": { "name": "steady" } }
    });
    site.set("/pipelines/steady", steady);
    let mut admin = Admin::run(&site, &["--until-idle", "6s"]).await;
    let source = "/status/trades-source";
    let before = admin
        .until("it runs", source, |now| now["records"] != 0)
        .await;

    // A file that is wrong, one that is not a file of ours, and a change that needs a restart.
    let tasks = "/pipelines/trades/sinks/lake/tasks";
    site.set(tasks, json!("many"));
    let line = admin.jackfield.line(REFUSED).await;
    let at = place(&site, r#""tasks""#);
    assert!(line.contains("tasks") && line.contains(&at), "{line}");
    site.set(tasks, Value::Null);
    let settings = "/pipelines/trades/source/settings/symbols";
    site.set(settings, json!("BTCUSDT"));
    let line = admin.jackfield.line("a list").await;
    assert!(line.contains(REFUSED) && line.contains("symbols"), "{line}");
    let at = place(&site, r#""symbols""#);
    assert!(line.contains(&at), "{line}");
    site.set(settings, json!(["BTCUSDT", "ETHUSDT"]));
    // A sink where a source runs, and a swap that fails before it takes over.
    let plugin = "/pipelines/steady/source/plugin";
    site.set(plugin, json!("iceberg"));
    let line = admin.jackfield.line("is no source").await;
    assert!(line.contains(REFUSED) && line.contains("iceberg"), "{line}");
    let at = "pipelines.steady.source.plugin";
    assert!(line.contains(at), "{line}");
    site.set(plugin, json!("hostile"));
    let settings = "/pipelines/steady/source/settings";
    site.set(settings, json!({ "in": "plan", "do": "panic" }));
    let line = admin.jackfield.line("steady-source: it fails").await;
    assert!(line.contains(REFUSED) && line.contains("as told"), "{line}");
    assert!(line.contains(at), "{line}");
    site.set(settings, json!({}));
    site.set("/log/embedded/retention", json!("1h"));
    admin
        .jackfield
        .line("a change of `log` needs a restart")
        .await;
    site.set("/log/embedded/retention", Value::Null);
    assert!(
        !admin.jackfield.log().contains(APPLIED),
        "nothing was changed"
    );
    for connector in ["steady-source", "trades-lake", "trades-source"] {
        let swaps = admin.get(&format!("/connectors/{connector}/swaps")).await;
        assert_eq!(swaps, json!([]), "{connector}");
    }

    site.set("/pipelines/copy", copy());
    admin
        .until("it is added", "/status", |now| {
            names(now).contains(&"copy-lake")
        })
        .await;
    let committed = |now: &Value| now["committed"] != 0;
    admin
        .until("it commits", "/status/copy-lake", committed)
        .await;

    // Its commits are to come otherwise: it begins anew, where it was.
    site.set(
        "/pipelines/copy/sinks/lake/commit",
        json!({ "every": "300ms" }),
    );
    admin.jackfield.line(r#"replaced":"[\"copy-lake\"]"#).await;
    // Other settings of the source: a swap.
    site.set(
        "/pipelines/trades/source/settings/silence-after",
        json!("2s"),
    );
    admin
        .jackfield
        .line(r#"swapped":"[\"trades-source\"]"#)
        .await;
    let swaps = admin.get("/connectors/trades-source/swaps").await;
    assert_eq!(swaps[0]["by"], "the configuration", "{swaps}");
    let metrics = http().get(format!("{}/metrics", admin.url)).send().await;
    let metrics = metrics.unwrap().text().await.unwrap();
    for connector in ["copy-lake", "steady-source", "trades-lake", "trades-source"] {
        let restarts = metric(&metrics, "jackfield_restarts_total", connector);
        assert!(restarts < 1.0, "{connector}: {restarts}");
    }
    // A pipeline less.
    site.set("/pipelines/steady", Value::Null);
    let left = ["copy-lake", "trades-lake", "trades-source"];
    admin
        .until("it is removed", "/status", |now| names(now) == left)
        .await;

    assert_eq!(admin.jackfield.wait().await, 0);
    let log = admin.jackfield.log();
    assert!(!log.contains("restarts from what"), "{log}");
    let changes = log.lines().filter(|line| line.contains(APPLIED));
    let changes: Vec<&str> = changes.collect();
    assert_eq!(changes.len(), 4, "{changes:?}");
    let told = changes.iter().any(|line| line.contains("trades-lake"));
    assert!(!told, "{changes:?}");
    assert_eq!(begun(&log, "trades-lake"), PARTITIONS, "once");
    assert_eq!(
        begun(&log, "copy-lake"),
        2 * PARTITIONS,
        "as it was added, and as it was replaced"
    );
    assert_landed_twice(&site, &exchange.trades()).await;
    assert_eq!(exchange.status().connections, 1, "kept over it all");
    assert_eq!(before["plugin"]["version"], swaps[0]["to"]["version"]);
}

/// A file that the configuration only refers to is read again when SIGHUP asks for it, and so is the
/// file itself, though it looks as before. What is wrong then changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_file_and_its_secrets_again() {
    let exchange = lasting_exchange(1000.0).await;
    let mut site = Site::new(&exchange).await;
    let key = site.path().join("key");
    std::fs::write(&key, "first").unwrap();
    let grant = json!({
        "url": exchange.rest_url(),
        "headers": { "X-MBX-APIKEY": format!("${{file:{}}}", key.display()) }
    });
    site.set("/pipelines/trades/source/allow/http", json!([grant]));
    fill_up(&site.file());
    let written = std::fs::metadata(site.file()).unwrap().modified().unwrap();
    let mut admin = Admin::run(&site, &[]).await;
    admin
        .until("it runs", "/status/trades-source", |now| {
            now["records"] != 0
        })
        .await;

    // A secret that is gone.
    std::fs::remove_file(&key).unwrap();
    hang_up(&admin.jackfield).await;
    let line = admin.jackfield.line("the secret can't be read").await;
    let at = place(&site, "X-MBX-APIKEY");
    assert!(line.contains(REFUSED) && line.contains(&at), "{line}");
    goes_on(&admin).await;
    assert!(!admin.jackfield.log().contains(APPLIED));

    // Another secret.
    std::fs::write(&key, "second").unwrap();
    hang_up(&admin.jackfield).await;
    let line = admin.jackfield.line(APPLIED).await;
    assert!(
        line.contains("trades-source") && !line.contains("trades-lake"),
        "{line}"
    );

    // A pipeline more, in a file that nobody who looks at it finds changed.
    site.set("/pipelines/copy", copy());
    fill_up(&site.file());
    let file = File::options().write(true).open(site.file()).unwrap();
    file.set_modified(written).unwrap();
    hang_up(&admin.jackfield).await;
    let line = admin.jackfield.line(COPY_ADDED).await;
    assert!(line.contains(APPLIED), "{line}");
    assert!(!line.contains("trades-"), "{line}");

    // No YAML.
    std::fs::write(site.file(), "pipelines: {]").unwrap();
    hang_up(&admin.jackfield).await;
    let line = admin.jackfield.line("not YAML").await;
    assert!(
        line.contains(REFUSED) && line.contains("pipeline.yaml:1:"),
        "{line}"
    );
    goes_on(&admin).await;
    let all = ["copy-lake", "trades-lake", "trades-source"];
    assert_eq!(names(&admin.get("/status").await), all);
    ends_with_both(admin, &site, &exchange).await;
}

/// A file that is written slowly: its first half is refused, and the whole is applied.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_file_changes_nothing_and_the_whole_is_applied() {
    let exchange = lasting_exchange(1000.0).await;
    let mut site = Site::new(&exchange).await;
    let mut admin = Admin::run(&site, &[]).await;
    goes_on(&admin).await;
    site.set("/pipelines/copy", copy());
    let whole = std::fs::read_to_string(site.file()).unwrap();
    let (half, rest) = whole.split_at(whole.len() / 2);
    std::fs::write(site.file(), half).unwrap();
    let line = admin.jackfield.line(REFUSED).await;
    assert!(
        line.contains("not YAML") && line.contains("pipeline.yaml:"),
        "{line}"
    );
    goes_on(&admin).await;
    let all = ["trades-lake", "trades-source"];
    assert_eq!(names(&admin.get("/status").await), all);
    assert!(!admin.jackfield.log().contains(APPLIED));

    let mut file = File::options().append(true).open(site.file()).unwrap();
    file.write_all(rest.as_bytes()).unwrap();
    let line = admin.jackfield.line(COPY_ADDED).await;
    assert!(line.contains(APPLIED), "{line}");
    let ended = ends_with_both(admin, &site, &exchange).await;
    assert_eq!(exchange.status().connections, 1);
    assert_eq!(begun(&ended.log(), "trades-lake"), PARTITIONS);
}
