//! Swaps on Kafka: under load, while the broker is away, and while workers come and go.

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Cluster, Jackfield, Site, shared_cluster};
use jackfield_test_kafka::Broker;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::admin::{Admin, changed_copy};
use crate::kafka::assert_topic;
use crate::swap::{busy_exchange, finish, shown, to_and_fro};
use crate::{assert_landed, exchange, run_until_idle};

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_swaps_on_kafka_lose_and_double_nothing() {
    let cluster = shared_cluster().await;
    let exchange = busy_exchange().await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    let own = Artifacts::get();
    let source = changed_copy("binance-source", site.path(), "copy").await;
    let sink = changed_copy("iceberg-sink", site.path(), "copy").await;
    let (old_source, old_sink) = (own.plugin("binance-source"), own.plugin("iceberg-sink"));
    let admin = Admin::run(&site, &[]).await;
    let (by_source, by_sink) = tokio::join!(
        to_and_fro(&admin, "trades-source", [&source, &old_source]),
        to_and_fro(&admin, "trades-lake", [&sink, &old_sink]),
    );
    shown("source on Kafka", &by_source);
    shown("sink on Kafka", &by_sink);
    finish(admin, &exchange, &site).await;
    let sent = exchange.trades();
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
}

/// What a source took can't become durable while the broker is away: it is not swapped, and says
/// so. When the broker is back it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_swap_waits_for_the_log_and_gives_up_without_harm() {
    let mut broker = spawn_blocking(Broker::start).await.unwrap();
    let cluster = Cluster {
        servers: broker.address(),
        ..shared_cluster().await
    };
    let exchange = exchange(Speed::PerSecond(500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    let copy = changed_copy("binance-source", site.path(), "copy").await;
    let copy = copy.to_str().unwrap().to_owned();
    let mut admin = Admin::run(&site, &[]).await;
    let status = "/status/trades-source";
    let before = admin
        .until("it runs", status, |now| now["records"] != 0)
        .await;
    broker.kill();
    let args = ["trades-source", &copy];
    admin.expect(&site, &args, 15, "is the log up").await;
    let now = admin.get(status).await;
    assert_eq!(now["plugin"], before["plugin"]);
    // Nothing lands before the broker is back, and what waits lands then.
    let at = now["records"].clone();
    let broker = spawn_blocking(move || {
        broker.restart();
        broker
    });
    let broker = broker.await.unwrap();
    admin
        .until("it goes on", status, |now| now["records"] != at)
        .await;
    let args = ["trades-source", &copy, "--no-wait"];
    admin.expect(&site, &args, 0, "took over").await;
    exchange.finished().await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    run_until_idle(&site, "4s").await;
    let sent = exchange.trades();
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
    drop(broker);
}

/// Connectors are swapped again and again while they move from one worker to the next.
#[tokio::test(flavor = "multi_thread")]
async fn swaps_during_rebalances_lose_and_double_nothing() {
    const HANDOVERS: u64 = 3;
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::PerSecond(500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/log/kafka/worker", Value::Null);
    let own = Artifacts::get();
    let mut versions = Vec::new();
    for of in ["binance-source", "iceberg-sink"] {
        let copy = changed_copy(of, site.path(), "copy").await;
        versions.push([copy, own.plugin(of)].map(|file| std::fs::read(file).unwrap()));
    }
    let mut holder = Admin::run(&site, &[]).await;
    holder.jackfield.line("this worker has it").await;
    let mut made = 0;
    for handover in 1..=HANDOVERS {
        let mut next = Admin::run(&site, &[]).await;
        next.jackfield.line("waiting to take it over").await;
        exchange.reached(handover * 2000).await;
        holder.jackfield.terminate().await;
        let mut turn = 0;
        // Both workers are asked all the time: whoever has the connector makes the swap.
        while holder.jackfield.is_running() || turn < 10 {
            for (connector, versions) in ["trades-source", "trades-lake"].iter().zip(&versions) {
                for admin in [&holder, &next] {
                    let swap = admin.try_swap(connector, &versions[turn % 2]).await;
                    made += usize::from(swap.is_some_and(|it| it["outcome"] == "on-probation"));
                }
            }
            turn += 1;
        }
        assert_eq!(holder.jackfield.wait().await, 0, "it drains");
        holder = next;
    }
    holder.jackfield.terminate().await;
    assert_eq!(holder.jackfield.wait().await, 0);
    println!("{made} swaps over {HANDOVERS} handovers");
    assert!(
        made > 0,
        "some fell into a time when a worker had the connector"
    );
    let mut last = Jackfield::run(&site, &["--until-idle", "5s"]);
    assert_eq!(last.wait().await, 0);
    let sent = exchange.trades();
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
}
