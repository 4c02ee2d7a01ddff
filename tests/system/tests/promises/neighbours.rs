//! Components that misbehave beside one that does not, all in one process.

use std::collections::BTreeMap;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Jackfield, Site, http, metric};
use serde_json::{Value, json};

use crate::{assert_landed, exchange};

/// With waits that grow from 100 ms there is no time for more in two seconds.
const RESTARTS_MAX: f64 = 20.0;

/// What each does, and a word of the reason that its connector then shows.
const DEEDS: [(&str, &str); 8] = [
    ("malformed", "malformed"),
    ("oversized", "bytes"),
    ("unknown-version", "version"),
    ("panic", "as told"),
    ("loop", "did not return within"),
    ("sleep", "did not return within"),
    ("eat", "memory"),
    ("giant-list", "bytes"),
];

/// The same of sinks, with the exported function.
const SINK_DEEDS: [(&str, &str, &str); 9] = [
    ("put", "panic", "as told"),
    ("put", "loop", "did not return within"),
    ("put", "eat", "memory"),
    ("put", "rejects-unknown", "rejected record"),
    ("stage", "forged-list", "larger than"),
    ("stage", "unknown-version", "version 99"),
    ("commit", "broken", "as told"),
    ("commit", "absurd-rows", "malformed"),
    ("stored", "panic", "as told"),
];

/// The entry of `plugins` that a deed runs under: only what never returns is to run out of time, for
/// eating its memory takes a busy machine a while.
fn plugin(kind: &str, deed: &str) -> String {
    let endless = matches!(deed, "loop" | "sleep");
    let hurry = if endless { "hurried" } else { "patient" };
    format!("{kind}-{hurry}")
}

/// A pipeline that only reads what the good one writes.
fn evil_sink(call: &str, deed: &str) -> Value {
    json!({
        "retry": { "deadline": "2s" },
        "sinks": { "sink": {
            "plugin": plugin("hostile-sink", deed),
            "topics": ["binance.spot.trade"],
            "commit": { "every": "200ms" },
            "settings": { "in": call, "do": deed },
            "allow": { "lake": "local" }
        } }
    })
}

fn evil(deed: &str) -> Value {
    json!({
        "retry": { "deadline": "2s" },
        "source": { "plugin": plugin("hostile", deed), "settings": { "in": "poll", "do": deed } },
        "topics": { "only": { "name": format!("evil.{deed}") } }
    })
}

/// Each that misbehaves ends FAILED with its reason; the neighbour lands every trade once.
#[tokio::test(flavor = "multi_thread")]
async fn what_misbehaves_fails_by_itself_and_its_neighbour_lands_everything() {
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    for name in ["hostile", "hostile-sink"] {
        let file = Artifacts::get().plugin(name);
        for (hurry, call_time) in [("patient", "10s"), ("hurried", "300ms")] {
            let plugin = json!({ "file": file, "memory": "32MiB", "call-time": call_time });
            site.set(&format!("/plugins/{name}-{hurry}"), plugin);
        }
    }
    let mut expected = Vec::new();
    for (deed, word) in DEEDS {
        site.set(&format!("/pipelines/{deed}"), evil(deed));
        expected.push((format!("{deed}-source"), word));
    }
    for (call, deed, word) in SINK_DEEDS {
        let name = format!("{call}-{deed}");
        site.set(&format!("/pipelines/{name}"), evil_sink(call, deed));
        expected.push((format!("{name}-sink"), word));
    }
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "4s"]);
    let ready = format!("{}/readyz", jackfield.admin().await);
    let states = loop {
        let response = http().get(&ready).send().await.unwrap();
        let states: Value = response.json().await.unwrap();
        let states: BTreeMap<String, (String, String)> = states["connectors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                let text = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
                (text("connector"), (text("state"), text("trace")))
            })
            .collect();
        let failed = states.values().filter(|(state, _)| state == "FAILED");
        if failed.count() == expected.len() {
            break states;
        }
        assert!(jackfield.is_running(), "it ended before all had failed");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let unnamed: Vec<_> = expected
        .iter()
        .map(|(connector, word)| (word, &states[connector].1))
        .filter(|(word, trace)| !trace.contains(**word))
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    for connector in ["trades-source", "trades-lake"] {
        assert_eq!(states[connector].0, "RUNNING");
    }
    let metrics = format!("{}/metrics", jackfield.admin().await);
    let metrics = http().get(metrics).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for connector in ["panic-source", "put-panic-sink"] {
        let restarts = metric(&metrics, "jackfield_restarts_total", connector);
        assert!(
            (1.0..=RESTARTS_MAX).contains(&restarts),
            "{connector} was restarted {restarts} times in two seconds"
        );
    }
    assert_eq!(jackfield.wait().await, 1, "connectors FAILED");
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}
