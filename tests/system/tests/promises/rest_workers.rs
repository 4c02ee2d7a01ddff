//! What REST says of connectors that are not at work, and of others' workers.

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Site, shared_cluster};
use serde_json::{Value, json};

use crate::exchange;
use crate::rest::Rest;

/// A pipeline of a source that does this in this call.
fn evil(call: &str, deed: &str) -> Value {
    json!({
        "retry": { "deadline": "1h" },
        "source": { "plugin": "hostile", "settings": { "in": call, "do": deed } },
        "topics": { "only": { "name": format!("evil.{call}") } }
    })
}

/// All states of Kafka Connect, of the connector and of its tasks.
#[tokio::test(flavor = "multi_thread")]
async fn every_state_of_kafka_connect_is_told() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.set("/admin", json!({ "auth": "none" }));
    let plugin = json!({ "file": Artifacts::get().plugin("hostile"), "memory": "32MiB" });
    site.set("/plugins/hostile", plugin);
    // Between one panic and the next it waits, longer each time.
    site.set("/pipelines/again", evil("poll", "panic"));
    // It never gets as far as working.
    site.set("/pipelines/never", evil("open", "sleep"));
    let mut gives_up = evil("poll", "malformed");
    gives_up["retry"]["deadline"] = json!("1s");
    gives_up["topics"]["only"]["name"] = json!("evil.over");
    site.set("/pipelines/over", gives_up);
    let mut rest = Rest::run(&site).await;
    for (connector, state) in [
        ("never-source", "UNASSIGNED"),
        ("again-source", "RESTARTING"),
        ("over-source", "FAILED"),
        ("trades-source", "RUNNING"),
    ] {
        let path = format!("/connectors/{connector}/status");
        let is = |now: &Value| {
            let tasks = now["tasks"].as_array().is_some_and(|tasks| {
                !tasks.is_empty() && tasks.iter().all(|task| task["state"] == state)
            });
            now["connector"]["state"] == state && tasks
        };
        let told = rest.until(state, &path, is).await;
        assert_eq!(told["connector"]["worker_id"], "jackfield", "{told}");
        let trace = &told["connector"]["trace"];
        match state {
            "RESTARTING" => assert!(trace.as_str().unwrap().contains("as told"), "{told}"),
            "FAILED" => assert!(trace.as_str().unwrap().contains("malformed"), "{told}"),
            _ => assert_eq!(*trace, Value::Null, "{told}"),
        }
        let all = rest.get("/connectors?expand=status").await;
        assert!(all[connector]["status"]["type"] == "source", "{all}");
    }
    let source = "/connectors/trades-source";
    rest.told("PUT", &format!("{source}/pause"), 202).await;
    rest.state("trades-source", "PAUSED").await;
    rest.told("PUT", &format!("{source}/stop"), 204).await;
    rest.state("trades-source", "STOPPED").await;
    let stopped = rest.get(&format!("{source}/status")).await;
    assert_eq!(stopped["tasks"], json!([]), "{stopped}");
    rest.jackfield.kill().await;
}

/// A worker that waits tells of the one that works, and a level that is set for the cluster is set at
/// both.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_tells_of_the_one_that_works_and_hears_of_levels() {
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::PerSecond(100.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    // By itself each process takes a name that no other one has.
    site.set("/log/kafka/worker", Value::Null);
    site.set("/admin", json!({ "auth": "none" }));
    let mut first = Rest::run(&site).await;
    first.jackfield.line("this worker has it").await;
    first.state("trades-source", "RUNNING").await;
    let path = "/connectors/trades-source/status";
    let worker = first.get(path).await["connector"]["worker_id"].clone();
    let mut second = Rest::run(&site).await;
    second.jackfield.line("waiting to take it over").await;
    let by_first = |now: &Value| {
        let connector = &now["connector"];
        connector["state"] == "RUNNING" && connector["worker_id"] == worker
    };
    let told = second.until("the other's word", path, by_first).await;
    assert_eq!(told["tasks"][0]["worker_id"], worker, "{told}");

    let level = |level: &str| json!({ "level": level });
    let logger = "/admin/loggers/some_library";
    let own = first.ask("PUT", logger, level("DEBUG")).await;
    assert_eq!(own, (200, json!(["some_library"])));
    let all = format!("{logger}?scope=cluster");
    let (status, said) = first.ask("PUT", &all, level("WARN")).await;
    assert_eq!((status, said), (204, Value::Null));
    assert_eq!(first.get(logger).await["level"], "WARN");
    let heard = |now: &Value| now["level"] == "WARN";
    second.until("it heard of it", logger, heard).await;
    let (status, said) = second.ask("PUT", &all, level("ERROR")).await;
    assert_eq!((status, said), (204, Value::Null));
    let heard = |now: &Value| now["level"] == "ERROR";
    first.until("it heard of it", logger, heard).await;
    second.stop().await;
    first.jackfield.kill().await;
}
