//! Swaps on Kafka: under load, while the broker is away, and while workers come and go.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jackfield_exchange::Speed;
use jackfield_system_tests::{
    Artifacts, Cluster, Jackfield, PATIENCE, Site, compare, read_pyiceberg, shared_cluster,
    trades_sink,
};
use jackfield_test_kafka::{Broker, Proxy};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::admin::{Admin, changed_copy};
use crate::kafka::assert_topic;
use crate::kafka_guest::Guest;
use crate::swap::{SWAPS_LAPS, busy_exchange, finish, shown, to_and_fro};
use crate::{assert_landed, exchange, run_until_idle};

const HAS_IT: &str = "this worker has it";
const WAITS: &str = "waiting to take it over";
const RENEWED: &str = "the file has changed: begins with it when it is to run";
/// Between two turns of asking: those that refuse at once leave the machine to those that work.
const TURN_EVERY: Duration = Duration::from_millis(20);

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
    for connector in ["trades-source", "trades-lake"] {
        // Until a worker has them it turns orders away.
        let status = format!("/status/{connector}");
        let runs = |now: &Value| now["connector"]["state"] == "RUNNING";
        admin.until("it runs", &status, runs).await;
    }
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
    let exchange = exchange(Speed::PerSecond(500.0), |o| o.hold = true).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    let copy = changed_copy("binance-source", site.path(), "copy").await;
    let copy = copy.to_str().unwrap().to_owned();
    let sink_copy = changed_copy("iceberg-sink", site.path(), "copy").await;
    let mut admin = Admin::run(&site, &[]).await;
    let (status, sink_status) = ("/status/trades-source", "/status/trades-lake");
    // The source has something in hand while the broker is away, however long both took to begin.
    let runs = |now: &Value| now["connector"]["state"] == "RUNNING";
    for status in [status, sink_status] {
        admin.until("it runs", status, runs).await;
    }
    exchange.start();
    let before = admin
        .until("it takes", status, |now| now["records"] != 0)
        .await;
    // Its targets are known to the log.
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

/// Connectors are swapped again and again while they move from one worker to the next: by the old
/// worker until it has drained, by the next one from then on.
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
    holder.jackfield.line(HAS_IT).await;
    for handover in 1..=HANDOVERS {
        let mut next = Admin::run(&site, &[]).await;
        next.jackfield.line(WAITS).await;
        exchange.reached(handover * 2000).await;
        // Of each connector: swaps by the old worker, and by the next one.
        let mut made = [[0_u32; 2]; 2];
        let (mut turn, mut told, begin) = (0, false, Instant::now());
        // Both workers are asked all the time, whoever has the connector. The old one ends between
        // two turns, and its connectors go while swaps of them are asked for.
        while made.as_flattened().contains(&0) || holder.jackfield.is_running() {
            assert!(begin.elapsed() < PATIENCE * 4, "{made:?}");
            for (at, connector) in ["trades-source", "trades-lake"].into_iter().enumerate() {
                for (who, admin) in [&holder, &next].into_iter().enumerate() {
                    let component = &versions[at][turn % 2];
                    let swap = admin.try_swap(connector, component).await;
                    let swapped = swap.is_some_and(|it| it["outcome"] == "on-probation");
                    made[at][who] += u32::from(swapped);
                }
            }
            if !told && made.iter().all(|[by_old, _]| *by_old > 0) {
                holder.jackfield.terminate().await;
                told = true;
            }
            turn += 1;
            sleep(TURN_EVERY).await;
        }
        assert_eq!(holder.jackfield.wait().await, 0, "it drains");
        println!("handover {handover}: swaps of source and sink by old and next: {made:?}");
        holder = next;
    }
    holder.jackfield.terminate().await;
    assert_eq!(holder.jackfield.wait().await, 0);
    let mut last = Jackfield::run(&site, &["--until-idle", "5s"]);
    assert_eq!(last.wait().await, 0);
    let sent = exchange.trades();
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
}

/// Partitions are revoked from a sink that runs, and given back to it, while it is swapped again and
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn swaps_while_partitions_come_and_go_lose_and_double_nothing() {
    const VISITS: usize = 4;
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::PerSecond(500.0), |o| o.laps = 2).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    let copy = changed_copy("iceberg-sink", site.path(), "copy").await;
    let files = [copy, Artifacts::get().plugin("iceberg-sink")];
    let versions = files.map(|file| std::fs::read(file).unwrap());
    let mut admin = Admin::run(&site, &[]).await;
    let committed = |now: &Value| now["committed"] != 0;
    let status = "/status/trades-lake";
    admin.until("it commits", status, committed).await;
    let made = AtomicU32::new(0);
    let swaps = async {
        for version in versions.iter().cycle() {
            let swap = admin.try_swap("trades-lake", version).await;
            let swapped = swap.is_some_and(|it| it["outcome"] == "on-probation");
            made.fetch_add(u32::from(swapped), Ordering::Relaxed);
            sleep(TURN_EVERY).await;
        }
    };
    let visits = async {
        let group = format!("{}-trades-lake", site.cluster());
        let topic = site.topic("trade");
        let given = || lines(&admin.jackfield.log(), "trades-lake", "reading from");
        for visit in 1..=VISITS {
            let (before, swaps) = (given(), made.load(Ordering::Relaxed));
            let guest = Guest::joins(&cluster, &group, &topic);
            guest.has_some().await;
            // The sink is swapped with what is left to it, and goes on being swapped while it gets
            // the rest back.
            until("it is swapped", || made.load(Ordering::Relaxed) > swaps).await;
            spawn_blocking(move || drop(guest)).await.unwrap();
            until("partitions come back", || given() > before).await;
            let swaps = made.load(Ordering::Relaxed) - swaps;
            println!("visit {visit}: {swaps} swaps");
        }
    };
    tokio::select! {
        () = swaps => unreachable!("they go on for ever"),
        () = visits => {}
    }
    exchange.finished().await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    run_until_idle(&site, "4s").await;
    let sent = exchange.trades();
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
}

