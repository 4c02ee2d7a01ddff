//! Another version beside the one that runs: compared, thrown away, and never noticed.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{Artifacts, Jackfield, PATIENCE, Site, changed_copy, http, output};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::{ends_amid_the_feed, exchange, lasting_exchange};

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running process, and the commands that a person gives it.
struct Shadowed {
    jackfield: Jackfield,
    url: String,
    file: PathBuf,
    token: String,
    http: reqwest::Client,
}

impl Shadowed {
    async fn run(site: &Site, args: &[&str]) -> Shadowed {
        let mut jackfield = Jackfield::run(site, args);
        let url = jackfield.admin().await;
        let token = std::fs::read_to_string(Artifacts::get().state.join("admin-token")).unwrap();
        Shadowed {
            jackfield,
            url,
            file: site.file(),
            token,
            http: http(),
        }
    }

    async fn command(&self, args: &[&str]) -> Output {
        let address = self.url.trim_start_matches("http://");
        let own = [
            "--config",
            self.file.to_str().unwrap(),
            "--address",
            address,
        ];
        output(&[args, &own].concat()).await
    }

    /// `jackfield swap --shadow` with these arguments: how it exits, and its report.
    async fn shadow(&self, args: &[&str]) -> (i32, Value) {
        let output = self.command(&[&["swap", "--json"], args].concat()).await;
        let text = String::from_utf8_lossy(&output.stdout);
        let report = serde_json::from_str(&text);
        let report = report.unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"));
        (output.status.code().unwrap(), report)
    }

    async fn records(&self, connector: &str) -> u64 {
        self.figure(connector, "records").await
    }

    async fn figure(&self, connector: &str, figure: &str) -> u64 {
        let request = self.http.get(format!("{}/status", self.url));
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        let all: Vec<Value> = answer.json().await.unwrap();
        let one = all.into_iter().find(|it| it["name"] == connector).unwrap();
        one[figure].as_u64().unwrap()
    }

    async fn restart(&self, connector: &str) {
        let url = format!("{}/connectors/{connector}/restart", self.url);
        let request = self.http.post(url).bearer_auth(&self.token);
        let status = request.send().await.unwrap().status();
        assert!(status.is_success(), "{status}");
    }

