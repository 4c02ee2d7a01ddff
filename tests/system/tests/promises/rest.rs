//! Kafka Connect's REST API of a running process, as its clients use it.

use std::path::Path;

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{
    Artifacts, Jackfield, PATIENCE, Site, both, http, repository, shared_cluster,
};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Duration, sleep, timeout};

use crate::kafka::assert_topic;
use crate::{assert_landed, exchange, run_until_idle};

/// Four clients, some sixty processes, one after the other.
const CLIENTS_PATIENCE: Duration = Duration::from_secs(900);

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A process whose admin server asks nobody who is there.
struct Rest {
    jackfield: Jackfield,
    url: String,
}

impl Rest {
    async fn run(site: &Site) -> Rest {
        let mut jackfield = Jackfield::run(site, &[]);
        let url = jackfield.admin().await;
        Rest { jackfield, url }
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
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

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Asks without a body, and compares the status of the answer.
    async fn told(&self, method: &str, path: &str, expected: u16) {
        let (status, body) = self.ask(method, path, Value::Null).await;
        assert_eq!(status, expected, "{method} {path}: {body}");
    }

    async fn until(&self, what: &str, path: &str, done: impl Fn(&Value) -> bool) -> Value {
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

    async fn state(&self, connector: &str, state: &str) {
        let path = format!("/connectors/{connector}/status");
        let is = |now: &Value| now["connector"]["state"] == state;
        self.until(state, &path, is).await;
    }

    async fn stop(mut self) {
        self.jackfield.terminate().await;
        assert_eq!(self.jackfield.wait().await, 0);
    }
}

/// A site without pipelines: everything is made over REST, with one grant.
async fn site(exchange: &Running) -> Site {
    over_rest(Site::new(exchange).await, exchange)
}

fn over_rest(mut site: Site, exchange: &Running) -> Site {
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

fn source(exchange: &Running) -> Value {
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

fn sink() -> Value {
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
async fn connectors_made_over_rest_land_every_trade_and_survive_restarts() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = site(&exchange).await;
    lands_and_survives(&exchange, &site, source(&exchange), sink()).await;
}

/// On Kafka their configs lie in a compacted topic, in Kafka Connect's format.
#[tokio::test(flavor = "multi_thread")]
async fn connectors_made_over_rest_on_kafka_land_every_trade_and_survive_restarts() {
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    let site = over_rest(site, &exchange);
    let (mut source, mut sink) = (source(&exchange), sink());
    for feed in ["trade", "gap"] {
        source[format!("topic.{feed}")] = json!(site.topic(feed));
    }
    sink["topics"] = json!(site.topic("trade"));
    lands_and_survives(&exchange, &site, source, sink).await;
    assert_topic(&cluster, &site, &exchange.trades(), "avro").await;
}

async fn lands_and_survives(exchange: &Running, site: &Site, source: Value, sink: Value) {
    let mut rest = Rest::run(site).await;
    assert_eq!(rest.get("/connectors").await, json!([]));
    let made = json!({ "name": "Spot.trades", "config": source });
    let (status, info) = rest.ask("POST", "/connectors", made.clone()).await;
    assert_eq!(status, 201, "{info}");
    assert_eq!(info["type"], "source");
    assert_eq!(rest.ask("POST", "/connectors", made).await.0, 409);
    let (status, info) = rest
        .ask("PUT", "/connectors/lake/config", sink.clone())
        .await;
    assert_eq!(status, 201, "{info}");
    assert_eq!(info["tasks"].as_array().unwrap().len(), 2);
    let (status, same) = rest
        .ask("PUT", "/connectors/lake/config", sink.clone())
        .await;
    assert_eq!((status, &same["config"]), (200, &info["config"]));

    // However it ends, they are there again.
    rest.until("some landed", "/status/lake", |now| {
        now["committed"].as_u64() > Some(0)
    })
    .await;
    rest.jackfield.kill().await;
    let rest = Rest::run(site).await;
    rest.until("both are back", "/connectors", |now| {
        *now == json!(["Spot.trades", "lake"])
    })
    .await;
    assert_eq!(rest.get("/connectors/lake/config").await, info["config"]);
    rest.state("lake", "RUNNING").await;
    rest.state("Spot.trades", "RUNNING").await;
    exchange.finished().await;
    rest.stop().await;
    run_until_idle(site, "3s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;

    // What is deleted stays so.
    let rest = Rest::run(site).await;
    rest.until("both are back", "/connectors", |now| {
        *now == json!(["Spot.trades", "lake"])
    })
    .await;
    rest.told("DELETE", "/connectors/lake", 204).await;
    rest.told("PUT", "/connectors/Spot.trades/stop", 204).await;
    rest.state("Spot.trades", "STOPPED").await;
    rest.stop().await;
    let rest = Rest::run(site).await;
    rest.until("one is back", "/connectors", |now| {
        *now == json!(["Spot.trades"])
    })
    .await;
    rest.state("Spot.trades", "STOPPED").await;
    rest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_config_can_not_have_is_refused_and_nothing_of_it_runs() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = site(&exchange).await;
    let rest = Rest::run(&site).await;
    for (key, value, word) in [
        ("transforms", "a", "transforms"),
        ("jackfield.grant", "other", "grants"),
        ("symbols", "${file:/etc/passwd}", "variables"),
        ("symbols", "${HOME}", "variables"),
        ("connector.class", "nothing", "plugins"),
        ("streams", "moon", "streams"),
        ("what", "ever", "unknown key"),
    ] {
        let mut config = source(&exchange);
        config[key] = json!(value);
        let (status, said) = rest
            .ask("PUT", "/connectors/x/config", config.clone())
            .await;
        assert_eq!(status, 400, "{key}: {said}");
        let message = said["message"].as_str().unwrap();
        assert!(message.contains(word), "{key}: {message}");
        if key == "connector.class" {
            continue;
        }
        let validate = "/connector-plugins/binance/config/validate";
        let (status, infos) = rest.ask("PUT", validate, config).await;
        assert_eq!(status, 200, "{infos}");
        assert!(
            infos["error_count"].as_u64().unwrap() >= 1,
            "{key}: {infos}"
        );
    }
    // Without its grant it reaches nothing.
    let mut config = source(&exchange);
    config["jackfield.grant"] = Value::Null;
    config["errors.retry.timeout"] = json!("1000");
    assert_eq!(rest.ask("PUT", "/connectors/x/config", config).await.0, 201);
    rest.state("x", "FAILED").await;
    assert_eq!(exchange.status().connections, 0);
    let (status, all) = rest
        .ask("GET", "/connectors?expand=status&expand=info", Value::Null)
        .await;
    assert_eq!(status, 200);
    assert!(all["x"]["status"]["tasks"][0]["trace"].is_string(), "{all}");
    rest.told("DELETE", "/connectors/x", 204).await;
    rest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_of_the_file_are_changed_in_the_file_and_rest_when_asked() {
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set("/admin", json!({ "auth": "none" }));
    let rest = Rest::run(&site).await;
    let source = "/connectors/trades-source";
    let config = rest.get(&format!("{source}/config")).await;
    assert_eq!(config["symbols"], "BTCUSDT,ETHUSDT");
    assert_eq!(config["topic.trade"], "binance.spot.trade");
    for (method, path) in [("PUT", "/config"), ("PATCH", "/config"), ("DELETE", "")] {
        let body = match method {
            "DELETE" => Value::Null,
            _ => config.clone(),
        };
        let (status, said) = rest.ask(method, &format!("{source}{path}"), body).await;
        assert_eq!(status, 409, "{method}: {said}");
        assert!(
            said["message"].as_str().unwrap().contains("pipeline.yaml"),
            "{said}"
        );
    }
    let offsets = format!("{source}/offsets");
    let some = |now: &Value| now["offsets"].as_array().is_some_and(|it| !it.is_empty());
    rest.until("it has come somewhere", &offsets, some).await;
    let refused = rest.ask("DELETE", &offsets, Value::Null).await;
    assert_eq!(refused.0, 400, "{}", refused.1);

    rest.told("PUT", &format!("{source}/pause"), 202).await;
    rest.state("trades-source", "PAUSED").await;
    rest.told("PUT", &format!("{source}/resume"), 202).await;
    rest.state("trades-source", "RUNNING").await;
    rest.told("PUT", &format!("{source}/stop"), 204).await;
    rest.state("trades-source", "STOPPED").await;
    let before = rest.get(&offsets).await;
    rest.told("DELETE", &offsets, 200).await;
    assert_eq!(rest.get(&offsets).await, json!({ "offsets": [] }));
    assert_eq!(rest.ask("PATCH", &offsets, before.clone()).await.0, 200);
    assert_eq!(rest.get(&offsets).await, before);

    let group = "/connectors/trades-lake/offsets";
    let committed = rest.until("the group has offsets", group, some).await;
    let first = &committed["offsets"][0];
    assert_eq!(first["partition"]["kafka_topic"], "binance.spot.trade");
    assert!(first["offset"]["kafka_offset"].is_u64(), "{first}");
    rest.stop().await;

    // It rests still after a restart, and goes on without a loss when it is asked to.
    let rest = Rest::run(&site).await;
    rest.state("trades-source", "STOPPED").await;
    rest.told("PUT", &format!("{source}/resume"), 202).await;
    rest.state("trades-source", "RUNNING").await;
    exchange.finished().await;
    rest.stop().await;
    run_until_idle(&site, "3s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
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

/// With the token, on another address than loopback's, and over HTTPS.
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
