//! SIGTERM is heard whatever the process is in the middle of.

use std::path::{Path, PathBuf};

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Jackfield, PATIENCE, Site};
use serde_json::json;
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::exchange;
use crate::reload::hang_up;
use crate::rest::{self, Rest};

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Before a file is replaced once more, which is looked at each second.
const REPLACE_EVERY: Duration = Duration::from_secs(10);
/// Longer than a test waits: what ends has not waited for the end of the grace time.
const GRACE: &str = "10m";
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
