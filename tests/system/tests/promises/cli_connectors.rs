//! The commands that change the connectors of a running process.

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, PATIENCE, Site, output};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::cli::{LOOK_EVERY, Running, TOPIC};
use crate::{ALL, assert_landed, exchange};

impl Running {
    /// Waits until the sink has been put all trades that are kept; it commits them when it ends.
    async fn until_all_are_put(&self) {
        let begin = Instant::now();
        loop {
            let told = self.json(&["status", "trades-lake"]).await;
            let (records, lag) = (told[0]["records"].as_u64(), told[0]["lag"].as_i64());
            if records >= Some(ALL as u64) && lag == Some(0) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{told}");
            sleep(LOOK_EVERY).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_pause_resume_stop_and_restart() {
    let exchange = exchange(Speed::PerSecond(1500.0), |_| {}).await;
    let site = Site::new(&exchange).await;
    // It ends when it is told to: commands may take longer than the feed lasts.
    let mut running = Running::of(&site, &["--grace", "60s"]).await;
    let url = running.jackfield.admin().await;
    exchange.reached(500).await;
    let state = async |connector: &str| -> Value {
        let rows = running.json(&["status", connector]).await;
        rows[0]["state"].clone()
    };
    // That one rests makes the process no less ready.
    let ready_though = async |state: &str| {
        let health = output(&["health", "--ready", "--url", &url]).await;
        let said = String::from_utf8_lossy(&health.stdout);
        assert_eq!(health.status.code(), Some(0), "{said}");
        let rests = format!(r#""state":"{state}","ready":true"#);
        assert!(said.contains(&rests), "{said}");
    };
    assert_eq!(
        running.text(&["pause", "trades-lake"]).await,
        "trades-lake: PAUSED\n"
    );
    assert_eq!(state("trades-lake").await, "PAUSED");
    assert_eq!(state("trades-source").await, "RUNNING");
    ready_though("PAUSED").await;
    assert_eq!(
        running.text(&["restart", "--all"]).await,
        "trades-lake: PAUSED\ntrades-source: RUNNING\n",
        "what rests goes on resting"
    );
    assert_eq!(state("trades-lake").await, "PAUSED");
    let told = running.json(&["resume", "trades-lake"]).await;
    assert_eq!(
        told,
        json!({ "connector": "trades-lake", "state": "RUNNING", "trace": null })
    );
    running.text(&["restart", "--all"]).await;
    for connector in ["trades-lake", "trades-source"] {
        assert_eq!(state(connector).await, "RUNNING");
    }
    running.text(&["stop", "trades-lake"]).await;
    assert_eq!(state("trades-lake").await, "STOPPED");
    ready_though("STOPPED").await;
    running.text(&["resume", "trades-lake"]).await;
    running.refused(&["pause", "nobody"], 6, "nobody").await;
    running.until_all_are_kept().await;
    running.until_all_are_put().await;
    running.end().await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

/// What a restart leads to is waited for and told, and not the state of before.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_failed_is_restarted_and_waited_for() {
    let exchange = exchange(Speed::PerSecond(1500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    // A sink that can't go on from what its target holds, until somebody mends that.
    let kept = site.warehouse().join("kept");
    let document = kept.join("document.json");
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::write(&document, "no document").unwrap();
    let file = Artifacts::get().plugin("hostile-sink");
    site.set(
        "/plugins/hostile-sink",
        json!({ "file": file, "memory": "32MiB" }),
    );
    let sink = json!({
        "plugin": "hostile-sink",
        "topics": [TOPIC],
        "commit": { "every": "200ms" },
        "settings": { "root": format!("file://{}", kept.display()) },
        "allow": { "lake": "local" }
    });
    site.set(
        "/pipelines/evil",
        json!({ "retry": { "deadline": "1s" }, "sinks": { "sink": sink } }),
    );
    let running = Running::of(&site, &[]).await;
    let begin = Instant::now();
    loop {
        // It ends with 1 where one has FAILED.
        let asked = running.ask(&["status", "evil-sink"]).await;
        let said = String::from_utf8_lossy(&asked.stdout);
        if said.contains("FAILED") {
            assert_eq!(asked.status.code(), Some(1), "{said}");
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{said}");
        sleep(LOOK_EVERY).await;
    }
    let again = running.ask(&["restart", "evil-sink"]).await;
    let said = String::from_utf8_lossy(&again.stdout);
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.starts_with("evil-sink: FAILED: "), "{said}");
    std::fs::remove_file(&document).unwrap();
    assert_eq!(
        running.text(&["restart", "evil-sink"]).await,
        "evil-sink: RUNNING\n"
    );
    running.text(&["stop", "evil-sink"]).await;
    assert_eq!(
        running.text(&["restart", "evil-sink"]).await,
        "evil-sink: STOPPED\n"
    );
    running.end().await;
}

/// They ask as the other commands do: at a URL, with a token of one's own, and in JSON.
#[tokio::test(flavor = "multi_thread")]
async fn swap_and_record_are_asked_for_from_elsewhere() {
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let site = Site::new(&exchange).await;
    let running = Running::of(&site, &[]).await;
    exchange.reached(500).await;
    let out = site.path().join("trades.jfrc");
    let out = out.to_str().unwrap();
    let record = ["record", "trades-source", "--for", "1s", "--out", out];
    let recorded = running.json(&record).await;
    assert_eq!(recorded["connector"], "trades-source");
    assert_eq!(recorded["file"], out);
    let bytes = std::fs::metadata(out).unwrap().len();
    assert_eq!(recorded["bytes"], bytes, "{recorded}");

    let wrong = site.path().join("wrong-token");
    std::fs::write(&wrong, "wrong").unwrap();
    let wrong = ["--token-file", wrong.to_str().unwrap()];
    let swap = ["swap", "trades-source", "--named", "x.wasm"];
    for args in [&swap[..], &record[..]] {
        let args = [args, &wrong[..]].concat();
        running.refused(&args, 6, "the token is needed").await;
    }
    let twice = [&swap[..], &["--address", "127.0.0.1:1"]].concat();
    running.refused(&twice, 2, "cannot be used with").await;
    running.end().await;
}

/// What was read before is read again, and the table takes none twice.
#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_shown_set_and_reset() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = Site::new(&exchange).await;
    let running = Running::of(&site, &[]).await;
    running.until_all_are_kept().await;
    running.until_all_are_put().await;
    let source = running.json(&["offsets", "get", "trades-source"]).await;
    assert!(
        !source["offsets"].as_array().unwrap().is_empty(),
        "{source}"
    );
    let place = format!("{TOPIC}:0=0");
    let set = ["offsets", "set", "trades-lake", "--to", &place];
    running.refused(&set, 6, "").await;
    running.text(&["stop", "trades-lake"]).await;
    let before = running.json(&["offsets", "get", "trades-lake"]).await;
    let offset = |offsets: &Value, partition: i64| {
        let all = offsets["offsets"].as_array().unwrap();
        let of = all
            .iter()
            .find(|it| it["partition"]["kafka_partition"] == partition);
        of.map(|it| it["offset"]["kafka_offset"].clone())
    };
    let table = running.text(&["offsets", "get", "trades-lake"]).await;
    assert!(table.contains(TOPIC) && table.contains("OFFSET"), "{table}");
    running.text(&set).await;
    let after = running.json(&["offsets", "get", "trades-lake"]).await;
    assert_eq!(offset(&after, 0), Some(json!(0)), "{after}");
    assert_eq!(offset(&after, 1), offset(&before, 1), "the others stay");
    let file = site.path().join("offsets.json");
    std::fs::write(&file, before.to_string()).unwrap();
    running
        .text(&["offsets", "set", "trades-lake", file.to_str().unwrap()])
        .await;
    let again = running.json(&["offsets", "get", "trades-lake"]).await;
    assert_eq!(offset(&again, 0), offset(&before, 0), "{again}");
    running.text(&["offsets", "reset", "trades-lake"]).await;
    let reset = running.json(&["offsets", "get", "trades-lake"]).await;
    assert_ne!(offset(&reset, 0), offset(&before, 0), "{reset}");
    running.end().await;
}
