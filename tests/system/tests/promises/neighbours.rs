//! Components that misbehave beside one that does not, all in one process.

use std::collections::BTreeMap;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Jackfield, Site, http};
use serde_json::{Value, json};

use crate::{assert_landed, exchange};

/// What each does, and a word of the reason that its connector then shows.
const DEEDS: [(&str, &str); 7] = [
    ("malformed", "malformed"),
    ("oversized", "bytes"),
    ("unknown-version", "version"),
    ("panic", "as told"),
    ("loop", "did not return within"),
    ("eat", "memory"),
    ("giant-list", "bytes"),
];

fn evil(deed: &str) -> Value {
    json!({
        "retry": { "deadline": "2s" },
        "source": { "plugin": "hostile", "settings": { "in": "poll", "do": deed } },
        "topics": { "only": { "name": format!("evil.{deed}") } }
    })
}

/// Each that misbehaves ends FAILED with its reason; the neighbour lands every trade once.
#[tokio::test(flavor = "multi_thread")]
async fn what_misbehaves_fails_by_itself_and_its_neighbour_lands_everything() {
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let file = Artifacts::get().plugin("hostile");
    site.set(
        "/plugins/hostile",
        json!({ "file": file, "memory": "32MiB", "call-time": "300ms" }),
    );
    for (deed, _) in DEEDS {
        site.set(&format!("/pipelines/{deed}"), evil(deed));
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
        if failed.count() == DEEDS.len() {
            break states;
        }
        assert!(jackfield.is_running(), "it ended before all had failed");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let unnamed: Vec<_> = DEEDS
        .iter()
        .map(|(deed, word)| (word, &states[&format!("{deed}-source")].1))
        .filter(|(word, trace)| !trace.contains(**word))
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    for connector in ["trades-source", "trades-lake"] {
        assert_eq!(states[connector].0, "RUNNING");
    }
    assert_eq!(jackfield.wait().await, 1, "connectors FAILED");
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}