    /// Waits until so many shadows of a connector have been begun, and the last of them runs.
    async fn until_shadows(&self, connector: &str, begun: usize) {
        let begin = Instant::now();
        loop {
            let url = format!("{}/connectors/{connector}/shadows", self.url);
            let request = self.http.get(url).bearer_auth(&self.token);
            let all: Vec<Value> = request.send().await.unwrap().json().await.unwrap();
            let last = all.last().map(|it| &it["state"]);
            if all.len() == begun && last == Some(&json!("shadowing")) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "there is no shadow: {all:?}");
            sleep(LOOK_EVERY).await;
        }
    }

    async fn until_records(&self, connector: &str, more_than: u64) {
        self.until_more(connector, "records", more_than).await;
    }

    async fn until_more(&self, connector: &str, figure: &str, than: u64) {
        let begin = Instant::now();
        while self.figure(connector, figure).await <= than {
            assert!(begin.elapsed() < PATIENCE, "{connector} never goes on");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a sink has made so many commits more.
    async fn commits(&self, connector: &str, more: usize) {
        for _ in 0..more {
            let at = self.figure(connector, "committed").await;
            self.until_more(connector, "committed", at).await;
        }
    }
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

fn files(below: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(below).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

/// The tables that a site's catalog knows.
async fn tables(site: &Site) -> Vec<String> {
    let list = "import sqlite3, sys\n\
                catalog = sqlite3.connect(sys.argv[1])\n\
                tables = 'SELECT table_namespace, table_name FROM iceberg_tables'\n\
                for table in catalog.execute(tables): print('.'.join(table))\n";
    let mut command = Command::new("python3");
    command.args(["-c", list]).arg(site.catalog());
    let output = command.kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

async fn busy_exchange() -> Running {
    lasting_exchange(1000.0).await
}

/// Ends it amid the feed, of which all that its sink has put has landed.
async fn ends(mut running: Shadowed, exchange: &Running, site: &Site) {
    let put = running.records("trades-lake").await;
    let put = [("market.trades", put)];
    ends_amid_the_feed(&mut running.jackfield, site, exchange, &put).await;
}

/// A sink that commits rarely enough for its shadow to be there before the next commit, on a busy
/// machine too: one that is overtaken says so and ends. And a source that does not take a feed that
/// such a machine holds up for silent: it would ask REST.
async fn unhurried_site(exchange: &Running) -> Site {
    let mut site = Site::new(exchange).await;
    let silence = "/pipelines/trades/source/settings/silence-after";
    site.set(silence, json!("10m"));
    site.set(
        "/pipelines/trades/sinks/lake/commit",
        json!({ "every": "6s" }),
    );
    site
}

/// The same version beside itself, of source and sink, under load: thousands of records, rows and
/// no difference; and the exchange sees one connection, the table each trade once.
#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_of_the_same_version_differs_in_nothing_and_leaves_nothing() {
    let exchange = busy_exchange().await;
    let site = unhurried_site(&exchange).await;
    let running = Shadowed::run(&site, &[]).await;
    running.until_records("trades-lake", 1000).await;
    let source = Artifacts::get().plugin("binance-source");
    let sink = Artifacts::get().plugin("iceberg-sink");
    let of_source = ["trades-source", path(&source), "--shadow", "10s"];
    let of_sink = ["trades-lake", path(&sink), "--shadow", "20s"];
    let before = exchange.status();
    let (source, sink) = tokio::join!(running.shadow(&of_source), running.shadow(&of_sink));
    let after = exchange.status();

    let (code, report) = source;
    assert_eq!((code, &report["end"]), (0, &json!("over")), "{report}");
    assert_eq!(report["differs"], false, "{report}");
    let same = report["records"]["feeds"]["trade"]["same"].as_u64();
    assert!(same.unwrap() > 2000, "{report}");
    let (code, report) = sink;
    assert_eq!((code, &report["end"]), (0, &json!("over")), "{report}");
    assert_eq!(report["differs"], false, "{report}");
    let of = |who: &str| report["sink"][who]["market.trades"].clone();
    assert!(of("new")["rows"].as_u64().unwrap() > 1000, "{report}");
    assert_eq!(of("new")["rows"], of("running")["rows"]);

    assert_eq!(after.connections, 1, "the shadow opened none");
    assert_eq!(after.requests, before.requests, "the shadow made none");
    ends(running, &exchange, &site).await;
    let left = files(&Artifacts::get().state.join("shadows"));
    assert_eq!(left, BTreeSet::new(), "what it wrote is gone");
}

/// A source that echoes the frames of one connection, and one that differs in every tenth.
async fn echoing(site: &mut Site, exchange: &Running) -> Value {
    let url = exchange.ws_url();
    let file = Artifacts::get().plugin("hostile");
    site.set(
        "/plugins/hostile",
        json!({ "file": file, "memory": "64MiB", "call-time": "5s" }),
    );
    let told = json!({ "in": "poll", "do": "echo", "url": format!("{url}/ws/btcusdt@trade") });
    let pipeline = json!({
        "source": {
            "plugin": "hostile",
            "settings": told,
            "allow": { "websocket": [url] }
        },
        "topics": { "only": { "name": "echo" } }
    });
    site.set("/pipelines/trades", Value::Null);
    site.set("/pipelines/echo", pipeline);
    told
}

/// What differs is told, exactly that; what traps, loops or breaks the contract is a report; and the
/// running one never notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_tells_what_differs_and_dies_alone() {
    let exchange = exchange(Speed::PerSecond(1000.0), |o| o.laps = 100).await;
    let mut site = Site::new(&exchange).await;
    let mut told = echoing(&mut site, &exchange).await;
    let settings = site.path().join("settings.json");
    let mut running = Shadowed::run(&site, &["--grace", "20s"]).await;
    running.until_records("echo-source", 100).await;
    // More often than anyone may listen at a time: what is refused listens no more.
    let dying = json!({ "in": "check", "do": "panic" });
    std::fs::write(&settings, dying.to_string()).unwrap();
    for _ in 0..6 {
        let file = path(&settings);
        let args = ["swap", "echo-source", "--settings", file, "--shadow", "2s"];
        let refused = running.command(&args).await;
        assert_eq!(refused.status.code(), Some(27), "fails: {refused:?}");
    }
    let mut shadow = async |deed: &str, running: &Shadowed| {
        told["do"] = json!(deed);
        std::fs::write(&settings, told.to_string()).unwrap();
        let args = [
            "echo-source",
            "--settings",
            path(&settings),
            "--shadow",
            "5s",
        ];
        running.shadow(&args).await
    };
    let (code, report) = shadow("echo", &running).await;
    assert_eq!((code, &report["differs"]), (0, &json!(false)), "{report}");
    let (code, report) = shadow("echo-less", &running).await;
    let feed = |report: &Value, what: &str| report["records"]["feeds"]["only"][what].as_u64();
    let tenth = |report: &Value, what: &str| {
        let (some, same) = (feed(report, what).unwrap(), feed(report, "same").unwrap());
        assert!(some > 10 && same > 100, "{report}");
        let all = some + same;
        assert!(some >= all / 10 - 1 && some <= all / 10 + 1, "{report}");
    };
    assert_eq!(code, 7, "{report}");
    tenth(&report, "missing");
    assert_eq!(
        (feed(&report, "extra"), feed(&report, "changed")),
        (Some(0), Some(0)),
        "{report}"
    );
    let (code, report) = shadow("echo-other", &running).await;
    assert_eq!(code, 7, "{report}");
    tenth(&report, "changed");
    assert_eq!(
        (feed(&report, "extra"), feed(&report, "missing")),
        (Some(0), Some(0)),
        "{report}"
    );
    let example = &report["records"]["examples"][0];
    let (old, new) = (&example["running"], &example["new"]);
    assert_eq!(new, &json!(format!("{}!", old.as_str().unwrap())));

    for (deed, word) in [
        ("panic", "as told"),
        ("loop", "did not return within"),
        ("malformed", "malformed"),
    ] {
        let before = running.records("echo-source").await;
        let (code, report) = shadow(deed, &running).await;
        assert_eq!((code, &report["end"]), (8, &json!("failed")), "{report}");
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.contains(word), "{report}");
        running.until_records("echo-source", before).await;
    }
    let status = exchange.status();
    assert_eq!(status.connections, 1, "of the running one");
    running.jackfield.terminate().await;
    assert_eq!(running.jackfield.wait().await, 0);
    let log = running.jackfield.log();
    assert!(!log.contains("restarts from what is stored"), "{log}");
}

/// The running version is replaced, or begins anew: its shadow ends and says so, so that nothing is
/// compared with what is no longer it.
#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_ends_with_the_version_that_it_is_compared_with() {
    // Enough for a slow machine: it is not waited for.
    let exchange = exchange(Speed::PerSecond(2000.0), |o| o.laps = 60).await;
    let site = unhurried_site(&exchange).await;
    let mut running = Shadowed::run(&site, &[]).await;
    running.until_records("trades-lake", 1000).await;
    for (connector, plugin) in [
        ("trades-source", "binance-source"),
        ("trades-lake", "iceberg-sink"),
    ] {
        let other = changed_copy(plugin, site.path(), "copy").await;
        let same = Artifacts::get().plugin(plugin);
        for (number, restart) in [false, true].into_iter().enumerate() {
            let shadow = [connector, path(&same), "--shadow", "10m"];
            let changed = async {
                running.until_shadows(connector, number + 1).await;
                if connector == "trades-lake" {
                    // It begins with the first one, and is compared from then on.
                    running.commits(connector, 2).await;
                }
                if restart {
                    running.restart(connector).await;
                } else {
                    let swap = ["swap", connector, path(&other), "--no-wait"];
                    let swapped = running.command(&swap).await;
                    assert!(swapped.status.success(), "{swapped:?}");
                }
            };
            let ((code, report), ()) = tokio::join!(running.shadow(&shadow), changed);
            let end = (code, &report["end"]);
            let cut = json!("running-ended");
            assert_eq!(end, (9, &cut), "{connector}: {report}");
            assert_eq!(report["differs"], false, "{connector}: {report}");
            let before = running.records(connector).await;
            running.until_records(connector, before).await;
        }
    }
    running.jackfield.terminate().await;
    assert_eq!(running.jackfield.wait().await, 0);
}