/// Two workers run one file, which is edited: the one that holds the connectors swaps, and the other
/// one takes note of it, with all else that the file says. When it takes over it goes on with that,
/// also with a component that has changed since. Asked to swap what it does not hold it says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_is_applied_by_the_worker_that_waits_too() {
    const SOURCE: &str = "trades-source";
    let cluster = shared_cluster().await;
    let exchange = exchange(Speed::PerSecond(300.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    site.set("/log/kafka/worker", Value::Null);
    let component = site.path().join("running.wasm");
    std::fs::copy(Artifacts::get().plugin("binance-source"), &component).unwrap();
    site.set("/plugins/binance", json!(component));
    let copy = changed_copy("binance-source", site.path(), "copy").await;
    let status = format!("/status/{SOURCE}");
    let mut holder = Admin::run(&site, &[]).await;
    let before = holder
        .until("it runs", &status, |now| now["records"] != 0)
        .await;
    let committed = |now: &Value| now["committed"] != 0;
    holder
        .until("it commits", "/status/trades-lake", committed)
        .await;
    let mut next = Admin::run(&site, &[]).await;
    next.jackfield.line(WAITS).await;
    let waits = || lines(&next.jackfield.log(), SOURCE, WAITS) > 0;
    until("the source waits", waits).await;

    // More orders than may wait, each answered at once.
    let args = [SOURCE, copy.to_str().unwrap()];
    for _ in 0..6 {
        next.expect(&site, &args, 12, "does not run here").await;
    }
    site.set(
        "/pipelines/trades/source/settings/silence-after",
        json!("3s"),
    );
    site.set("/pipelines/copy", copied(&site));
    let (swapped, later) = (
        r#"swapped":"[\"trades-source\"]"#,
        r#"later":"[\"trades-source\"]"#,
    );
    holder.jackfield.line(swapped).await;
    next.jackfield.line(later).await;
    for worker in [&holder, &next] {
        let added = |now: &Value| now["name"] == "copy-lake";
        let path = "/status/copy-lake";
        worker.until("it is added", path, added).await;
    }
    std::fs::copy(&copy, &component).unwrap();
    next.jackfield.line(RENEWED).await;
    assert_eq!(
        lines(&next.jackfield.log(), SOURCE, HAS_IT),
        0,
        "it was not taken from its holder"
    );
    let held = holder.get(&status).await;
    assert_eq!(held["connector"]["state"], "RUNNING");
    let restarts = holder.figure("jackfield_restarts_total", SOURCE).await;
    assert_eq!(restarts, 0, "its holder never noticed");

    holder.jackfield.terminate().await;
    assert_eq!(holder.jackfield.wait().await, 0);
    let taken_over = next
        .until("it takes over", &status, |now| {
            now["connector"]["state"] == "RUNNING"
        })
        .await;
    assert_ne!(
        taken_over["plugin"]["sha256"], before["plugin"]["sha256"],
        "with the component as it is now"
    );
    let path = format!("/connectors/{SOURCE}/details");
    let details = next.get(&path).await;
    assert_eq!(details["settings"]["silence-after"], "3s", "{details}");
    exchange.finished().await;
    next.jackfield.terminate().await;
    assert_eq!(next.jackfield.wait().await, 0);
    run_until_idle(&site, "4s").await;
    let sent = exchange.trades();
    let data = site.path().join("data");
    assert_landed(&data, &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
    let copied = read_pyiceberg(&data, "market.copy").await;
    let difference = compare(&sent, &copied.rows);
    assert!(difference.is_none(), "{difference}");
    assert_eq!(copied.rows.len(), sent.len());
}

/// Another sink on the topic of trades, in a pipeline of its own.
fn copied(site: &Site) -> Value {
    let mut sink = trades_sink();
    sink["settings"]["table"] = json!("market.copy");
    json!({
        "delivery": "exactly-once",
        "topics": { "trade": { "name": site.topic("trade"), "partitions": 4 } },
        "sinks": { "lake": sink }
    })
}

/// How many lines of a log are this message of a connector.
fn lines(log: &str, connector: &str, message: &str) -> usize {
    let of = format!(r#""connector":"{connector}""#);
    let lines = log.lines();
    let lines = lines.filter(|line| line.contains(message) && line.contains(&of));
    lines.count()
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        sleep(TURN_EVERY).await;
    }
}
