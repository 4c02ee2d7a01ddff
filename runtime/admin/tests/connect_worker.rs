//! What Kafka Connect's REST API says of the worker itself: its health, its plugins, its loggers.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::Site;
use serde_json::{Value, json};

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