/// A sink that would write elsewhere: told, and nothing of that place is ever there.
#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_of_a_sink_that_writes_elsewhere_tells_so_and_writes_nowhere() {
    let exchange = busy_exchange().await;
    let site = unhurried_site(&exchange).await;
    let running = Shadowed::run(&site, &[]).await;
    running.until_records("trades-lake", 1000).await;
    let settings = site.path().join("settings.json");
    std::fs::write(&settings, r#"{ "table": "market.elsewhere" }"#).unwrap();
    let args = [
        "trades-lake",
        "--settings",
        path(&settings),
        "--shadow",
        "20s",
    ];
    let (code, report) = running.shadow(&args).await;
    assert_eq!((code, &report["end"]), (7, &json!("over")), "{report}");
    let told = report["sink"]["differences"].to_string();
    assert!(told.contains("writes to market.elsewhere"), "{report}");
    let rows = |who: &str| report["sink"][who]["market.trades"]["rows"].as_u64();
    assert!(rows("running") > Some(1000), "{report}");
    assert_eq!(rows("new"), Some(0), "{report}");
    ends(running, &exchange, &site).await;
    let elsewhere = files(&site.warehouse());
    let elsewhere = elsewhere.iter().filter(|it| path(it).contains("elsewhere"));
    assert_eq!(elsewhere.count(), 0);
    assert_eq!(tables(&site).await, ["market.trades"]);
}

