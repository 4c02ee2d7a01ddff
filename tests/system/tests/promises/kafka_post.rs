//! A sink whose target stores no positions, on Kafka: at least once, whenever it is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Path;
use axum::routing::post;
use jackfield_exchange::Speed;
use jackfield_system_tests::{
    Artifacts, Jackfield, Site, compare, read_topic, shared_cluster, values,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::rest::Rest;
use crate::{exchange, seed};

const KILLS: usize = 6;
/// The kills, and the run to the end.
const LIVES: usize = KILLS + 1;

/// Partition and offset of each record that was posted, by the life that posted it.
type Posted = Arc<Mutex<[BTreeSet<(i64, i64)>; LIVES]>>;

/// Takes posts, at a path for each life: what a life that was killed had sent may be taken later.
/// Its URL, and what was posted.
async fn receiver() -> (String, Posted) {
    let posted = Posted::default();
    let kept = posted.clone();
    let take = async move |Path(life): Path<usize>, body: String| {
        let lines = body.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let number = |key: &str| line[key].as_i64().unwrap();
            (number("partition"), number("offset"))
        });
        kept.lock().unwrap()[life].extend(lines);
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/{life}", post(take));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, posted)
}

/// The next life posts to its own path.
fn begin(site: &mut Site, url: &str, life: usize) {
    let url = format!("{url}/{life}");
    let sinks = json!({ "post": {
        "plugin": "post",
        "topics": ["trade"],
        "commit": { "every": "300ms" },
        "settings": { "url": url },
        "allow": { "http": [url] }
    } });
    site.set("/pipelines/trades/sinks", sinks);
}

/// What the sink's group has committed, by partition, once that is more than where it began.
async fn committed(rest: &Rest) -> BTreeMap<i64, i64> {
    let path = "/connectors/trades-post/offsets";
    let some = |now: &Value| offsets(now).values().any(|offset| *offset > 0);
    let now = rest.until("the group has committed", path, some).await;
    offsets(&now)
}

fn offsets(answer: &Value) -> BTreeMap<i64, i64> {
    let all = answer["offsets"].as_array().into_iter().flatten();
    let one = |it: &Value| {
        let partition = it["partition"]["kafka_partition"].as_i64()?;
        Some((partition, it["offset"]["kafka_offset"].as_i64()?))
    };
    all.filter_map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_a_sink_that_stores_no_positions_lose_nothing() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let cluster = shared_cluster().await;
    let (url, posted) = receiver().await;
    let exchange = exchange(Speed::PerSecond(1000.0), |o| o.seed = seed).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/admin", json!({ "auth": "none" }));
    site.set("/plugins/post", json!(Artifacts::get().plugin("post-sink")));
    site.set("/pipelines/trades/delivery", json!("at-least-once"));
    let total = exchange.status().total;
    let mut moments: Vec<u64> = (0..KILLS)
        .map(|_| random.random_range(1..total * 19 / 20))
        .collect();
    moments.sort_unstable();
    // What was committed before a life began, as far as it was asked for.
    let mut before: Vec<BTreeMap<i64, i64>> = vec![BTreeMap::new()];
    for (life, moment) in moments.into_iter().enumerate() {
        begin(&mut site, &url, life);
        let mut jackfield = Jackfield::run(&site, &[]);
        exchange.reached(moment).await;
        let mut known = before[life].clone();
        // The first one is waited for; some others are killed before they commit anything.
        if life == 0 || jackfield.log().contains(crate::COMMITTED) {
            let url = jackfield.admin().await;
            let rest = Rest { jackfield, url };
            known.extend(committed(&rest).await);
            jackfield = rest.jackfield;
        }
        jackfield.kill().await;
        before.push(known);
    }
    begin(&mut site, &url, KILLS);
    crate::run_until_idle(&site, "5s").await;
    let records = read_topic(&cluster, &site.topic("trade"), "avro").await;
    let difference = compare(&exchange.trades(), &values(&records));
    assert!(difference.missing.is_empty(), "{difference}");
    let written: BTreeSet<(i64, i64)> = records
        .iter()
        .map(|record| (i64::from(record.partition), record.offset))
        .collect();
    let posted = posted.lock().unwrap();
    let all: BTreeSet<(i64, i64)> = posted.iter().flatten().copied().collect();
    assert_eq!(all, written);
    // Each life began at what those before it had committed.
    for (life, (own, before)) in posted.iter().zip(&before).enumerate() {
        for (partition, offset) in own {
            let begin = before.get(partition).copied().unwrap_or(0);
            assert!(
                *offset >= begin,
                "life {life} posted {partition}-{offset} again, and {begin} was committed"
            );
        }
    }
}
