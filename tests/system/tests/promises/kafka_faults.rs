//! What happens to workers, connections and topics on Kafka, and loses nothing.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::process::Command;

use jackfield_exchange::{Speed, Trade};
use jackfield_system_tests::{
    About, Cluster, Jackfield, PATIENCE, Place, Site, TopicRecord, compare, python, read_pyiceberg,
    read_pyiceberg_at, read_topic, shared_cluster, values, write_topic,
};
use jackfield_test_kafka::{Broker, Proxy};
use jackfield_test_lakes::{Fault, Front, S3Server};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::{Duration, Instant, sleep};

use crate::kafka::assert_topic;
use crate::kafka_counts::tried_again;
use crate::lakes::in_s3;
use crate::{ALL, COMMITTED, assert_landed, exchange, run_until_idle, seed};

/// Where a table says what it holds of the log for the sink.
const OFFSETS: &str = "jackfield.offsets.trades-lake";

fn signal(jackfield: &Jackfield, name: &str) {
    let pid = jackfield.pid().expect("it has not been waited for");
    let sent = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// A worker that is paused past its session is a zombie when it wakes up: what it still has in
/// hand lands nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_paused_past_its_session_is_fenced() {
    let cluster = shared_cluster().await;
    // Held until both are up: when the first is paused, much is left for the second.
    let exchange = exchange(Speed::PerSecond(500.0), |o| o.hold = true).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/log/kafka/worker", Value::Null);
    let mut first = Jackfield::run(&site, &[]);
    first.line("this worker has it").await;
    let mut second = Jackfield::run(&site, &["--until-idle", "5s"]);
    second.line("waiting to take it over").await;
    exchange.start();
    first.line(COMMITTED).await;
    signal(&first, "-STOP");
    second.line("this worker has it").await;
    second.line(COMMITTED).await;
    signal(&first, "-CONT");
    assert_eq!(second.wait().await, 0);
    first.kill().await;
    let sent = exchange.trades();
    assert_eq!(sent.len(), ALL);
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
}

/// Workers come, and the one that has the connectors goes, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_come_and_go_lose_nothing_and_double_nothing() {
    const HANDOVERS: u64 = 5;
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::PerSecond(600.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/log/kafka/worker", Value::Null);
    site.set("/pipelines/trades/sinks/lake/tasks", json!(3));
    let mut holder = Jackfield::run(&site, &[]);
    holder.line("this worker has it").await;
    holder.line(COMMITTED).await;
    for handover in 1..=HANDOVERS {
        let mut next = Jackfield::run(&site, &[]);
        next.line("waiting to take it over").await;
        exchange.reached(handover * 1500).await;
        holder.terminate().await;
        assert_eq!(holder.wait().await, 0, "it drains");
        next.line("this worker has it").await;
        holder = next;
    }
    holder.terminate().await;
    assert_eq!(holder.wait().await, 0);
    let before = read_pyiceberg(&site.path().join("data"), "market.trades").await;
    assert!(!before.rows.is_empty(), "the last run found nothing done");
    run_until_idle(&site, "5s").await;
    let sent = exchange.trades();
    assert_eq!(sent.len(), ALL);
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
}

/// At least once: what a kill leaves behind may be there twice, but nothing is missing.
#[tokio::test(flavor = "multi_thread")]
async fn kills_of_an_at_least_once_source_lose_nothing() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::PerSecond(600.0), |o| o.seed = seed).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/pipelines/trades/delivery", json!("at-least-once"));
    let total = exchange.status().total;
    let mut moments: Vec<u64> = (0..8)
        .map(|_| random.random_range(1..total * 19 / 20))
        .collect();
    moments.sort_unstable();
    for (life, moment) in moments.into_iter().enumerate() {
        let mut jackfield = Jackfield::run(&site, &[]);
        exchange.reached(moment).await;
        if life == 0 {
            // One life comes to something, however slow the machine is.
            jackfield.line(COMMITTED).await;
        }
        sleep(Duration::from_millis(random.random_range(0..400))).await;
        jackfield.kill().await;
    }
    let before = read_pyiceberg(&site.path().join("data"), "market.trades").await;
    assert!(!before.rows.is_empty(), "the last run found nothing done");
    run_until_idle(&site, "5s").await;
    assert_none_missing(&cluster, &site, &exchange.trades()).await;
}

