//! Offsets over REST, and connectors of the file.

use std::collections::BTreeSet;

use jackfield_exchange::{Speed, Trade};
use jackfield_system_tests::{Key, Site, compare, http, read_pyiceberg, spoil_table};
use serde_json::{Value, json};

use crate::rest::{self, Rest};
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

/// Where a table begins that could not be told lies in the log: a reset is to reach that too, and not
/// what the other table says itself.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_reset_a_table_that_had_failed_has_all_records() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = rest::site(&exchange).await;
    let data = site.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let (good, bad) = ("market.BTCUSDT", "market.ETHUSDT");
    spoil_table(&data, bad, false).await;
    let mut rest = Rest::run(&site).await;
    let path = "/connectors/trades/config";
    let (status, said) = rest.ask("PUT", path, rest::source(&exchange)).await;
    assert_eq!(status, 201, "{said}");
    let sent = exchange.trades();
    let all = |topic: &Value| topic["records"].as_u64() >= Some(sent.len() as u64);
    let topic = rest.until("all are there", "/topics/binance.spot.trade", all);
    let topic = topic.await;

    let mut config = rest::sink();
    config["table"] = json!("market.{symbol}");
    // A table that fails alone fails its connector: the first commit is to have both, whoever joins
    // or is slow.
    config["tasks.max"] = json!(1);
    config["jackfield.commit.every"] = json!("5s");
    let made = json!({ "name": "lake", "config": config, "initial_state": "STOPPED" });
    let (status, said) = rest.ask("POST", "/connectors", made).await;
    assert_eq!(status, 201, "{said}");
    rest.state("lake", "STOPPED").await;
    let (mut middle, mut since) = (Vec::new(), BTreeSet::new());
    for it in topic["partitions"].as_array().unwrap() {
        let (begin, end) = (it["begin"].as_i64().unwrap(), it["end"].as_i64().unwrap());
        let (partition, from) = (&it["partition"], begin + (end - begin) / 2);
        middle.push(json!({
            "partition": { "kafka_topic": "binance.spot.trade", "kafka_partition": partition },
            "offset": { "kafka_offset": from }
        }));
        let records =
            format!("/topics/binance.spot.trade/records?partition={partition}&from={from}");
        since.extend(trades(&rest, &records).await);
    }
    let middle = json!({ "offsets": middle });
    let offsets = "/connectors/lake/offsets";
    let (status, said) = rest.ask("PATCH", offsets, middle).await;
    assert_eq!(status, 200, "{said}");
    rest.told("PUT", "/connectors/lake/resume", 202).await;
    let said = rest.jackfield.line("a target has failed").await;
    assert!(said.contains(bad), "{said}");
    rest.until("the other goes on", "/status/lake", |now| {
        now["committed"].as_u64() > Some(0)
    })
    .await;

    rest.told("PUT", "/connectors/lake/stop", 204).await;
    rest.state("lake", "STOPPED").await;
    rest.told("DELETE", offsets, 200).await;
    spoil_table(&data, bad, true).await;
    rest.told("PUT", "/connectors/lake/resume", 202).await;
    rest.state("lake", "RUNNING").await;
    rest.stop().await;
    run_until_idle(&site, "3s").await;

    let of = |symbol: &str| -> Vec<Trade> {
        let those = sent.iter().filter(|it| *it.symbol == *symbol);
        those.cloned().collect()
    };
    let landed = read_pyiceberg(&data, bad).await;
    let difference = compare(&of("ETHUSDT"), &landed.rows);
    assert!(difference.is_none(), "{difference}");
    // The other's own positions count: it has each record from the middle on once.
    let mut expected = of("BTCUSDT");
    let before = expected.len();
    expected.retain(|it| since.contains(&(it.symbol.to_string(), it.trade_id)));
    assert!((1..before).contains(&expected.len()), "{}", expected.len());
    let landed = read_pyiceberg(&data, good).await;
    let difference = compare(&expected, &landed.rows);
    assert!(difference.is_none(), "{difference}");
}

/// The trades that records of the log are of.
async fn trades(rest: &Rest, records: &str) -> Vec<Key> {
    let answer = http().get(format!("{}{records}", rest.url)).send().await;
    let answer = answer.unwrap().error_for_status().unwrap();
    let lines = answer.text().await.unwrap();
    // An empty line says that the connection is alive.
    let lines = lines.lines().filter(|line| !line.is_empty());
    let trades = lines.map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        let (symbol, id) = (&record["value"]["symbol"], &record["value"]["trade_id"]);
        let symbol = symbol.as_str().unwrap_or_else(|| panic!("{record}"));
        (symbol.to_owned(), id.as_i64().unwrap())
    });
    trades.collect()
}
