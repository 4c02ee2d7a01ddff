//! SIGTERM is heard whatever the process is in the middle of.

use std::path::{Path, PathBuf};

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Jackfield, PATIENCE, Site, http};
use serde_json::{Value, json};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::admin::Admin;
use crate::exchange;
use crate::reload::hang_up;
use crate::rest::{self, Rest};
use crate::rollback::{self, keeping, root};
use crate::swap_many::with;

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Before a file is replaced once more, which is looked at each second.
const REPLACE_EVERY: Duration = Duration::from_secs(10);
/// Longer than a test waits: what ends has not waited for the end of the grace time.
const GRACE: &str = "10m";
/// What the process says when it has heard the signal.
const STOPPING: &str = "stopping: draining";
/// What the process says of a task that did not end by itself.
const CUT_OFF: &str = "cut off";

/// A component's file that whoever reads it waits for: a pipe that nobody writes into. It stands
/// for a compiler, or a disk, that takes its time.
struct Gate(PathBuf);

impl Gate {
    /// At a path where nothing is, or instead of the file there.
    async fn at(path: &Path) -> Gate {
        let made = path.with_extension("made");
        let status = Command::new("mkfifo").arg(&made).status().await;
        assert!(status.unwrap().success());
        std::fs::rename(&made, path).unwrap();
        Gate(path.to_owned())
    }

