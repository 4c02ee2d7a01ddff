//! The commands that ask a running process, as a person runs them on the example's pipeline.

use std::process::{Output, Stdio};

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Jackfield, PATIENCE, Site, output};
use jackfield_test_process::free_port;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::{ALL, assert_landed, exchange, run_until_idle};

const TOPIC: &str = "binance.spot.trade";
const PARTITIONS: usize = 4;
/// Between two looks at a condition.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(20);

/// A process that runs a site, and how to ask it.
struct Running {
    jackfield: Jackfield,
    file: String,
    url: String,
}

impl Running {
    async fn of(site: &Site, args: &[&str]) -> Running {
        let mut jackfield = Jackfield::run(site, args);
        let url = jackfield.admin().await;
        Running {
            jackfield,
            file: site.file().to_str().unwrap().to_owned(),
            url,
        }
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [args, &["--config", &self.file, "--url", &self.url]].concat()
    }

    /// Runs a command to its end.
    async fn ask(&self, args: &[&str]) -> Output {
        output(&self.args(args)).await
    }

    /// What it prints, which must go well.
    async fn text(&self, args: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.ask(args).await;
        let stderr = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(0), "{args:?}: {stderr}");
        String::from_utf8(stdout).unwrap()
    }

    /// The same with `--json`.
    async fn json(&self, args: &[&str]) -> Value {
        let text = self.text(&[args, &["--json"]].concat()).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// The records that `tail` prints.
    async fn tail(&self, args: &[&str]) -> Vec<Value> {
        let text = self.text(&[&["tail", TOPIC], args].concat()).await;
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }

    /// It ends with this code and says `word`.
    async fn refused(&self, args: &[&str], code: i32, word: &str) {
        let output = self.ask(args).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: no `{word}` in {said}");
    }

    /// Waits until all trades lie in the topic.
    async fn until_all_are_kept(&self) {
        let begin = Instant::now();
        loop {
            let topic = self.json(&["topics", "describe", TOPIC]).await;
            if topic["records"] == json!(ALL) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{topic}");
            sleep(LOOK_EVERY).await;
        }
    }

    async fn end(mut self) {
        self.jackfield.terminate().await;
        assert_eq!(self.jackfield.wait().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_tell_what_the_log_holds() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = Site::new(&exchange).await;
    let running = Running::of(&site, &[]).await;
    running.until_all_are_kept().await;

    let all = running.json(&["topics"]).await;
    assert_eq!(all, running.json(&["topics", "list"]).await);
    let names: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["binance.spot.gap", TOPIC]);
    assert_eq!(all[1]["partitions"], PARTITIONS);
    assert_eq!(all[1]["records"], ALL);
    assert!(all[1]["bytes"].as_u64().unwrap() > 20 * ALL as u64, "{all}");

    let one = running.json(&["topics", "describe", TOPIC]).await;
    let partitions = one["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), PARTITIONS);
    for partition in partitions {
        let at = |key: &str| partition[key].as_u64().unwrap();
        assert_eq!(at("end") - at("begin"), at("records"));
    }
    let table = running.text(&["topics"]).await;
    assert!(table.contains("15,863"), "{table}");
    assert!(table.contains("PARTITIONS"), "{table}");
    running
        .refused(
            &["topics", "describe", "nowhere"],
            6,
            "there is no topic nowhere",
        )
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_decodes_records_from_anywhere() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = Site::new(&exchange).await;
    let running = Running::of(&site, &[]).await;
    running.until_all_are_kept().await;

    let all = running.tail(&["--from", "beginning"]).await;
    assert_eq!(all.len(), ALL);
    let mut ids: Vec<(String, i64)> = all
        .iter()
        .map(|it| {
            let value = &it["value"];
            (
                value["symbol"].as_str().unwrap().to_owned(),
                value["trade_id"].as_i64().unwrap(),
            )
        })
        .collect();
    ids.sort_unstable();
    let mut sent: Vec<(String, i64)> = exchange
        .trades()
        .iter()
        .map(|it| (it.symbol.to_string(), it.trade_id))
        .collect();
    sent.sort_unstable();
    assert_eq!(ids, sent, "each trade once, decoded");
    for record in &all {
        for key in ["partition", "offset", "timestamp", "key", "headers"] {
            assert!(record.get(key).is_some(), "no {key}: {record}");
        }
    }
    // In order within each partition.
    for partition in 0..PARTITIONS {
        let own = all.iter().filter(|it| it["partition"] == partition);
        let offsets: Vec<i64> = own.map(|it| it["offset"].as_i64().unwrap()).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b));
    }

    let last = running.tail(&["--from", "-2"]).await;
    for record in &last {
        let partition = &record["partition"];
        let end = all
            .iter()
            .rfind(|it| it["partition"] == *partition)
            .unwrap();
        let behind = end["offset"].as_i64().unwrap() - record["offset"].as_i64().unwrap();
        assert!((0..2).contains(&behind), "{record}");
    }
    let three = running.tail(&["--from", "beginning", "-n", "3"]).await;
    assert_eq!(three.len(), 3);
    let partition = &last[0]["partition"];
    let chosen = partition.to_string();
    let from = running.tail(&["--partition", &chosen, "--from", "1"]).await;
    assert_eq!(from[0]["offset"], 1);
    assert!(from.iter().all(|it| it["partition"] == *partition));
    assert_eq!(running.tail(&["--from", "end"]).await.len(), 0);
    assert_eq!(
        running
            .tail(&["--from", "2000-01-01T00:00:00Z"])
            .await
            .len(),
        ALL
    );
    assert_eq!(running.tail(&["--from", "1h"]).await.len(), ALL);
    assert_eq!(running.tail(&["--from", "0s"]).await.len(), 0);
    let middle = all[ALL / 2]["timestamp"].as_i64().unwrap();
    let time = jiff::Timestamp::from_millisecond(middle)
        .unwrap()
        .to_string();
    let since = running.tail(&["--from", &time]).await;
    let expected = all
        .iter()
        .filter(|it| it["timestamp"].as_i64().unwrap() >= middle);
    assert_eq!(since.len(), expected.count());

    running
        .refused(&["tail", "nowhere"], 6, "there is no topic nowhere")
        .await;
    running
        .refused(&["tail", TOPIC, "--partition", "9"], 6, "9")
        .await;
    running
        .refused(&["tail", TOPIC, "--from", "sometime"], 2, "sometime")
        .await;
    running.end().await;
}

