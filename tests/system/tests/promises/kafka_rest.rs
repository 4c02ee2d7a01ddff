//! Connectors made over REST lie in their topic as Kafka Connect's own workers write them.

use std::collections::BTreeMap;

use jackfield_exchange::Speed;
use jackfield_system_tests::{
    Jackfield, PATIENCE, Site, TopicRecord, http, read_topic, shared_cluster,
};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::exchange;

/// Between two looks at the topic.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The newest value of each key.
fn newest(records: Vec<TopicRecord>) -> BTreeMap<String, Value> {
    let entries = records.into_iter().map(|record| {
        let text = record.value.as_str().expect("it is text");
        let key = record.key.expect("each has a key");
        (key, serde_json::from_str(text).unwrap())
    });
    entries.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn configs_and_target_states_lie_as_kafka_connect_writes_them() {
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/pipelines", Value::Null);
    site.set("/grants", json!({ "lake": { "lake": "local" } }));
    site.set("/admin", json!({ "auth": "none" }));
    let mut jackfield = Jackfield::run(&site, &[]);
    let url = jackfield.admin().await;
    let config = json!({
        "connector.class": "iceberg",
        "jackfield.grant": "lake",
        "topics": site.topic("trade"),
        "tasks.max": "2",
        "table": "market.trades",
    });
    let made = json!({ "name": "a.lake", "config": config, "initial_state": "STOPPED" });
    let answer = http()
        .post(format!("{url}/connectors"))
        .json(&made)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    let mut properties = config;
    properties["name"] = json!("a.lake");
    let topic = format!("{}-configs", site.cluster());
    for (change, state, state_v2) in [
        (None, "PAUSED", "STOPPED"),
        (Some("pause"), "PAUSED", "PAUSED"),
        (Some("stop"), "PAUSED", "STOPPED"),
    ] {
        if let Some(change) = change {
            let path = format!("{url}/connectors/a.lake/{change}");
            let answer = http().put(path).send().await.unwrap();
            assert!(answer.status().is_success(), "{change}");
        }
        let expected = BTreeMap::from([
            (
                "connector-a.lake".to_owned(),
                json!({ "properties": properties }),
            ),
            (
                "target-state-a.lake".to_owned(),
                json!({ "state": state, "state.v2": state_v2 }),
            ),
        ]);
        let begin = Instant::now();
        loop {
            let found = newest(read_topic(&cluster, &topic, "bytes").await);
            if found == expected {
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "{found:#?} {expected:#?}");
            sleep(LOOK_EVERY).await;
        }
    }
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
}
