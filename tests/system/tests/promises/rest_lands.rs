//! Connectors that are made over REST land every trade, and are there again after restarts.

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{Site, shared_cluster};
use serde_json::{Value, json};

use crate::kafka::assert_topic;
use crate::rest::{Rest, over_rest, sink, site, source};
use crate::{assert_landed, exchange, run_until_idle};

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
