//! Offsets over REST, and connectors of the file.

use jackfield_exchange::Speed;
use jackfield_system_tests::Site;
use serde_json::{Value, json};

use crate::rest::Rest;
use crate::{assert_landed, exchange, run_until_idle};

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
