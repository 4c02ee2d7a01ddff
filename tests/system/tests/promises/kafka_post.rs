//! A sink whose target stores no positions, on Kafka: at least once, whenever it is killed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use jackfield_exchange::Speed;
use jackfield_system_tests::{
    Artifacts, Jackfield, Site, compare, read_topic, shared_cluster, values,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::exchange;

const KILLS: usize = 6;

/// Partition and offset of each record that was posted.
type Posted = Arc<Mutex<BTreeSet<(i64, i64)>>>;

/// Takes posts. Its URL, and what was posted.
async fn receiver() -> (String, Posted) {
    let posted = Posted::default();
    let kept = posted.clone();
    let take = async move |body: String| {
        let lines = body.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let number = |key: &str| line[key].as_i64().unwrap();
            (number("partition"), number("offset"))
        });
        kept.lock().unwrap().extend(lines);
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Router::new().route("/", post(take));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, posted)
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_a_sink_that_stores_no_positions_lose_nothing() {
    let seed: u64 = match std::env::var("JACKFIELD_SEED") {
        Ok(text) => text.parse().expect("JACKFIELD_SEED is a number"),
        Err(_) => rand::rng().random(),
    };
    println!("JACKFIELD_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let cluster = shared_cluster().await;
    let (url, posted) = receiver().await;
    let exchange = exchange(Speed::PerSecond(1000.0), |o| o.seed = seed).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/plugins/post", json!(Artifacts::get().plugin("post-sink")));
    site.set("/pipelines/trades/delivery", json!("at-least-once"));
    let sinks = json!({ "post": {
        "plugin": "post",
        "topics": ["trade"],
        "commit": { "every": "300ms" },
        "settings": { "url": url },
        "allow": { "http": [url] }
    } });
    site.set("/pipelines/trades/sinks", sinks);
    let total = exchange.status().total;
    let mut moments: Vec<u64> = (0..KILLS)
        .map(|_| random.random_range(1..total * 19 / 20))
        .collect();
    moments.sort_unstable();
    for (life, moment) in moments.into_iter().enumerate() {
        let mut jackfield = Jackfield::run(&site, &[]);
        exchange.reached(moment).await;
        if life == 0 {
            // The next one begins at what this one has committed.
            jackfield.line(crate::COMMITTED).await;
        }
        jackfield.kill().await;
    }
    let before = posted.lock().unwrap().len();
    assert!(before > 0, "nothing was posted before the last run");
    crate::run_until_idle(&site, "5s").await;
    let records = read_topic(&cluster, &site.topic("trade"), "avro").await;
    let difference = compare(&exchange.trades(), &values(&records));
    assert!(difference.missing.is_empty(), "{difference}");
    let written: BTreeSet<(i64, i64)> = records
        .iter()
        .map(|record| (i64::from(record.partition), record.offset))
        .collect();
    assert_eq!(*posted.lock().unwrap(), written);
}
