//! `jackfield doctor` makes plain which service is not running, and what to do.

use std::net::TcpListener;
use std::process::Output;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Jackfield, Site, output, shared_cluster};
use jackfield_test_lakes::PostgresServer;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::exchange;

/// Long enough for a Java server on a busy machine; what is refused takes it too.
pub(crate) const PATIENT: [&str; 2] = ["--timeout", "30s"];

/// A port of this machine that nobody listens at, for as long as nobody is given it.
pub(crate) fn dead_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// What `doctor --json` says of a site, and how it ends.
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) report: Value,
}

impl Told {
    pub(crate) async fn of(site: &Site, args: &[&str]) -> Told {
        let file = site.file();
        let own = ["doctor", file.to_str().unwrap(), "--json"];
        let Output {
            status,
            stdout,
            stderr,
        } = output(&[&own, args].concat()).await;
        let report = serde_json::from_slice(&stdout);
        let report = report.unwrap_or_else(|error| {
            let (stdout, stderr) = (
                String::from_utf8_lossy(&stdout),
                String::from_utf8_lossy(&stderr),
            );
            panic!("{error}: {stdout} {stderr}")
        });
        Told {
            code: status.code(),
            report,
        }
    }

    /// The first line of an area with this level.
    pub(crate) fn line(&self, area: &str, level: &str) -> &Value {
        let lines = self.report["checks"].as_array().unwrap();
        let found = lines
            .iter()
            .find(|line| line["area"] == area && line["level"] == level);
        found.unwrap_or_else(|| panic!("no {level} of {area}: {:#}", self.report))
    }

    /// This area fails, says `word`, and names a remedy; it ends so that scripts notice.
    pub(crate) fn fails(&self, area: &str, word: &str) -> &Value {
        let line = self.line(area, "fail");
        let message = line["message"].as_str().unwrap();
        assert!(message.contains(word), "no `{word}`: {line}");
        assert!(line["remedy"].as_str().is_some_and(|it| !it.is_empty()));
        assert_eq!((self.code, &self.report["ok"]), (Some(1), &json!(false)));
        line
    }

    /// It is one of the services that are not running.
    pub(crate) fn is_down(&self, word: &str) {
        let down = self.report["not-running"].as_array().unwrap();
        let named = down.iter().any(|it| it.as_str().unwrap().contains(word));
        assert!(named, "{word} is not among {down:?}");
    }
}

/// Nothing is missing but jackfield itself; nothing was made or changed.
#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_but_that_nothing_runs_yet() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set(
        "/admin",
        json!({ "listen": format!("127.0.0.1:{}", dead_port()) }),
    );
    let told = Told::of(&site, &[]).await;
    assert_eq!(told.code, Some(0), "{:#}", told.report);
    assert_eq!(told.report["not-running"], json!(["jackfield"]));
    for area in [
        "file",
        "jackfield",
        "plugins",
        "grants",
        "log",
        "endpoints",
        "catalogs",
        "stores",
        "clock",
    ] {
        told.line(area, "ok");
    }
    assert!(!site.path().join("data").exists(), "it only looks");

    let person = output(&["doctor", site.file().to_str().unwrap()]).await;
    let text = String::from_utf8(person.stdout).unwrap();
    assert!(text.contains("Not running: jackfield\n"), "{text}");
    assert!(text.contains("→ start it: jackfield run "), "{text}");

    let wrote = Told::of(&site, &["--write"]).await;
    assert_eq!(wrote.code, Some(0), "{:#}", wrote.report);
    let message = wrote.line("stores", "ok")["message"].as_str().unwrap();
    assert!(
        message.contains("written, read back and removed"),
        "{message}"
    );
    let left = std::fs::read_dir(site.warehouse()).unwrap();
    assert_eq!(left.count(), 0, "and leaves nothing behind");
}

/// While it runs the log's and the port's holder is named, and a connector that fails is.
#[tokio::test(flavor = "multi_thread")]
async fn who_holds_the_log_and_the_port_is_named() {
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set(
        "/admin",
        json!({ "listen": format!("127.0.0.1:{}", dead_port()) }),
    );
    let mut command = Command::new(&Artifacts::get().jackfield);
    command.arg("run").arg(site.file());
    let mut jackfield = Jackfield::spawn(command);
    jackfield.admin().await;
    exchange.reached(500).await;
    let told = Told::of(&site, &[]).await;
    assert_eq!(told.report["not-running"], json!([]), "{:#}", told.report);
    let process = format!("(process {})", jackfield.pid().unwrap());
    let runs = told.line("jackfield", "ok")["message"].as_str().unwrap();
    assert!(runs.contains(&process), "{runs}");
    let checks = told.report["checks"].as_array().unwrap();
    let holder = format!("{process} has the log open");
    let held =
        |it: &Value| it["area"] == "log" && it["message"].as_str().unwrap().ends_with(&holder);
    assert!(checks.iter().any(held), "{:#}", told.report);
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
}

