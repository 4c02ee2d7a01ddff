//! The contract of Kafka Connect's REST API, row by row, against a herder that lives in a map.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{DECLARED, Site};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Barrier;

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

/// A state may take seconds to be told while the log is away: none is asked for only when the one
/// before it was told.
#[tokio::test]
async fn states_of_all_connectors_are_asked_for_at_once() {
    let site = Site::start();
    for name in ["a", "b", "c"] {
        site.make(name).await;
    }
    let all = ["a", "b", "c", DECLARED];
    let together = Arc::new(Barrier::new(all.len()));
    *site.fake.together.lock().unwrap() = Some(together);
    let told = site.get("/connectors?expand=status").await;
    let keys = told.as_object().unwrap().keys();
    let names: Vec<&str> = keys.map(String::as_str).collect();
    assert_eq!(names, all);
    for name in all {
        assert_eq!(told[name]["status"]["name"], name, "{told}");
    }
}