/// What is recorded of a running connector replays, each time to the bit.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_connector_was_given_is_recorded_and_replays_to_the_bit() {
    let exchange = busy_exchange().await;
    let site = Site::new(&exchange).await;
    let running = Shadowed::run(&site, &[]).await;
    running.until_records("trades-lake", 1000).await;
    let (of_source, of_sink) = (site.path().join("a.jfrc"), site.path().join("b.jfrc"));
    let record = async |connector: &str, out: &Path| {
        let args = ["record", connector, "--for", "5s", "--out", path(out)];
        let output = running.command(&args).await;
        assert!(output.status.success(), "{output:?}");
    };
    tokio::join!(
        record("trades-source", &of_source),
        record("trades-lake", &of_sink)
    );
    let file = std::fs::metadata(&of_sink).unwrap();
    assert!(file.len() > 10_000);
    assert_eq!(file.permissions().mode() & 0o777, 0o600, "its owner's");
    let out = path(&of_sink);
    let args = ["record", "trades-lake", "--for", "2s", "--out", out];
    let again = running.command(&args).await;
    let why = String::from_utf8_lossy(&again.stderr);
    assert!(
        !again.status.success() && why.contains("there already"),
        "{again:?}"
    );
    let kept = std::fs::metadata(&of_sink).unwrap();
    assert_eq!(kept.len(), file.len(), "what was there stays");
    ends(running, &exchange, &site).await;

    let plugin = Artifacts::get().plugin("binance-source");
    let written = site.path().join("records.jsonl");
    let replay = async |more: &[&str]| {
        let args = [
            "plugin",
            "replay",
            path(&plugin),
            path(&of_source),
            "--json",
        ];
        let output = output(&[&args, more].concat()).await;
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.code().unwrap(), report)
    };
    let (code, first) = replay(&["--output", path(&written)]).await;
    assert_eq!(code, 0, "{first}");
    assert!(first["records"].as_u64().unwrap() > 500, "{first}");
    let (code, second) = replay(&["--expect", path(&written)]).await;
    assert_eq!(code, 0, "{second}");
    assert_eq!(first["digest"], second["digest"]);
    let of = |report: &Value, key: &str| report["compared"]["feeds"]["trade"][key].clone();
    assert_eq!(of(&second, "same"), first["feeds"]["trade"]["records"]);
    // One line less is one record more.
    let lines = std::fs::read_to_string(&written).unwrap();
    let (_, less) = lines.split_once('\n').unwrap();
    std::fs::write(&written, less).unwrap();
    let (code, third) = replay(&["--expect", path(&written)]).await;
    assert_eq!((code, of(&third, "extra")), (7, json!(1)), "{third}");
}
