//! Configs over REST: patched, validated, refused.

use jackfield_exchange::Speed;
use serde_json::{Value, json};

use crate::exchange;
use crate::rest::{Rest, sink, site, source};

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
