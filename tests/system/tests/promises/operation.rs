//! What someone who runs it relies on: exit codes, a clean stop, metrics that hurt nobody.

use std::collections::BTreeMap;
use std::process::Stdio;

use futures::future::join_all;
use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Jackfield, Site, compare, http, output, read_pyiceberg};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::admin::Admin;
use crate::{ALL, assert_landed, exchange, lasting_exchange, run_until_idle};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_refused_with_every_mistake_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.yaml");
    let text = "log: { embedded: { dir: data/log } }\n\
                pipelines:\n  trades:\n    delivery: exactly-twice\n    sorce: { plugin: nowhere }\n";
    std::fs::write(&file, text).unwrap();
    for command in ["check", "run"] {
        let output = output(&[command, file.to_str().unwrap()]).await;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        for word in ["sorce", "exactly-twice", "source"] {
            assert!(said.contains(word), "{command} does not say {word}: {said}");
        }
    }
    assert_eq!(
        output(&["run"]).await.status.code(),
        Some(2),
        "so is a wrong command line"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_is_accepted_and_bad_settings_of_a_plugin_are_not() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let file = site.file();
    let good = output(&["check", file.to_str().unwrap()]).await;
    assert_eq!(
        good.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&good.stdout)
    );
    site.set("/pipelines/trades/source/settings/symbols", json!(7));
    let bad = output(&["check", file.to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&bad.stdout);
    assert_eq!(bad.status.code(), Some(2), "{said}");
    assert!(said.contains("symbols"), "{said}");
}

/// After SIGTERM all that was acknowledged is in the table: another run of the sink alone finds
/// nothing more to land.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains() {
    let exchange = lasting_exchange(1000.0).await;
    let mut site = Site::new(&exchange).await;
    let mut admin = Admin::run(&site, &[]).await;
    // Who is far behind may stop before it has read all.
    let keeps_up = |now: &Value| {
        let lag = now["lag"].as_u64();
        now["records"].as_u64() > Some(1000) && lag.is_some_and(|lag| lag < 1000)
    };
    admin
        .until("it keeps up", "/status/trades-lake", keeps_up)
        .await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    let data = site.path().join("data");
    let drained = read_pyiceberg(&data, "market.trades").await;
    assert!(drained.rows.len() > 1000, "{}", drained.rows.len());

    let source = json!({ "rest": exchange.rest_url(), "websocket": exchange.ws_url() });
    site.set("/pipelines/trades/source", Value::Null);
    run_until_idle(&site, "2s").await;
    let again = read_pyiceberg(&data, "market.trades").await;
    assert_eq!(
        again.rows.len(),
        drained.rows.len(),
        "the sink found more to land ({source})"
    );
    let difference = compare(&exchange.trades(), &again.rows);
    assert!(
        difference.doubled.is_empty() && difference.wrong.is_empty(),
        "{difference}"
    );
}

