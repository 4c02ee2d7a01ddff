//! The commands that ask a running process, as a person runs them on the example's pipeline: how it
//! is reached, and what is not about topics (`cli_topics`) or single connectors (`cli_connectors`).

use std::process::Output;
use std::time::Duration;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Jackfield, PATIENCE, Site, output};
use jackfield_test_process::free_port;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::{ALL, exchange};

pub(crate) const TOPIC: &str = "binance.spot.trade";
/// Between two looks at a condition.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A process that runs a site, and how to ask it.
pub(crate) struct Running {
    pub(crate) jackfield: Jackfield,
    file: String,
    url: String,
}

impl Running {
    pub(crate) async fn of(site: &Site, args: &[&str]) -> Running {
        let mut jackfield = Jackfield::run(site, args);
        let url = jackfield.admin().await;
        Running {
            jackfield,
            file: site.file().to_str().unwrap().to_owned(),
            url,
        }
    }

    pub(crate) fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [args, &["--config", &self.file, "--url", &self.url]].concat()
    }

    /// Runs a command to its end.
    pub(crate) async fn ask(&self, args: &[&str]) -> Output {
        output(&self.args(args)).await
    }

    /// What it prints, which must go well.
    pub(crate) async fn text(&self, args: &[&str]) -> String {
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
    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        let text = self.text(&[args, &["--json"]].concat()).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// It ends with this code and says `word`.
    pub(crate) async fn refused(&self, args: &[&str], code: i32, word: &str) {
        let output = self.ask(args).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: no `{word}` in {said}");
    }

    /// Waits until all trades lie in the topic.
    pub(crate) async fn until_all_are_kept(&self) {
        let begin = Instant::now();
        loop {
            // It is refused until the source has made the topic.
            let asked = self.ask(&["topics", "describe", TOPIC, "--json"]).await;
            let topic: Option<Value> = serde_json::from_slice(&asked.stdout).ok();
            if topic.is_some_and(|it| it["records"] == json!(ALL)) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{asked:?}");
            sleep(LOOK_EVERY).await;
        }
    }

    pub(crate) async fn end(mut self) {
        self.jackfield.terminate().await;
        assert_eq!(self.jackfield.wait().await, 0);
    }
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
    ends(&["health", &file, "--ready", "--within", "120s"], 0).await;
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