/// Readers that follow, one of which takes nothing, while the pipeline does what it does without
/// them; each that is gone frees its place.
#[tokio::test(flavor = "multi_thread")]
async fn followers_see_what_is_written_and_hold_up_nothing() {
    let exchange = exchange(Speed::PerSecond(3000.0), |_| {}).await;
    let site = Site::new(&exchange).await;
    let running = Running::of(&site, &[]).await;
    let args = running.args(&["tail", TOPIC, "--from", "beginning", "--follow"]);
    let follow = || {
        let mut command = Command::new(&Artifacts::get().jackfield);
        command.args(&args).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    // The topic is made when the pipeline has begun.
    exchange.reached(100).await;
    // These take nothing.
    let idle: Vec<_> = (0..3).map(|_| follow().spawn().unwrap()).collect();
    let mut reading = follow().spawn().unwrap();
    let mut lines = BufReader::new(reading.stdout.take().unwrap()).lines();
    for _ in 0..5000 {
        let line = timeout(PATIENCE, lines.next_line())
            .await
            .expect("more is written");
        let line = line.unwrap().expect("it follows");
        let record: Value = serde_json::from_str(&line).unwrap();
        assert!(record["value"]["trade_id"].is_i64(), "{record}");
    }
    drop(reading);
    drop(idle);
    // Places are free again: more than there are, one after the other.
    for _ in 0..9 {
        let begin = Instant::now();
        loop {
            let asked = running
                .ask(&["tail", TOPIC, "--from", "-1", "-n", "1"])
                .await;
            if asked.status.success() {
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "{asked:?}");
            sleep(LOOK_EVERY).await;
        }
    }
    exchange.finished().await;
    running.end().await;
    run_until_idle(&site, "4s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_told_for_people_and_programs() {
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let site = Site::new(&exchange).await;
    let running = Running::of(&site, &[]).await;
    exchange.reached(1000).await;
    let rows = running.json(&["status"]).await;
    let named: Vec<(&str, &str)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["name"].as_str().unwrap(), it["type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        named,
        [("trades-source", "source"), ("trades-lake", "sink")]
    );
    assert_eq!(rows[0]["state"], "RUNNING");
    assert_eq!(rows[0]["tasks"], json!(["RUNNING"]));
    assert_eq!(rows[0]["plugin"], "binance-source");
    let table = running.text(&["status"]).await;
    assert!(
        table.contains("CONNECTOR") && table.contains("RUNNING"),
        "{table}"
    );
    let one = running.json(&["status", "trades-lake"]).await;
    assert_eq!(one.as_array().unwrap().len(), 1);
    running
        .refused(
            &["status", "nobody"],
            6,
            "no connector has the name `nobody`",
        )
        .await;

    // Without the file, by a token of the environment.
    let token = std::fs::read_to_string(Artifacts::get().state.join("admin-token")).unwrap();
    let elsewhere = |token: &str| {
        let mut command = Command::new(&Artifacts::get().jackfield);
        command.args(["status", "--json"]).current_dir("/");
        command
            .env("JACKFIELD_URL", &running.url)
            .env("JACKFIELD_TOKEN", token);
        command
    };
    let asked = elsewhere(&token).output().await.unwrap();
    assert_eq!(
        asked.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    let wrong = elsewhere("wrong").output().await.unwrap();
    assert_eq!(
        wrong.status.code(),
        Some(6),
        "{}",
        String::from_utf8_lossy(&wrong.stderr)
    );
    let url = running.url.clone();
    running.end().await;
    let gone = output(&[
        "status",
        "--config",
        site.file().to_str().unwrap(),
        "--url",
        &url,
    ])
    .await;
    assert_eq!(gone.status.code(), Some(5));
    let said = String::from_utf8_lossy(&gone.stderr);
    assert!(said.contains("jackfield doctor"), "{said}");
}

/// Over HTTPS only who has the certificate that the file names is given a token, or whom the
/// authorities have signed for that are named; none is needed where nobody is asked for one.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_behind_https_is_known_by_its_certificate() {
    let exchange = exchange(Speed::PerSecond(1500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let (cert, key) = (site.path().join("cert.pem"), site.path().join("key.pem"));
    let make = || {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        made.signing_key.serialize_pem()
    };
    std::fs::write(&key, make()).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let tls = json!({ "cert": cert, "key": key });
    site.set(
        "/admin",
        json!({ "listen": address, "auth": "none", "tls": tls }),
    );
    let file = site.file().to_str().unwrap().to_owned();
    let mut command = Command::new(&Artifacts::get().jackfield);
    command.args(["run", &file]);
    let mut jackfield = Jackfield::spawn(command);
    jackfield.line("/metrics").await;
    let ends = async |args: &[&str], code: i32| {
        let output = output(args).await;
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        said
    };
    assert!(
        ends(&["status", "--config", &file], 0)
            .await
            .contains("trades-lake")
    );
    ends(&["health", &file, "--ready", "--within", "30s"], 0).await;
    let doctor = ends(&["doctor", &file], 0).await;
    assert!(doctor.contains("connectors are RUNNING"), "{doctor}");
    let url = format!("https://{address}");
    let by_url = ["status", "--config", &file, "--url", &url];
    let authority = ["--cacert", cert.to_str().unwrap()];
    ends(&[&by_url[..], &authority].concat(), 0).await;
    ends(&by_url, 0).await;
    ends(&["health", "--url", &url], 0).await;
    // Without a file there is no token, which nobody asks for; and no certificate.
    let nowhere = site.path().join("nowhere.yaml");
    let nowhere = nowhere.to_str().unwrap();
    let from_afar = ["status", "--config", nowhere, "--url", &url];
    ends(&[&from_afar[..], &authority].concat(), 0).await;
    ends(&from_afar, 5).await;
    // Whoever answers may be another process than that of this file now: it is not given a token.
    // Whether it is alive, and is a jackfield, can be asked all the same.
    make();
    for args in [&["status", "--config", &file][..], &by_url] {
        let said = ends(args, 5).await;
        assert!(said.contains("has another certificate than"), "{said}");
    }
    std::fs::remove_file(&cert).unwrap();
    ends(&["status", "--config", &file], 2).await;
    ends(&["health", &file], 0).await;
    let doctor = ends(&["doctor", &file], 0).await;
    assert!(doctor.contains("connectors are RUNNING"), "{doctor}");
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_pause_resume_stop_and_restart() {
    let exchange = exchange(Speed::PerSecond(1500.0), |_| {}).await;
    let site = Site::new(&exchange).await;
    let mut running = Running::of(&site, &["--until-idle", "6s"]).await;
    exchange.reached(500).await;
    let state = async |connector: &str| -> Value {
        let rows = running.json(&["status", connector]).await;
        rows[0]["state"].clone()
    };
    assert_eq!(
        running.text(&["pause", "trades-lake"]).await,
        "trades-lake: PAUSED\n"
    );
    assert_eq!(state("trades-lake").await, "PAUSED");
    assert_eq!(state("trades-source").await, "RUNNING");
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
    running.text(&["resume", "trades-lake"]).await;
    running.refused(&["pause", "nobody"], 6, "nobody").await;
    assert_eq!(running.jackfield.wait().await, 0);
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

#[tokio::test(flavor = "multi_thread")]
async fn log_levels_are_shown_and_set() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = Site::new(&exchange).await;
    let running = Running::of(&site, &[]).await;
    let all = running.json(&["logs", "level"]).await;
    assert_eq!(all["root"]["level"], "INFO", "{all}");
    let set = running
        .json(&["logs", "level", "jackfield_pipeline", "debug"])
        .await;
    assert_eq!(set["jackfield_pipeline"]["level"], "DEBUG", "{set}");
    let table = running.text(&["logs", "level", "jackfield_pipeline"]).await;
    assert!(table.contains("DEBUG"), "{table}");
    running
        .refused(&["logs", "level", "root", "LOUD"], 6, "")
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_the_manual_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let told = output(&["completions", shell]).await;
        assert_eq!(told.status.code(), Some(0));
        let text = String::from_utf8(told.stdout).unwrap();
        for command in ["doctor", "status", "offsets", "tail"] {
            assert!(text.contains(command), "{shell}: {command}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let written = output(&["man", "--dir", folder.path().to_str().unwrap()]).await;
    assert_eq!(written.status.code(), Some(0));
    for page in [
        "jackfield.1",
        "jackfield-doctor.1",
        "jackfield-offsets-set.1",
    ] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
    let page = output(&["man"]).await;
    assert!(String::from_utf8_lossy(&page.stdout).contains(".TH jackfield 1"));
}
