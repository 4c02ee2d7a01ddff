//! Subjects by the record, and by topic and record, from the file to the registry and the table.

use jackfield_exchange::Speed;
use jackfield_system_tests::{Cluster, Site, http, shared_cluster};
use serde_json::json;

use crate::{ALL, assert_landed, exchange, run_until_idle};

/// The full name of what the source calls a trade.
const TRADE: &str = "binance.spot.Trade";

async fn subjects(cluster: &Cluster) -> Vec<String> {
    let answer = http().get(format!("{}/subjects", cluster.registry));
    answer.send().await.unwrap().json().await.unwrap()
}

/// Runs the example with subjects of this kind; the topic of its trades.
async fn run(cluster: &Cluster, kind: &str) -> String {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(cluster);
    site.set("/log/kafka/subjects", json!(kind));
    run_until_idle(&site, "3s").await;
    let sent = exchange.trades();
    assert_eq!(sent.len(), ALL);
    assert_landed(&site.path().join("data"), &sent).await;
    site.topic("trade")
}

#[tokio::test(flavor = "multi_thread")]
async fn subjects_by_record_and_by_both_work_end_to_end() {
    let cluster = shared_cluster().await;
    let topic = run(&cluster, "topic-record").await;
    let known = subjects(&cluster).await;
    let own: Vec<&String> = known.iter().filter(|it| it.starts_with(&topic)).collect();
    assert_eq!(own, [&format!("{topic}-{TRADE}")]);
    assert!(!known.iter().any(|it| it == TRADE), "{known:?}");

    let topic = run(&cluster, "record").await;
    let known = subjects(&cluster).await;
    assert!(known.iter().any(|it| it == TRADE), "{known:?}");
    assert!(!known.iter().any(|it| it.starts_with(&topic)), "{known:?}");
}