/// All of these trades are in topic and table, and nothing else is; some may be there twice.
async fn assert_none_missing(cluster: &Cluster, site: &Site, sent: &[Trade]) {
    assert_eq!(sent.len(), ALL);
    let table = read_pyiceberg(&site.path().join("data"), "market.trades").await;
    let records = read_topic(cluster, &site.topic("trade"), "avro").await;
    for rows in [table.rows, values(&records)] {
        let difference = compare(sent, &rows);
        println!("{} doubled", difference.doubled.len());
        assert!(
            difference.missing.is_empty()
                && difference.foreign.is_empty()
                && difference.wrong.is_empty(),
            "{difference}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_longer_than_the_delivery_timeout_loses_nothing_and_doubles_nothing() {
    // Soon after each other: trades must still come at the second, however long the first lasts.
    let (cluster, site, sent) = cut("exactly-once", 250.0, &[2000, 3000]).await;
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
}

/// At least once: what was on its way is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_longer_than_the_delivery_timeout_loses_nothing_at_least_once() {
    let (cluster, site, sent) = cut("at-least-once", 1000.0, &[2000]).await;
    assert_none_missing(&cluster, &site, &sent).await;
}

/// What a source says when it begins anew.
const RESTARTS: &str = "source restarts from what is stored";

/// The cable is drawn at these moments for longer than a record may take. Gives the site and its
/// cluster when all has landed, and what was sent.
async fn cut(delivery: &str, speed: f64, moments: &[u64]) -> (Behind, Site, Vec<Trade>) {
    let proxy = Proxy::listen();
    let (broker, proxy) = spawn_blocking(move || (Broker::behind(&proxy), proxy))
        .await
        .unwrap();
    let cluster = Cluster {
        servers: format!("127.0.0.1:{}", proxy.port()),
        ..shared_cluster().await
    };
    let exchange = exchange(Speed::PerSecond(speed), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/pipelines/trades/delivery", json!(delivery));
    site.set("/log/kafka/delivery-timeout", json!("3s"));
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "8s"]);
    for moment in moments {
        exchange.reached(*moment).await;
        // Each cut must be felt by itself.
        let restarts = jackfield.count(RESTARTS);
        proxy.cut();
        jackfield.nth_line(RESTARTS, restarts + 1).await;
        sleep(Duration::from_secs(4)).await;
        let commits = jackfield.count(COMMITTED);
        proxy.mend();
        jackfield.nth_line(COMMITTED, commits + 1).await;
    }
    assert_eq!(jackfield.wait().await, 0);
    let sent = exchange.trades();
    assert_eq!(sent.len(), ALL);
    let cluster = Behind {
        cluster,
        _broker: broker,
    };
    (cluster, site, sent)
}

/// A cluster with a broker of its own behind a proxy.
struct Behind {
    cluster: Cluster,
    _broker: Broker,
}

impl Deref for Behind {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

/// A topic that an operator made again is not the one whose offsets the table has: also where it has
/// good records beyond them, which could be read on from there.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_on_kafka_stops_the_sink_loudly() {
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::Realtime(60.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    run_until_idle(&site, "3s").await;
    let topic = site.topic("trade");
    let data = site.path().join("data");
    let before = read_pyiceberg(&data, "market.trades").await.about;
    let records = beyond(&cluster, &topic, &before.properties[OFFSETS]).await;
    let args = ["--servers", &cluster.servers, "--topic", &topic];
    let args = [&args[..], &["--partitions", "4"]].concat();
    python("recreate_topic.py", &args, "").await;
    write_topic(&cluster, &topic, None, &records).await;
    site.set("/pipelines/trades/source", Value::Null);
    site.set("/plugins/binance", Value::Null);
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "2s"]);
    assert_eq!(jackfield.wait().await, 1);
    let log = jackfield.log();
    let failed = log.lines().find(|line| line.contains("FAILED")).unwrap();
    let why = format!("the topic {topic} was created anew");
    assert!(failed.contains(&why), "{failed}");
    println!("{failed}");
    let after = assert_landed(&data, &exchange.trades()).await.about;
    let ids = |about: &About| about.snapshots.iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(&after), ids(&before));
    assert_eq!(after.properties, before.properties);
}