/// A stop that can't wait is no success: whoever started it must know.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_is_forced_exits_with_3_and_loses_nothing() {
    let exchange = exchange(Speed::PerSecond(4000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    // Nothing is committed before the stop, so that there is something to drain.
    site.set(
        "/pipelines/trades/sinks/lake/commit",
        json!({ "every": "1h" }),
    );
    let mut jackfield = Jackfield::run(&site, &["--grace", "1ms"]);
    exchange.reached(8000).await;
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 3);
    assert!(jackfield.log().contains("the grace time ended"));
    site.set(
        "/pipelines/trades/sinks/lake/commit",
        json!({ "every": "500ms" }),
    );
    run_until_idle(&site, "4s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

/// What a person asks of a file and of a component, without running them.
#[tokio::test(flavor = "multi_thread")]
async fn schema_and_inspect_tell_what_there_is_to_set() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = Site::new(&exchange).await;
    let schema = output(&["schema", site.file().to_str().unwrap()]).await;
    assert_eq!(schema.status.code(), Some(0));
    let schema = String::from_utf8(schema.stdout).unwrap();
    serde_json::from_str::<Value>(&schema).expect("one JSON document");
    for key in ["pipelines", "partition-by", "start-at"] {
        assert!(schema.contains(key), "{key} is not in the schema");
    }
    for (plugin, kind, setting) in [
        ("binance-source", "source", "symbols"),
        ("iceberg-sink", "sink", "table"),
    ] {
        let file = Artifacts::get().plugin(plugin);
        let told = output(&["plugin", "inspect", "--json", file.to_str().unwrap()]).await;
        assert_eq!(told.status.code(), Some(0));
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(told["kind"], kind);
        assert_eq!(told["delivery"], "exactly-once");
        assert_eq!(told["sha256"].as_str().unwrap().len(), 64);
        assert!(told["settings-schema"]["properties"][setting].is_object());
    }
}

/// A folder is one process's own: a second one does not touch it, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_log_is_refused() {
    let exchange = exchange(Speed::PerSecond(3000.0), |_| {}).await;
    let site = Site::new(&exchange).await;
    // It holds the log for as long as the second one takes to ask for it.
    let mut first = Jackfield::run(&site, &[]);
    exchange.reached(1000).await;
    let mut second = Jackfield::run(&site, &[]);
    assert_eq!(second.wait().await, 1);
    assert!(
        second.log().contains("open in another process"),
        "{}",
        second.log()
    );
    first.terminate().await;
    assert_eq!(first.wait().await, 0);
    exchange.finished().await;
    run_until_idle(&site, "4s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

/// And what was not read yet is there after the next run.
#[tokio::test(flavor = "multi_thread")]
async fn stopping_and_starting_loses_nothing() {
    let exchange = exchange(Speed::PerSecond(4000.0), |_| {}).await;
    let site = Site::new(&exchange).await;
    for part in 1..=3 {
        let mut jackfield = Jackfield::run(&site, &[]);
        // From then on it hears a signal; the exchange may have come so far before.
        jackfield.admin().await;
        exchange.reached(part * 4000).await;
        jackfield.terminate().await;
        assert_eq!(jackfield.wait().await, 0);
    }
    run_until_idle(&site, "4s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_pass_promtool_and_a_scrape_storm_moves_nothing() {
    let exchange = exchange(Speed::PerSecond(3000.0), |_| {}).await;
    let site = Site::new(&exchange).await;
    let mut admin = Admin::run(&site, &["--until-idle", "4s"]).await;
    let scraping = (0..8).map(|_| {
        let url = format!("{}/metrics", admin.url);
        tokio::spawn(async move {
            let http = http();
            let mut scrapes = 0_u64;
            // Until it stops.
            while let Ok(response) = http.get(&url).send().await {
                scrapes += u64::from(response.bytes().await.is_ok());
            }
            scrapes
        })
    });
    let scraping: Vec<_> = scraping.collect();
    let ready = |now: &Value| now["ready"] == true;
    admin.until("it is ready", "/readyz", ready).await;
    for path in ["/livez", "/readyz"] {
        let url = format!("{}{path}", admin.url);
        let response = http().get(url).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
    exchange.reached(ALL as u64 / 2).await;
    let text = http()
        .get(format!("{}/metrics", admin.url))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    promtool(&text).await;
    metrics_are_named(&text);
    assert_eq!(admin.jackfield.wait().await, 0);
    let scrapes: u64 = join_all(scraping)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    println!("{scrapes} scrapes");
    assert!(scrapes > 100, "{scrapes} is no storm");
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

async fn promtool(text: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child =
        child.expect("promtool is missing: on Debian, run: sudo apt-get install prometheus");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .await
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "promtool: {said}\n{text}"
    );
}

/// Every sample belongs to one of the connectors of the file, by name.
fn metrics_are_named(text: &str) {
    let mut connectors: BTreeMap<String, u32> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((_, rest)) = line.split_once("connector=\"") {
            let name = rest.split('"').next().unwrap_or_default();
            *connectors.entry(name.to_owned()).or_default() += 1;
        }
    }
    let names: Vec<&str> = connectors.keys().map(String::as_str).collect();
    assert_eq!(names, ["trades-lake", "trades-source"]);
}
