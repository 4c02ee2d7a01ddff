//! The contract of Kafka Connect's REST API, row by row, against a herder that lives in a map.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{DECLARED, Fake, connect, nobody};
use jackfield_admin::{AdminConfig, AdminServer};
use jackfield_telemetry::Telemetry;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::sync::Arc;

struct Site {
    fake: Arc<Fake>,
    server: AdminServer,
    http: Client,
    _lines: tracing::Dispatch,
}

struct Answered {
    status: u16,
    body: Value,
    location: Option<String>,
}

impl Site {
    fn start() -> Self {
        let fake = Fake::new();
        let (connect, lines) = connect(&fake);
        let config = AdminConfig {
            token: None,
            ..AdminConfig::new("127.0.0.1:0".parse().unwrap(), "")
        };
        let telemetry = Telemetry::new().unwrap();
        let server = AdminServer::start(config, telemetry, Vec::new, nobody(), connect).unwrap();
        // The client asks for a provider though it speaks plain HTTP.
        let _there = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().build().unwrap();
        Self {
            fake,
            server,
            http,
            _lines: lines,
        }
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Answered {
        let url = format!("http://{}{path}", self.server.local_addr());
        let mut request = self
            .http
            .request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let location = answer.headers().get("location");
        let location = location.map(|it| it.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        Answered {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            location,
        }
    }

    async fn get(&self, path: &str) -> Value {
        let answered = self.ask("GET", path, Value::Null).await;
        assert_eq!(answered.status, 200, "{path}: {}", answered.body);
        answered.body
    }

    async fn make(&self, name: &str) {
        let body =
            json!({ "name": name, "config": { "connector.class": "a-sink", "topics": "t" } });
        assert_eq!(self.ask("POST", "/connectors", body).await.status, 201);
    }

    fn calls(&self) -> Vec<String> {
        self.fake.calls.lock().unwrap().clone()
    }
}

/// Each row: method, path, body, status, and what the body is; `c` is there, RUNNING.
#[tokio::test]
async fn every_row_of_the_contract_answers_as_it_says() {
    let class = json!({ "connector.class": "a-sink", "topics": "t" });
    let info = json!({
        "name": "c",
        "config": { "connector.class": "a-sink", "name": "c", "topics": "t" },
        "tasks": [{ "connector": "c", "task": 0 }],
        "type": "sink",
    });
    let task = json!({ "id": 0, "state": "RUNNING", "worker_id": "w:1", "version": "1.0.0" });
    let state = json!({
        "name": "c",
        "connector": { "state": "RUNNING", "worker_id": "w:1" },
        "tasks": [task],
        "type": "sink",
    });
    let offsets = json!({ "offsets": [{ "partition": { "kafka_topic": "t", "kafka_partition": 0 }, "offset": { "kafka_offset": 7 } }] });
    let patched = json!({
        "name": "c",
        "config": { "connector.class": "a-sink", "name": "c", "new": "1" },
        "tasks": [{ "connector": "c", "task": 0 }],
        "type": "sink",
    });
    let empty = Value::Null;
    let rows = [
        (
            "GET",
            "/",
            empty.clone(),
            200,
            json!({ "version": "4.1.0", "commit": "abc", "kafka_cluster_id": "the-cluster" }),
        ),
        (
            "GET",
            "/health",
            empty.clone(),
            200,
            json!({ "status": "healthy", "message": "said by the test" }),
        ),
        (
            "GET",
            "/connectors",
            empty.clone(),
            200,
            json!(["c", DECLARED]),
        ),
        (
            "GET",
            "/connectors/",
            empty.clone(),
            200,
            json!(["c", DECLARED]),
        ),
        ("GET", "/connectors/c", empty.clone(), 200, info.clone()),
        (
            "GET",
            "/connectors/c/config",
            empty.clone(),
            200,
            info["config"].clone(),
        ),
        (
            "GET",
            "/connectors/c/status",
            empty.clone(),
            200,
            state.clone(),
        ),
        (
            "GET",
            "/connectors/c/tasks",
            empty.clone(),
            200,
            json!([{ "id": { "connector": "c", "task": 0 }, "config": info["config"] }]),
        ),
        (
            "GET",
            "/connectors/c/tasks/0/status",
            empty.clone(),
            200,
            task.clone(),
        ),
        (
            "GET",
            "/connectors/c/topics",
            empty.clone(),
            200,
            json!({ "c": { "topics": ["t"] } }),
        ),
        (
            "PUT",
            "/connectors/c/topics/reset",
            empty.clone(),
            202,
            empty.clone(),
        ),
        (
            "GET",
            "/connectors/c/offsets",
            empty.clone(),
            200,
            offsets.clone(),
        ),
        (
            "POST",
            "/connectors/c/tasks/0/restart",
            empty.clone(),
            204,
            empty.clone(),
        ),
        (
            "POST",
            "/connectors/c/restart",
            empty.clone(),
            204,
            empty.clone(),
        ),
        (
            "POST",
            "/connectors/c/restart?includeTasks=false&onlyFailed=false",
            empty.clone(),
            204,
            empty.clone(),
        ),
        (
            "POST",
            "/connectors/c/restart?includeTasks=true",
            empty.clone(),
            202,
            state.clone(),
        ),
        (
            "POST",
            "/connectors/c/restart?includeTasks=true&onlyFailed=true",
            empty.clone(),
            202,
            state.clone(),
        ),
        (
            "PUT",
            "/connectors/c/pause",
            empty.clone(),
            202,
            empty.clone(),
        ),
        (
            "PUT",
            "/connectors/c/resume",
            empty.clone(),
            202,
            empty.clone(),
        ),
        (
            "PUT",
            "/connectors/c/config",
            class.clone(),
            200,
            info.clone(),
        ),
        (
            "PATCH",
            "/connectors/c/config",
            json!({ "topics": null, "new": 1 }),
            200,
            patched.clone(),
        ),
        (
            "PATCH",
            "/connectors/c/offsets",
            offsets.clone(),
            400,
            json!(400),
        ),
        (
            "DELETE",
            "/connectors/c/offsets",
            empty.clone(),
            400,
            json!(400),
        ),
        (
            "PUT",
            "/connectors/c/stop",
            empty.clone(),
            204,
            empty.clone(),
        ),
        (
            "PATCH",
            "/connectors/c/offsets",
            offsets.clone(),
            200,
            json!({ "message": "altered" }),
        ),
        (
            "DELETE",
            "/connectors/c/offsets",
            empty.clone(),
            200,
            json!({ "message": "reset" }),
        ),
        (
            "GET",
            "/connectors/c/offsets",
            empty.clone(),
            200,
            json!({ "offsets": [] }),
        ),
        ("DELETE", "/connectors/c", empty.clone(), 204, empty.clone()),
        ("DELETE", "/connectors/c", empty.clone(), 404, json!(404)),
        (
            "GET",
            "/connector-plugins",
            empty.clone(),
            200,
            json!([{ "class": "a-sink", "type": "sink", "version": "1.0.0" }]),
        ),
        (
            "GET",
            "/connector-plugins?connectorsOnly=true",
            empty.clone(),
            200,
            json!([{ "class": "a-sink", "type": "sink", "version": "1.0.0" }]),
        ),
        (
            "GET",
            "/connector-plugins/unknown/config",
            empty.clone(),
            404,
            json!(404),
        ),
        ("GET", "/nothing", empty.clone(), 404, json!(404)),
        ("DELETE", "/connectors", empty.clone(), 405, json!(405)),
    ];
    let site = Site::start();
    site.make("c").await;
    for (method, path, body, status, expected) in rows {
        let answered = site.ask(method, path, body).await;
        assert_eq!(
            answered.status, status,
            "{method} {path}: {}",
            answered.body
        );
        if status < 400 {
            assert_eq!(answered.body, expected, "{method} {path}");
        } else {
            assert_eq!(answered.body["error_code"], expected, "{method} {path}");
            assert!(answered.body["message"].is_string(), "{method} {path}");
        }
    }
    let calls = site.calls();
    for call in [
        "restart false false",
        "restart true false",
        "restart true true",
        "restart task 0",
        "Paused",
        "Started",
        "Stopped",
    ] {
        assert!(calls.iter().any(|it| it == call), "{call}: {calls:?}");
    }
}

#[tokio::test]
async fn a_connector_is_made_once() {
    let site = Site::start();
    let body = json!({ "name": " a.b/c ", "config": { "connector.class": "a-sink", "topics": "t", "tasks.max": 2, "flag": true, "nothing": null } });
    let made = site.ask("POST", "/connectors", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.location.as_deref(), Some("/connectors/a%2Eb%2Fc"));
    let config = json!({ "connector.class": "a-sink", "name": "a.b/c", "topics": "t", "tasks.max": "2", "flag": "true" });
    assert_eq!(
        made.body["config"], config,
        "what is not a text counts as its text"
    );
    assert_eq!(site.get("/connectors/a%2Eb%2Fc/config").await, config);
    assert_eq!(site.ask("POST", "/connectors", body).await.status, 409);

    let put = site
        .ask(
            "PUT",
            "/connectors/d/config",
            json!({ "connector.class": "a-sink" }),
        )
        .await;
    assert_eq!(
        (put.status, put.location.as_deref()),
        (201, Some("/connectors/d"))
    );

    for (word, state) in [
        ("STOPPED", "STOPPED"),
        ("paused", "PAUSED"),
        ("RUNNING", "RUNNING"),
    ] {
        let body = json!({ "name": word, "config": {}, "initial_state": word });
        assert_eq!(site.ask("POST", "/connectors", body).await.status, 201);
        let status = site.get(&format!("/connectors/{word}/status")).await;
        assert_eq!(status["connector"]["state"], state);
        assert_eq!(
            status["tasks"].as_array().unwrap().is_empty(),
            state == "STOPPED"
        );
    }
}

#[tokio::test]
async fn expansions_say_more_of_all_connectors() {
    let site = Site::start();
    site.make("c").await;
    let all = site
        .get("/connectors?expand=status&expand=info&expand=other")
        .await;
    assert_eq!(all["c"]["status"]["connector"]["state"], "RUNNING");
    assert_eq!(all["c"]["info"]["config"]["topics"], "t");
    assert_eq!(all[DECLARED]["info"]["name"], DECLARED);
    let status = site.get("/connectors?expand=status").await;
    assert!(status["c"].get("info").is_none());
}

#[tokio::test]
async fn a_failed_connector_shows_its_trace() {
    let site = Site::start();
    let body = json!({ "name": "f", "config": { "fails": "" } });
    assert_eq!(site.ask("POST", "/connectors", body).await.status, 201);
    let status = site.get("/connectors/f/status").await;
    assert_eq!(
        status["connector"],
        json!({ "state": "FAILED", "worker_id": "w:1", "trace": "it broke" })
    );
    assert_eq!(status["tasks"][0]["trace"], "it broke");
}

/// Each row: method, path, body, and the status that says what is wrong with it.
#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let config = json!({ "connector.class": "a-sink" });
    let rows = [
        ("POST", "/connectors", json!({ "name": "x" }), 400),
        (
            "POST",
            "/connectors",
            json!({ "name": "x", "config": [] }),
            400,
        ),
        (
            "POST",
            "/connectors",
            json!({ "name": "x", "config": { "a": {} } }),
            400,
        ),
        (
            "POST",
            "/connectors",
            json!({ "name": "x", "config": { "name": "y" } }),
            400,
        ),
        (
            "POST",
            "/connectors",
            json!({ "name": "x", "config": {}, "initial_state": "GONE" }),
            400,
        ),
        (
            "POST",
            "/connectors",
            json!({ "name": "x", "config": {}, "more": 1 }),
            400,
        ),
        (
            "POST",
            "/connectors",
            json!({ "name": "x", "config": { "bad": "why" } }),
            400,
        ),
        (
            "POST",
            "/connectors",
            json!({ "name": DECLARED, "config": config }),
            409,
        ),
        ("POST", "/connectors", Value::Null, 415),
        ("PUT", "/connectors/x/config", json!({ "name": "y" }), 400),
        ("PUT", "/connectors/x/config", Value::Null, 415),
        ("PUT", "/connectors/declared/config", config.clone(), 409),
        ("PATCH", "/connectors/declared/config", config.clone(), 409),
        ("DELETE", "/connectors/declared", Value::Null, 409),
        ("PATCH", "/connectors/x/config", config.clone(), 404),
        ("GET", "/connectors/x", Value::Null, 404),
        ("GET", "/connectors/x/status", Value::Null, 404),
        ("GET", "/connectors/x/offsets", Value::Null, 404),
        ("GET", "/connectors/x/topics", Value::Null, 404),
        ("PUT", "/connectors/x/pause", Value::Null, 404),
        ("POST", "/connectors/x/restart", Value::Null, 404),
        (
            "POST",
            "/connectors/declared/restart?onlyFailed=perhaps",
            Value::Null,
            400,
        ),
        (
            "POST",
            "/connectors/declared/tasks/7/restart",
            Value::Null,
            404,
        ),
        (
            "POST",
            "/connectors/declared/tasks/x/restart",
            Value::Null,
            404,
        ),
        (
            "GET",
            "/connectors/declared/tasks/7/status",
            Value::Null,
            404,
        ),
        (
            "PATCH",
            "/connectors/declared/offsets",
            json!({ "offsets": [] }),
            400,
        ),
        (
            "PATCH",
            "/connectors/declared/offsets",
            json!({ "offset": [] }),
            400,
        ),
        (
            "PUT",
            "/connector-plugins/a-sink/config/validate",
            json!({ "connector.class": "b" }),
            400,
        ),
        (
            "PUT",
            "/connector-plugins/a-sink/config/validate",
            json!({}),
            400,
        ),
        (
            "PUT",
            "/admin/loggers/root",
            json!({ "level": "LOUD" }),
            404,
        ),
        ("PUT", "/admin/loggers/root", json!({}), 400),
        (
            "PUT",
            "/admin/loggers/root?scope=world",
            json!({ "level": "INFO" }),
            400,
        ),
        ("GET", "/admin/loggers/unknown", Value::Null, 404),
    ];
    let site = Site::start();
    for (method, path, body, status) in rows {
        let answered = site.ask(method, path, body.clone()).await;
        assert_eq!(
            answered.status, status,
            "{method} {path} {body}: {}",
            answered.body
        );
        assert_eq!(answered.body["error_code"], status, "{method} {path}");
        assert!(!answered.body["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(
        site.get("/connectors").await,
        json!([DECLARED]),
        "nothing was made"
    );
}

#[tokio::test]
async fn health_says_what_the_herder_says() {
    let site = Site::start();
    for (word, status) in [("healthy", 200), ("starting", 503), ("unhealthy", 500)] {
        *site.fake.health.lock().unwrap() = word;
        let answered = site.ask("GET", "/health", Value::Null).await;
        assert_eq!(
            (answered.status, &answered.body["status"]),
            (status, &json!(word))
        );
    }
}

#[tokio::test]
async fn configs_are_validated_and_errors_are_no_failure() {
    let site = Site::start();
    let validate = "/connector-plugins/a-sink/config/validate";
    let body = json!({ "connector.class": "a-sink", "topics": "t", "bad": "why" });
    let answered = site.ask("PUT", validate, body).await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.body["error_count"], 1);
    let first = &answered.body["configs"][0];
    assert_eq!(
        first["value"],
        json!({ "name": "topics", "value": "t", "recommended_values": [], "errors": ["why"], "visible": true })
    );
    assert_eq!(first["definition"]["order"], 1);
    let keys = site.get("/connector-plugins/a-sink/config").await;
    assert_eq!(keys[0]["default_value"], Value::Null);
    assert_eq!(keys[0]["type"], "LIST");
    let all = site.get("/connector-plugins?connectorsOnly=false").await;
    assert_eq!(all[1]["type"], "transformation");
}

#[tokio::test]
async fn loggers_are_shown_and_set() {
    let site = Site::start();
    let all = site.get("/admin/loggers").await;
    assert_eq!(
        all,
        json!({ "root": { "level": "INFO", "last_modified": null } })
    );
    let set = site
        .ask(
            "PUT",
            "/admin/loggers/jackfield_admin",
            json!({ "level": "debug" }),
        )
        .await;
    assert_eq!((set.status, set.body), (200, json!(["jackfield_admin"])));
    let one = site.get("/admin/loggers/jackfield_admin::guard").await;
    assert_eq!(one["level"], "DEBUG");
    assert!(one["last_modified"].is_i64());
    let all = site
        .ask(
            "PUT",
            "/admin/loggers/root?scope=cluster",
            json!({ "level": "WARN" }),
        )
        .await;
    assert_eq!((all.status, all.body), (204, Value::Null));
    assert!(site.calls().contains(&"spread root WARN".to_owned()));
    assert_eq!(
        site.get("/admin/loggers/jackfield_admin").await["level"],
        "WARN"
    );
}
