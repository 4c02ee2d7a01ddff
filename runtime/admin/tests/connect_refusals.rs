//! What Kafka Connect's REST API refuses, row by row, and by which status.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{DECLARED, Site};
use serde_json::{Value, json};

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
