//! Kafka Connect's REST API of a running process, as its clients use it.

use std::path::Path;

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{Artifacts, Jackfield, PATIENCE, Site, both, http, repository};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Duration, sleep, timeout};

use crate::exchange;

/// Four clients, some sixty processes, one after the other.
const CLIENTS_PATIENCE: Duration = Duration::from_secs(900);

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A process whose admin server asks nobody who is there.
pub(crate) struct Rest {
    pub(crate) jackfield: Jackfield,
    pub(crate) url: String,
}

impl Rest {
    pub(crate) async fn run(site: &Site) -> Rest {
        Rest::run_with(site, &[]).await
    }

    pub(crate) async fn run_with(site: &Site, args: &[&str]) -> Rest {
        let mut jackfield = Jackfield::run(site, args);
        let url = jackfield.admin().await;
        Rest { jackfield, url }
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = http().request(method, format!("{}{path}", self.url));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Asks without a body, and compares the status of the answer.
    pub(crate) async fn told(&self, method: &str, path: &str, expected: u16) {
        let (status, body) = self.ask(method, path, Value::Null).await;
        assert_eq!(status, expected, "{method} {path}: {body}");
    }

    pub(crate) async fn until(
        &self,
        what: &str,
        path: &str,
        done: impl Fn(&Value) -> bool,
    ) -> Value {
        let waiting = async {
            loop {
                let (_, now) = self.ask("GET", path, Value::Null).await;
                if done(&now) {
                    return now;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(value) => value,
            Err(_) => panic!("never: {what}: {}", self.get(path).await),
        }
    }

    pub(crate) async fn state(&self, connector: &str, state: &str) {
        let path = format!("/connectors/{connector}/status");
        let is = |now: &Value| now["connector"]["state"] == state;
        self.until(state, &path, is).await;
    }

    pub(crate) async fn stop(mut self) {
        self.jackfield.terminate().await;
        assert_eq!(self.jackfield.wait().await, 0);
    }
}

/// A site without pipelines: everything is made over REST, with one grant.
pub(crate) async fn site(exchange: &Running) -> Site {
    over_rest(Site::new(exchange).await, exchange)
}

pub(crate) fn over_rest(mut site: Site, exchange: &Running) -> Site {
    let grant = json!({
        "websocket": [exchange.ws_url()],
        "http": [exchange.rest_url()],
        "lake": "local",
    });
    site.set("/pipelines", Value::Null);
    site.set("/grants", json!({ "spot": grant }));
    site.set("/admin", json!({ "auth": "none" }));
    site
}

pub(crate) fn source(exchange: &Running) -> Value {
    json!({
        "connector.class": "binance",
        "exactly.once.support": "required",
        "jackfield.grant": "spot",
        "topic.trade": "binance.spot.trade",
        "topic.gap": "binance.spot.gap",
        "topic.creation.default.partitions": "4",
        "market": "spot",
        "symbols": "BTCUSDT,ETHUSDT",
        "streams": "trade",
        "start-at": both().to_string(),
        "silence-after": "1s",
        "endpoints.websocket": exchange.ws_url(),
        "endpoints.rest": exchange.rest_url(),
    })
}

pub(crate) fn sink() -> Value {
    json!({
        "connector.class": "iceberg",
        "jackfield.delivery": "exactly-once",
        "jackfield.grant": "spot",
        "jackfield.commit.every": "500ms",
        "topics": "binance.spot.trade",
        "tasks.max": 2,
        "table": "market.trades",
        "partition-by": "day(trade_time),symbol",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn loggers_are_found_and_set_and_changes_are_written_down_at_every_level() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = site(&exchange).await;
    let rest = Rest::run(&site).await;
    let level = |level: &str| json!({ "level": level });

    // As in Kafka Connect, a logger that is set is there from then on.
    rest.told("GET", "/admin/loggers/some_library", 404).await;
    let (status, set) = rest
        .ask("PUT", "/admin/loggers/some_library", level("DEBUG"))
        .await;
    assert_eq!((status, set), (200, json!(["some_library"])));
    let now = rest.get("/admin/loggers/some_library").await;
    assert_eq!(now["level"], "DEBUG");
    assert!(now["last_modified"].is_u64(), "{now}");
    for (path, word, status) in [
        ("/admin/loggers/root", "LOUD", 404),
        ("/admin/loggers/a%3Db", "INFO", 404),
        ("/admin/loggers/some_library?scope=cluster", "WARN", 204),
        ("/admin/loggers/jackfield_admin::audit", "OFF", 400),
        ("/admin/loggers/root", "OFF", 200),
    ] {
        let (answered, said) = rest.ask("PUT", path, level(word)).await;
        assert_eq!(answered, status, "{path} {word}: {said}");
        if status >= 400 {
            assert_eq!(said["error_code"], status, "{said}");
        }
    }
    assert_eq!(rest.get("/admin/loggers/root").await["level"], "OFF");
    let audit = rest.get("/admin/loggers/jackfield_admin::audit").await;
    assert_eq!(audit["level"], "INFO");

    let change = "/connectors/nobody/pause";
    rest.told("PUT", change, 404).await;
    let written = async {
        while !rest.jackfield.log().contains(change) {
            sleep(LOOK_EVERY).await;
        }
    };
    let in_time = timeout(PATIENCE, written).await;
    assert!(in_time.is_ok(), "{}", rest.jackfield.log());
    rest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_kafka_connect_drive_it() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = site(&exchange).await;
    let rest = Rest::run(&site).await;
    let root = repository();
    let mut command = Command::new(root.join("scripts/python"));
    let home = site.path().join("home");
    std::fs::create_dir(&home).unwrap();
    command
        .env("PYTHON_REQUIREMENTS", "tests/python/connect-clients.txt")
        .env("HOME", &home)
        .arg(root.join("tests/python/connect_clients.py"))
        .args(["--url", &rest.url])
        .args(["--source", &source(&exchange).to_string()])
        .args(["--sink", &sink().to_string()]);
    let output = timeout(CLIENTS_PATIENCE, command.kill_on_drop(true).output()).await;
    let output = output.expect("the clients end").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{errors}");
    for client in [
        "kafka-connect-py",
        "kafkaconnect",
        "connectorctl",
        "kafka-connect-watcher",
    ] {
        assert!(said.contains(&format!("{client}: ok")), "{said}{errors}");
    }
    rest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_server_that_others_reach_needs_a_token_of_the_file() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set("/admin", json!({ "listen": "0.0.0.0:0" }));
    let check = |file: &Path| {
        let mut command = Command::new(&Artifacts::get().jackfield);
        command.arg("check").arg(file);
        command
    };
    let refused = check(&site.file()).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(said.contains("other machines reach this address"), "{said}");
    site.set(
        "/admin",
        json!({ "listen": "0.0.0.0:0", "auth": "none", "token": "t" }),
    );
    assert_eq!(
        check(&site.file()).output().await.unwrap().status.code(),
        Some(2)
    );
    site.set(
        "/admin",
        json!({ "listen": "0.0.0.0:0", "token": "a-token" }),
    );
    assert_eq!(
        check(&site.file()).output().await.unwrap().status.code(),
        Some(0)
    );
}
