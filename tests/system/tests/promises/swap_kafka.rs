//! Swaps on Kafka: under load, while the broker is away, and while workers come and go.

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Cluster, Jackfield, PATIENCE, Site, shared_cluster};
use jackfield_test_kafka::{Broker, Proxy};
use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::admin::{Admin, changed_copy};
use crate::kafka::assert_topic;
use crate::swap::{SWAPS_LAPS, busy_exchange, finish, shown, to_and_fro};
use crate::{assert_landed, exchange, run_until_idle};

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_swaps_on_kafka_lose_and_double_nothing() {
    let cluster = shared_cluster().await;
    let exchange = busy_exchange(SWAPS_LAPS).await;
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
/// so. When the broker is back it is. A sink needs only its targets for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_swap_waits_for_the_log_and_gives_up_without_harm() {
    let proxy = Proxy::listen();
    let (broker, proxy) = spawn_blocking(move || (Broker::behind(&proxy), proxy))
        .await
        .unwrap();
    let cluster = Cluster {
        servers: format!("127.0.0.1:{}", proxy.port()),
        ..shared_cluster().await
    };
    let exchange = exchange(Speed::PerSecond(500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    let copy = changed_copy("binance-source", site.path(), "copy").await;
    let copy = copy.to_str().unwrap().to_owned();
    let sink_copy = changed_copy("iceberg-sink", site.path(), "copy").await;
    let mut admin = Admin::run(&site, &[]).await;
    let status = "/status/trades-source";
    let before = admin
        .until("it runs", status, |now| now["records"] != 0)
        .await;
    // Its targets are known to the log.
    let sink_status = "/status/trades-lake";
    let sink_before = admin
        .until("it commits", sink_status, |now| now["committed"] != 0)
        .await;
    proxy.shut();
    let args = ["trades-source", &copy];
    admin.expect(&site, &args, 15, "is the log up").await;
    let now = admin.get(status).await;
    assert_eq!(now["plugin"], before["plugin"]);
    let args = ["trades-lake", sink_copy.to_str().unwrap(), "--no-wait"];
    admin.expect(&site, &args, 0, "took over").await;
    let sink_now = admin.get(sink_status).await;
    assert_ne!(sink_now["plugin"], sink_before["plugin"]);
    // Nothing lands before the broker is back, and what waits lands then.
    let at = now["records"].clone();
    proxy.mend();
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
    let connectors = ["trades-source", "trades-lake"];
    // Swaps of each, and how many of these while the old worker drained.
    let (mut made, mut draining) = ([0_u32; 2], [0_u32; 2]);
    for handover in 1..=HANDOVERS {
        let mut next = Admin::run(&site, &[]).await;
        next.jackfield.line("waiting to take it over").await;
        exchange.reached(handover * 2000).await;
        holder.jackfield.terminate().await;
        let (mut turn, begin) = (0, Instant::now());
        // Both workers are asked all the time: whoever has the connector makes the swap. At the
        // last handover they are asked until each connector was swapped.
        while holder.jackfield.is_running()
            || turn < 10
            || (handover == HANDOVERS && made.contains(&0))
        {
            assert!(begin.elapsed() < PATIENCE * 4, "{made:?}");
            let mut swaps = [0; 2];
            for (at, connector) in connectors.iter().enumerate() {
                for admin in [&holder, &next] {
                    let component = &versions[at][turn % 2];
                    let swap = admin.try_swap(connector, component).await;
                    swaps[at] += u32::from(swap.is_some_and(|it| it["outcome"] == "on-probation"));
                }
            }
            let drains = holder.jackfield.is_running();
            for (at, swaps) in swaps.into_iter().enumerate() {
                made[at] += swaps;
                draining[at] += if drains { swaps } else { 0 };
            }
            turn += 1;
        }
        assert_eq!(holder.jackfield.wait().await, 0, "it drains");
        holder = next;
    }
    holder.jackfield.terminate().await;
    assert_eq!(holder.jackfield.wait().await, 0);
    for ((connector, made), draining) in connectors.iter().zip(made).zip(draining) {
        println!(
            "{connector}: {made} swaps over {HANDOVERS} handovers, {draining} while a worker drained"
        );
        assert!(made > 0, "{connector} was never swapped");
    }
    let mut last = Jackfield::run(&site, &["--until-idle", "5s"]);
    assert_eq!(last.wait().await, 0);
    let sent = exchange.trades();
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
}