/// For each partition that a table says it holds something of, more records than it holds. All are
/// the same one of the topic as it is now.
async fn beyond(cluster: &Cluster, topic: &str, stored: &str) -> Vec<Value> {
    /// Further records of each partition.
    const MORE: i64 = 100;
    let all = read_topic(cluster, topic, "bytes").await;
    // The few whose bytes happen to be text are told as such.
    let of_digits = |it: &&TopicRecord| it.value.as_str().unwrap().starts_with("00");
    let record = all.iter().find(of_digits).expect("Avro is hardly text");
    let stored: BTreeMap<String, Value> = serde_json::from_str(stored).unwrap();
    let mut records = Vec::new();
    for topic in stored.values() {
        for (partition, next) in topic["partitions"].as_object().unwrap() {
            let partition: i32 = partition.parse().unwrap();
            let one = json!({ "key": record.key, "bytes": record.value, "partition": partition });
            let count = next.as_i64().unwrap() + MORE;
            records.extend((0..count).map(|_| one.clone()));
        }
    }
    assert!(records.len() > ALL);
    records
}

/// The store of the table refuses everything for a while, and the worker dies meanwhile: the offsets
/// stay where they were, and everything lands once the store is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_holds_the_offsets_and_loses_nothing() {
    let cluster = shared_cluster().await;
    let server = S3Server::start().await;
    let front = Front::before(server.url()).await;
    // Slow enough for trades to come after the first commit, on a busy machine too.
    let exchange = exchange(Speed::PerSecond(300.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/lakes/local", in_s3(&front.url()));
    let place = Place::in_s3(&site.path().join("data"), "s3://lake/w", &server.url());
    let mut jackfield = Jackfield::run(&site, &[]);
    jackfield.line(COMMITTED).await;
    front.decide(|_| {
        let slow_down = "<Error><Code>SlowDown</Code></Error>".to_owned();
        Some(Fault::Status(503, slow_down))
    });
    refused(&front, 20).await;
    let url = jackfield.admin().await;
    tried_again(&url, "trades-lake").await;
    let held = offsets(&place).await;
    let (total, begin) = (exchange.status().total, exchange.status().position);
    exchange.reached(total.min(begin + 1000)).await;
    jackfield.kill().await;
    let mut jackfield = Jackfield::run(&site, &[]);
    refused(&front, 20).await;
    exchange.reached(total.min(begin + 2000)).await;
    assert_eq!(offsets(&place).await, held);
    front.mend();
    jackfield.line(COMMITTED).await;
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
    run_until_idle(&site, "5s").await;
    let sent = exchange.trades();
    assert_eq!(sent.len(), ALL);
    let table = read_pyiceberg_at(&place, "market.trades").await;
    let difference = compare(&sent, &table.rows);
    assert!(difference.is_none(), "{difference}");
}

/// Waits until that many more requests have met the store's front.
async fn refused(front: &Front, more: usize) {
    let begin = Instant::now();
    let enough = front.seen().len() + more;
    while front.seen().len() < enough {
        assert!(begin.elapsed() < PATIENCE, "nobody asks the store");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What the table itself says it holds of the log.
async fn offsets(place: &Place) -> String {
    let table = read_pyiceberg_at(place, "market.trades").await;
    table.about.properties[OFFSETS].clone()
}