/// Another program on the admin port is told as what it is.
#[tokio::test(flavor = "multi_thread")]
async fn another_program_on_the_admin_port_is_told() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    // The exchange's own REST server is no jackfield.
    let taken = exchange.rest_url();
    site.set(
        "/admin",
        json!({ "listen": taken.trim_start_matches("http://") }),
    );
    let told = Told::of(&site, &[]).await;
    let line = told.fails("jackfield", "which is no jackfield");
    let own = format!("(process {})", std::process::id());
    assert!(line["message"].as_str().unwrap().contains(&own), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_does_not_listen_is_told() {
    let (site, rest, ws) = {
        let exchange = exchange(Speed::Unlimited, |_| {}).await;
        (
            Site::new(&exchange).await,
            exchange.rest_url(),
            exchange.ws_url(),
        )
    };
    let told = Told::of(&site, &[]).await;
    let line = told.fails("endpoints", "is not running: nothing listens at 127.0.0.1");
    let remedy = line["remedy"].as_str().unwrap();
    assert!(remedy.contains("pipelines.trades.source.allow"), "{remedy}");
    told.is_down(&rest);
    told.is_down(&ws);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_plugin_is_told() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let sink = Artifacts::get().plugin("iceberg-sink");
    let wrong = json!({ "file": sink, "memory": "512MiB", "sha256": "0".repeat(64) });
    site.set("/plugins/iceberg", wrong);
    site.set("/plugins/binance", json!("nowhere.wasm"));
    let told = Told::of(&site, &[]).await;
    told.fails("plugins", "nowhere.wasm");
    let lines = told.report["checks"].as_array().unwrap();
    let digest = lines.iter().find(|line| line["name"] == "iceberg").unwrap();
    assert_eq!(digest["level"], "fail");
    assert!(
        digest["remedy"].as_str().unwrap().contains("sha256"),
        "{digest}"
    );
}

/// Settings that lead where nothing is granted, and settings that are wrong.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_lead_nowhere_are_told() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set("/pipelines/trades/source/allow/http", json!([]));
    let told = Told::of(&site, &[]).await;
    let line = told.line("grants", "warn");
    assert!(
        line["message"]
            .as_str()
            .unwrap()
            .contains(&exchange.rest_url())
    );
    site.set("/pipelines/trades/source/settings/symbols", json!(7));
    Told::of(&site, &[]).await.fails("plugins", "symbols");
    site.set("/pipelines/trades/sorce", json!({}));
    let told = Told::of(&site, &[]).await;
    assert_eq!(told.code, Some(2), "a file that can't be used");
    told.line("file", "fail");
}

/// Also as root, to whom every folder can be written: a file is in the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_and_a_log_that_cannot_be_written_are_told() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = Site::new(&exchange).await;
    std::fs::create_dir(site.path().join("data")).unwrap();
    std::fs::write(site.warehouse(), "a file").unwrap();
    std::fs::write(site.path().join("data/log"), "a file").unwrap();
    std::fs::write(site.catalog(), "no database ".repeat(400)).unwrap();
    let told = Told::of(&site, &[]).await;
    told.fails("stores", "is no folder");
    told.fails("log", "is no folder");
    told.fails("catalogs", "not a database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_is_down_or_does_not_let_us_in_is_told() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let server = tokio::task::spawn_blocking(|| PostgresServer::with_password("right-one"));
    let server = server.await.unwrap();
    site.set("/lakes/local/catalog/sql", json!(server.uri()));
    let told = Told::of(&site, &[]).await;
    assert_eq!(told.code, Some(0), "{:#}", told.report);
    told.line("catalogs", "ok");

    let wrong = server.uri().replace("right-one", "wrong-one");
    site.set("/lakes/local/catalog/sql", json!(wrong));
    let told = Told::of(&site, &[]).await;
    let line = told.fails("catalogs", "password authentication failed");
    assert!(
        line["remedy"].as_str().unwrap().contains("password"),
        "{line}"
    );
    assert!(
        !told.report.to_string().contains("wrong-one"),
        "it is a secret"
    );

    server.kill();
    let told = Told::of(&site, &[]).await;
    told.fails("catalogs", "PostgreSQL is not running");
    told.is_down("PostgreSQL (postgres://127.0.0.1:");

    let rest = format!("http://127.0.0.1:{}", dead_port());
    site.set("/lakes/local/catalog", json!({ "rest": rest }));
    let told = Told::of(&site, &[]).await;
    told.fails("catalogs", "the REST catalog is not running");
    told.is_down(&rest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_and_a_registry_that_are_down_are_told() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let cluster = shared_cluster().await;
    site.on_kafka(&cluster);
    let told = Told::of(&site, &PATIENT).await;
    assert_eq!(told.code, Some(0), "{:#}", told.report);
    told.line("log", "ok");
    told.line("registry", "ok");

    let (broker, registry) = (dead_port(), dead_port());
    let servers = format!("127.0.0.1:{broker}");
    site.set("/log/kafka/bootstrap.servers", json!(servers));
    let url = format!("http://127.0.0.1:{registry}");
    site.set("/log/kafka/schema.registry.url", json!(url));
    let told = Told::of(&site, &[]).await;
    told.fails("log", "the Kafka broker is not running");
    told.fails("registry", "the schema registry is not running");
    told.is_down(&servers);
    told.is_down(&url);
}

/// What takes connections and says nothing is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn services_that_hang_are_given_up_on() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap();
    site.set(
        "/log",
        json!({ "kafka": {
            "bootstrap.servers": address.to_string(),
            "schema.registry.url": format!("http://{address}"),
            "cluster": site.cluster(),
        } }),
    );
    let uri = format!("postgres://postgres:x@{address}/postgres");
    site.set("/lakes/local/catalog/sql", json!(uri));
    let urls =
        json!({ "websocket": [format!("ws://{address}")], "http": [format!("http://{address}")] });
    site.set("/pipelines/trades/source/allow", urls);
    let told = Told::of(&site, &["--timeout", "2s"]).await;
    for area in ["log", "registry", "endpoints", "catalogs"] {
        told.line(area, "fail");
    }
    assert_eq!(told.code, Some(1));
}
