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
async fn what_is_made_stopped_stays_so_until_it_is_resumed() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = site(&exchange).await;
    let mut rest = Rest::run(&site).await;
    let made = json!({
        "name": "later",
        "config": source(&exchange),
        "initial_state": "STOPPED",
    });
    let (status, info) = rest.ask("POST", "/connectors", made).await;
    assert_eq!(status, 201, "{info}");
    rest.state("later", "STOPPED").await;
    let state = rest.get("/connectors/later/status").await;
    assert_eq!(state["tasks"], json!([]), "{state}");
    rest.jackfield.kill().await;
    let rest = Rest::run(&site).await;
    assert_eq!(rest.get("/health").await["status"], "healthy");
    rest.until("it is back", "/connectors", |now| *now == json!(["later"]))
        .await;
    rest.state("later", "STOPPED").await;
    assert_eq!(exchange.status().connections, 0, "it never ran");
    rest.told("PUT", "/connectors/later/resume", 202).await;
    rest.state("later", "RUNNING").await;
    rest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_changes_what_it_names_and_of_two_at_once_none_is_lost() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = site(&exchange).await;
    let rest = Rest::run(&site).await;
    let made = json!({
        "name": "patched",
        "config": source(&exchange),
        "initial_state": "STOPPED",
    });
    assert_eq!(rest.ask("POST", "/connectors", made).await.0, 201);
    let path = "/connectors/patched/config";
    let (silence, deadline) = ("silence-after", "errors.retry.timeout");
    let mut expected = rest.get(path).await;
    assert_eq!(expected[silence], "1s");

    let patch = json!({ silence: "2s", deadline: "60000" });
    let (status, info) = rest.ask("PATCH", path, patch).await;
    assert_eq!(status, 200, "{info}");
    expected[silence] = json!("2s");
    expected[deadline] = json!("60000");
    assert_eq!(info["config"], expected);
    assert_eq!(rest.get(path).await, expected);

    let (status, info) = rest.ask("PATCH", path, json!({ deadline: null })).await;
    assert_eq!(status, 200, "{info}");
    expected.as_object_mut().unwrap().remove(deadline);
    assert_eq!(rest.get(path).await, expected);

    // What is refused changes nothing.
    let (status, said) = rest.ask("PATCH", path, json!({ silence: "0s" })).await;
    assert_eq!(status, 400, "{said}");
    assert_eq!(rest.get(path).await, expected);

    for round in 3..8 {
        let (one, other) = (format!("{round}s"), format!("{round}0000"));
        let (first, second) = tokio::join!(
            rest.ask("PATCH", path, json!({ silence: one })),
            rest.ask("PATCH", path, json!({ deadline: other })),
        );
        assert_eq!((first.0, second.0), (200, 200), "{first:?} {second:?}");
        expected[silence] = json!(one);
        expected[deadline] = json!(other);
        assert_eq!(rest.get(path).await, expected, "round {round}");
    }
    rest.state("patched", "STOPPED").await;
    rest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugins_keys_are_those_that_validation_defines() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = site(&exchange).await;
    let rest = Rest::run(&site).await;
    for (plugin, config) in [("binance", source(&exchange)), ("iceberg", sink())] {
        let path = format!("/connector-plugins/{plugin}/config");
        let keys = rest.get(&path).await;
        let keys: Vec<&Value> = keys.as_array().unwrap().iter().collect();
        for name in ["name", "connector.class", "tasks.max"] {
            assert!(keys.iter().any(|it| it["name"] == name), "{plugin}: {name}");
        }
        let validate = format!("{path}/validate");
        let (status, infos) = rest.ask("PUT", &validate, config).await;
        assert_eq!(status, 200, "{infos}");
        let configs = infos["configs"].as_array().unwrap();
        let defined: Vec<&Value> = configs.iter().map(|it| &it["definition"]).collect();
        // After them come keys of this config that no list can have, such as `topic.trade`.
        assert_eq!(defined[..keys.len()], keys[..], "{plugin}");
        for one in configs {
            assert_eq!(one["definition"]["name"], one["value"]["name"], "{one}");
        }
    }
    rest.told("GET", "/connector-plugins/nothing/config", 404)
        .await;
    rest.stop().await;
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
async fn an_offset_that_is_null_resets_its_partition_and_no_other() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set("/admin", json!({ "auth": "none" }));
    let rest = Rest::run(&site).await;
    exchange.finished().await;
    // Both symbols have a position; their records may share a partition.
    for (connector, least) in [("trades-source", 2), ("trades-lake", 1)] {
        let path = format!("/connectors/{connector}");
        let offsets = format!("{path}/offsets");
        let some = |now: &Value| {
            let all = now["offsets"].as_array();
            all.is_some_and(|it| it.len() >= least)
        };
        let moving = rest.until("it has come somewhere", &offsets, some).await;
        let null = |of: &Value| {
            let partition = &of["offsets"][0]["partition"];
            json!({ "offsets": [{ "partition": partition, "offset": null }] })
        };
        let (status, said) = rest.ask("PATCH", &offsets, null(&moving)).await;
        assert_eq!(status, 400, "{connector} runs: {said}");

        rest.told("PUT", &format!("{path}/stop"), 204).await;
        rest.state(connector, "STOPPED").await;
        let before = rest.get(&offsets).await;
        let (status, said) = rest.ask("PATCH", &offsets, null(&before)).await;
        assert_eq!(status, 200, "{connector}: {said}");
        assert!(said["message"].is_string(), "{said}");
        let mut others = before.clone();
        others["offsets"].as_array_mut().unwrap().remove(0);
        assert_eq!(rest.get(&offsets).await, others, "{connector}");

        // Set again to where it was, it goes on from there.
        let (status, said) = rest.ask("PATCH", &offsets, before.clone()).await;
        assert_eq!(status, 200, "{connector}: {said}");
        assert_eq!(rest.get(&offsets).await, before, "{connector}");
        rest.told("PUT", &format!("{path}/resume"), 202).await;
        rest.state(connector, "RUNNING").await;
    }
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
