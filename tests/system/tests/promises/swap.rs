//! Changing what runs: nothing lost, nothing doubled; what is no good is refused or taken back.

use std::path::{Path, PathBuf};

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{Artifacts, Site};
use serde_json::{Value, json};

use crate::admin::{Admin, changed_copy};
use crate::{assert_landed, exchange, run_until_idle};

/// Swaps of each connector while the stream goes on.
pub(crate) const SWAPS: usize = 200;
/// Swaps a connector to and fro, and gives the pauses in µs.
pub(crate) async fn to_and_fro(admin: &Admin, connector: &str, files: [&Path; 2]) -> Vec<u64> {
    let components = files.map(|file| std::fs::read(file).unwrap());
    let mut pauses = Vec::with_capacity(SWAPS);
    for number in 0..SWAPS {
        let swap = admin.swap(connector, &components[number % 2], 1).await;
        assert_eq!(swap["outcome"], "on-probation", "{swap}");
        pauses.push(swap["pause_us"].as_u64().unwrap());
    }
    pauses.sort_unstable();
    pauses
}

pub(crate) fn shown(connector: &str, pauses: &[u64]) {
    let at = |share: f64| pauses[((pauses.len() - 1) as f64 * share) as usize];
    println!(
        "{connector}: {} swaps, pause p50 {} µs, p99 {} µs, longest {} µs",
        pauses.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// After all swaps: the stream goes to its end, over the one connection, and what the process had
/// not taken yet when it drains the next one takes.
pub(crate) async fn finish(mut admin: Admin, exchange: &Running, site: &Site) {
    let at = exchange.status();
    println!("the last swap at trade {} of {}", at.position, at.total);
    for connector in ["trades-source", "trades-lake"] {
        let path = format!("/connectors/{connector}/swaps");
        let history = admin.get(&path).await;
        let last = history.as_array().unwrap().last().unwrap();
        assert_eq!(last["number"], SWAPS);
    }
    exchange.finished().await;
    assert_eq!(exchange.status().connections, 1, "kept over every swap");
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    run_until_idle(site, "4s").await;
}

pub(crate) async fn busy_exchange() -> Running {
    exchange(Speed::PerSecond(2000.0), |o| o.laps = 3).await
}

/// Source and sink are swapped 200 times each under load: every trade lands once, the exchange sees
/// one connection, and no trade had to be fetched a second way.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_swaps_under_load_lose_and_double_nothing() {
    let exchange = busy_exchange().await;
    let site = Site::new(&exchange).await;
    let mut copies = Vec::new();
    for of in ["binance-source", "iceberg-sink"] {
        let copy = changed_copy(of, site.path(), "copy").await;
        copies.push([copy, Artifacts::get().plugin(of)]);
    }
    let [source, sink] = &copies[..] else {
        unreachable!("two were made")
    };
    let admin = Admin::run(&site, &[]).await;
    let (source, sink) = tokio::join!(
        to_and_fro(&admin, "trades-source", [&source[0], &source[1]]),
        to_and_fro(&admin, "trades-lake", [&sink[0], &sink[1]]),
    );
    shown("source", &source);
    shown("sink", &sink);
    finish(admin, &exchange, &site).await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

/// Each reason has its own message and exit code, and what runs is not touched.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_take_over_is_refused_before_anything_is_touched() {
    let exchange = busy_exchange().await;
    let mut site = Site::new(&exchange).await;
    let components = site.path().join("components");
    std::fs::create_dir(&components).unwrap();
    site.set("/admin", json!({ "components": components }));
    let plugins = Artifacts::get();
    let path = |file: PathBuf| file.to_str().unwrap().to_owned();
    let source = path(plugins.plugin("binance-source"));
    let sink = path(plugins.plugin("iceberg-sink"));
    let post = path(plugins.plugin("post-sink"));
    let copy = path(changed_copy("binance-source", site.path(), "copy").await);
    let (cut, settings) = (site.path().join("cut.wasm"), site.path().join("s.json"));
    let whole = std::fs::read(&source).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let (cut, settings) = (path(cut), path(settings));
    let zeros = "0".repeat(64);

    let mut admin = Admin::run(&site, &[]).await;
    let running = |now: &Value| now["connector"]["state"] == "RUNNING" && now["records"] != 0;
    let before = admin
        .until("it runs", "/status/trades-source", running)
        .await;
    let one = "trades-source";
    admin.expect(&site, &[one, &source], 10, "neither").await;
    admin
        .expect(&site, &["nobody", &source], 13, "nobody")
        .await;
    admin.expect(&site, &[one, &cut], 20, "not a WASM").await;
    let args = [one, &copy, "--sha256", &zeros];
    admin.expect(&site, &args, 21, "sha256").await;
    std::fs::write(&settings, r#"{ "table": "a.b" }"#).unwrap();
    let args = [one, &sink, "--settings", &settings];
    admin.expect(&site, &args, 22, "a source runs").await;
    std::fs::write(&settings, r#"{ "symbols": "BTCUSDT" }"#).unwrap();
    let args = [one, &copy, "--settings", &settings];
    admin.expect(&site, &args, 26, "symbols").await;
    std::fs::write(&settings, r#"{ "url": "http://127.0.0.1:9/" }"#).unwrap();
    let args = ["trades-lake", &post, "--settings", &settings];
    admin.expect(&site, &args, 23, "at least once").await;
    let args = [one, &copy, "--dry-run"];
    admin.expect(&site, &args, 0, "can take over").await;
    std::fs::copy(&copy, components.join("copy.wasm")).unwrap();
    let args = [one, "--named", "copy.wasm", "--dry-run"];
    admin.expect(&site, &args, 0, "can take over").await;
    let args = [one, "--named", "../cut.wasm", "--dry-run"];
    admin.expect(&site, &args, 20, "is not the name").await;
    let after = admin.get("/status/trades-source").await;
    assert_eq!(before["plugin"], after["plugin"]);
    let swaps = admin.get("/connectors/trades-source/swaps").await;
    assert_eq!(swaps, json!([]), "nothing was swapped");

    // While one is on probation another has to wait.
    let args = [one, &copy, "--probation", "1h", "--no-wait"];
    admin.expect(&site, &args, 0, "took over").await;
    admin.expect(&site, &[one, &source], 11, "probation").await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
}

/// What a new version does wrong, where, and a word of why it is taken back.
const DEEDS: [(&str, &str, &str); 7] = [
    ("poll", "panic", "as told"),
    ("poll", "loop", "did not return within"),
    ("poll", "eat", "memory"),
    ("poll", "recurse", "trapped"),
    ("poll", "malformed", "malformed"),
    ("poll", "broken", "as told"),
    ("poll", "silent", "silent"),
];

/// A version that fails or falls silent is taken back, the old one goes on, and the same version is
/// not tried twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_worse_version_is_taken_back_and_not_tried_again() {
    let exchange = busy_exchange().await;
    let mut site = Site::new(&exchange).await;
    let file = Artifacts::get().plugin("hostile");
    // Only what never returns is to run out of time: eating its memory takes a busy machine a while.
    for (name, call_time) in [("hostile", "10s"), ("looping", "300ms")] {
        let plugin = json!({ "file": file, "memory": "32MiB", "call-time": call_time });
        site.set(&format!("/plugins/{name}"), plugin);
    }
    for (_, deed, _) in DEEDS {
        let plugin = if deed == "loop" { "looping" } else { "hostile" };
        let pipeline = json!({
            "source": { "plugin": plugin, "settings": {} },
            "topics": { "only": { "name": format!("evil.{deed}") } }
        });
        site.set(&format!("/pipelines/{deed}"), pipeline);
    }
    let mut admin = Admin::run(&site, &["--grace", "20s"]).await;
    for (call, deed, word) in DEEDS {
        let connector = format!("{deed}-source");
        let status = format!("/status/{connector}");
        let records = |now: &Value| now["records"].as_u64().unwrap_or_default();
        admin
            .until("records", &status, |now| records(now) > 100)
            .await;
        let settings = site.path().join("settings.json");
        let told = json!({ "in": call, "do": deed }).to_string();
        std::fs::write(&settings, told).unwrap();
        let settings = settings.to_str().unwrap();
        let args = [&connector, "--settings", settings, "--probation", "5s"];
        admin.expect(&site, &args, 4, word).await;
        let at = records(&admin.get(&status).await);
        admin
            .until("it goes on", &status, |now| records(now) > at)
            .await;
        admin.expect(&site, &args, 14, "taken back before").await;
    }
    // One that can't even open is refused; the running one goes on where it was.
    let settings = site.path().join("settings.json");
    std::fs::write(&settings, r#"{ "in": "open", "do": "panic" }"#).unwrap();
    let args = ["panic-source", "--settings", settings.to_str().unwrap()];
    admin.expect(&site, &args, 27, "as told").await;
    let history = admin.get("/connectors/panic-source/swaps").await;
    assert_eq!(history[0]["outcome"], "rolled-back");
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
}

/// A file that changes is taken once it is whole; half of one is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_swapped_in_once_it_is_whole() {
    let exchange = busy_exchange().await;
    let mut site = Site::new(&exchange).await;
    let file = site.path().join("running.wasm");
    std::fs::copy(Artifacts::get().plugin("binance-source"), &file).unwrap();
    site.set("/plugins/binance", json!(file));
    let copy = changed_copy("binance-source", site.path(), "copy").await;
    let whole = std::fs::read(copy).unwrap();
    let mut admin = Admin::run(&site, &["--until-idle", "6s"]).await;
    let path = "/status/trades-source";
    let before = admin
        .until("it runs", path, |now| now["records"] != 0)
        .await;
    std::fs::write(&file, &whole[..whole.len() / 3]).unwrap();
    admin.jackfield.line("is not taken").await;
    let meanwhile = admin.get(path).await;
    assert_eq!(meanwhile["plugin"], before["plugin"]);
    std::fs::write(&file, &whole).unwrap();
    admin
        .until("the new file runs", path, |now| {
            now["plugin"]["sha256"] != before["plugin"]["sha256"]
        })
        .await;
    assert_eq!(admin.jackfield.wait().await, 0);
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}