    /// Waits until somebody reads it, who goes on when the answer is dropped.
    async fn reached(&self) -> pipe::Sender {
        let begin = Instant::now();
        loop {
            match pipe::OpenOptions::new().open_sender(&self.0) {
                Ok(held) => return held,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "nobody reads it: {error}"),
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Whether a component is being compiled into this state folder, or was.
fn compiles(state: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(state.join("plugins")) else {
        return false;
    };
    let mut names = entries.map(|entry| entry.unwrap().file_name());
    names.any(|name| Path::new(&name).extension().is_some_and(|it| it == "wasm"))
}

/// The log is opened when all components are loaded.
fn has_log(site: &Site) -> bool {
    site.path().join("data/log").exists()
}

/// A source that goes on and on.
fn steady(topic: &str) -> Value {
    json!({
        "source": { "plugin": "hostile", "settings": { "lines": 2, "pause-ms": 5 } },
        "topics": { "only": { "name": topic } }
    })
}

/// Settings of a sink that commits nothing before [`let_commit`], and does not end before either.
fn gated(root: &Path) -> Value {
    let settings = keeping("only", root)["settings"].clone();
    with(&settings, json!({ "in": "commit", "do": "gated" }))
}

fn let_commit(root: &Path) {
    std::fs::create_dir_all(root).unwrap();
    std::fs::write(root.join("open"), "").unwrap();
}

/// Whether it has put something.
fn has_put(now: &Value) -> bool {
    now["records"].as_u64() > Some(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_breaks_off_a_start_that_waits_for_a_component() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let gate = Gate::at(&site.path().join("gate.wasm")).await;
    site.set("/plugins/binance", json!(gate.0));
    let mut jackfield = Jackfield::run(&site, &["--grace", GRACE]);
    let _held = gate.reached().await;
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
    assert!(!has_log(&site), "{}", jackfield.log());
}

/// The first start of all.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_breaks_off_a_start_that_compiles() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let state = site.path().join("state");
    site.set("/state", json!(state));
    let mut jackfield = Jackfield::run(&site, &["--grace", GRACE]);
    let begin = Instant::now();
    while !compiles(&state) {
        assert!(begin.elapsed() < PATIENCE, "nothing is compiled");
        sleep(LOOK_EVERY).await;
    }
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
    assert!(!has_log(&site), "it went on to the end of its start");
}

/// What was made over REST begins after the connectors of the file.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_breaks_off_the_start_of_what_was_made_over_rest() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = rest::site(&exchange).await;
    let file = site.path().join("hostile.wasm");
    std::fs::copy(Artifacts::get().plugin("hostile"), &file).unwrap();
    site.set(
        "/plugins/hostile",
        json!({ "file": file, "memory": "32MiB" }),
    );
    let rest = Rest::run(&site).await;
    let made = json!({
        "connector.class": "hostile",
        "jackfield.grant": "spot",
        "topic.only": "made",
    });
    let (status, said) = rest.ask("PUT", "/connectors/made/config", made).await;
    assert_eq!(status, 201, "{said}");
    rest.state("made", "RUNNING").await;
    rest.stop().await;

    let gate = Gate::at(&file).await;
    let mut jackfield = Jackfield::run(&site, &["--grace", GRACE]);
    let _held = gate.reached().await;
    assert!(has_log(&site));
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
    assert!(!jackfield.log().contains(CUT_OFF), "{}", jackfield.log());
}

/// The edited file names another component.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_breaks_off_a_reload_that_waits_for_a_component() {
    let exchange = exchange(Speed::PerSecond(3000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let gate = Gate::at(&site.path().join("gate.wasm")).await;
    let mut jackfield = Jackfield::run(&site, &["--grace", GRACE]);
    jackfield.admin().await;
    exchange.reached(1000).await;
    site.set("/plugins/binance", json!(gate.0));
    // Else it could be that nobody has looked at the file before.
    hang_up(&jackfield).await;
    let _held = gate.reached().await;
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
    assert!(!jackfield.log().contains(CUT_OFF), "{}", jackfield.log());
}

/// Another component lies where the file names one.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_breaks_off_the_swap_to_a_file_that_has_changed() {
    let exchange = exchange(Speed::PerSecond(3000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let file = site.path().join("source.wasm");
    std::fs::copy(Artifacts::get().plugin("binance-source"), &file).unwrap();
    site.set("/plugins/binance", json!(file));
    let mut jackfield = Jackfield::run(&site, &["--grace", GRACE]);
    exchange.reached(1000).await;
    let replaced = async {
        // The first look at the file may come after it was replaced: nothing has changed then.
        loop {
            let gate = Gate::at(&file).await;
            if let Ok(held) = timeout(REPLACE_EVERY, gate.reached()).await {
                return held;
            }
        }
    };
    let _held = timeout(PATIENCE, replaced).await.expect("it is swapped");
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
    assert!(!jackfield.log().contains(CUT_OFF), "{}", jackfield.log());
}

/// What the edited file takes away may end as it would without the signal.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_waits_for_what_the_edited_file_takes_away() {
    let exchange = exchange(Speed::PerSecond(50.0), |_| {}).await;
    let mut site = rollback::site(&exchange).await;
    let folder = root(&site, "leaves");
    let mut sink = keeping("only", &folder);
    sink["settings"] = gated(&folder);
    let mut leaves = steady("leaves");
    leaves["sinks"] = json!({ "kept": sink });
    leaves["retry"] = json!({ "deadline": "30m" });
    site.set(
        "/pipelines",
        json!({ "stays": steady("stays"), "leaves": leaves }),
    );
    let mut admin = Admin::run(&site, &["--grace", GRACE]).await;
    admin
        .until("it is put", "/status/leaves-kept", has_put)
        .await;
    site.set("/pipelines/leaves", Value::Null);
    // Its sink is ended after its source.
    let source_is_gone = |now: &Value| {
        let all = now.as_array().unwrap();
        all.iter().all(|it| it["name"] != "leaves-source")
    };
    admin
        .until("it is being ended", "/status", source_is_gone)
        .await;
    admin.jackfield.terminate().await;
    admin.jackfield.line(STOPPING).await;
    let_commit(&folder);
    assert_eq!(admin.jackfield.wait().await, 0);
    let log = admin.jackfield.log();
    let drained = |line: &str| {
        let told = [
            r#""message":"removed""#,
            r#""connector":"leaves-kept""#,
            "Drained",
        ];
        told.into_iter().all(|it| line.contains(it))
    };
    assert!(log.lines().any(drained), "{log}");
    assert!(!log.contains(CUT_OFF), "{log}");
}

/// What is deleted over REST is waited for by itself: the watch over the files has no part in it.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_breaks_off_a_reload_while_a_connector_is_deleted_over_rest() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = rest::site(&exchange).await;
    for name in ["hostile", "hostile-sink"] {
        let file = Artifacts::get().plugin(name);
        let plugin = json!({ "file": file, "memory": "32MiB" });
        site.set(&format!("/plugins/{name}"), plugin);
    }
    site.set("/pipelines", json!({ "stays": steady("stays") }));
    let component = Gate::at(&site.path().join("gate.wasm")).await;
    let mut rest = Rest::run_with(&site, &["--grace", GRACE]).await;
    let folder = root(&site, "deleted");
    let sink = json!({
        "connector.class": "hostile-sink",
        "jackfield.grant": "spot",
        "topics": "stays",
        "settings": gated(&folder).to_string(),
    });
    let (status, said) = rest.ask("PUT", "/connectors/deleted/config", sink).await;
    assert_eq!(status, 201, "{said}");
    rest.until("it is put", "/status/deleted", has_put).await;
    site.set("/plugins/hostile/file", json!(component.0));
    hang_up(&rest.jackfield).await;
    let _held = component.reached().await;
    let url = format!("{}/connectors/deleted", rest.url);
    // The process may end before it has answered.
    let _deleting = tokio::spawn(async move { http().delete(url).send().await.ok() });
    let is_gone = |now: &Value| *now == json!(["stays-source"]);
    rest.until("it is being ended", "/connectors", is_gone)
        .await;
    rest.jackfield.terminate().await;
    rest.jackfield.line(STOPPING).await;
    let_commit(&folder);
    assert_eq!(rest.jackfield.wait().await, 0);
    assert!(
        !rest.jackfield.log().contains(CUT_OFF),
        "{}",
        rest.jackfield.log()
    );
}
