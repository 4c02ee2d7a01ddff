//! The figures of the whole: the real binary with the real components, `scripts/bench` runs it.
//! The exchange runs in this process, so that its work does not count.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jackfield_exchange::{Exchange, Options, Running, Speed};
use jackfield_system_tests::{Rates, Site, Watched};
use serde_json::{Value, json};
use tokio::time::sleep;

/// Between two looks at the metrics.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The same where looking is what is measured: a look costs the process as much as a scrape.
const LOOK_SELDOM: Duration = Duration::from_millis(100);

fn number(name: &str, default: u32) -> u32 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    // 60 × 15,863 trades.
    let laps = number("LAPS", 60);
    start_up().await;
    throughput(laps).await;
    latency(number("SECONDS", 20)).await;
    scraped(number("SCRAPED_LAPS", 120)).await;
}

async fn exchange(speed: Speed, laps: u32) -> Running {
    let mut options = Options::spot().unwrap();
    (options.speed, options.laps) = (speed, laps);
    Exchange::start(options).await.unwrap()
}

/// The upper bound of the bucket that a quantile lies in, ms.
fn quantile_ms(page: &str, metric: &str, connector: &str, q: f64) -> String {
    let (bucket, named) = (
        format!("{metric}_bucket"),
        format!("connector=\"{connector}\""),
    );
    let buckets: Vec<(String, f64)> = page
        .lines()
        .filter(|line| line.starts_with(&bucket) && line.contains(&named))
        .map(|line| {
            let bound = line
                .split("le=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap();
            (
                bound.to_owned(),
                line.rsplit(' ').next().unwrap().parse().unwrap(),
            )
        })
        .collect();
    let all = buckets.last().unwrap().1;
    let (bound, _) = buckets.iter().find(|(_, count)| *count >= all * q).unwrap();
    match bound.parse::<f64>() {
        Ok(seconds) => format!("≤ {} ms", seconds * 1e3),
        Err(_) => format!("above the last bucket ({bound})"),
    }
}

async fn start_up() {
    let mut firsts = Vec::new();
    for _ in 0..5 {
        let exchange = exchange(Speed::Unlimited, 1).await;
        let site = Site::new(&exchange).await;
        let mut watched = Watched::run(&site, LOOK_EVERY).await;
        let (first, _) = watched
            .until("jackfield_records_total", "trades-source", 1)
            .await;
        firsts.push(first.at - watched.began);
        watched.stop().await;
    }
    firsts.sort();
    println!(
        "start to first record, code compiled before: median {} ms of 5 starts",
        firsts[2].as_millis()
    );
}

/// First only into the log, then only out of it, each as fast as it goes.
async fn throughput(laps: u32) {
    let exchange = exchange(Speed::Unlimited, laps).await;
    let total = exchange.status().total;
    let mut site = Site::new(&exchange).await;
    let sink = json!({
        "plugin": "iceberg", "topics": ["trade"], "commit": { "every": "10s", "rows": 1_000_000 },
        "settings": { "table": "market.trades", "partition-by": ["day(trade_time)", "symbol"] },
        "allow": { "lake": "local" }
    });
    site.set("/pipelines/trades/sinks", Value::Null);
    let mut source = Watched::run(&site, LOOK_EVERY).await;
    let (records, connector) = ("jackfield_records_total", "trades-source");
    let (first, _) = source.until(records, connector, 1).await;
    let (last, _) = source.until(records, connector, total).await;
    println!(
        "source path, frame to log: {total} trades, {}, {:.0} MiB resident",
        Rates::between(first, last, total),
        source.resident_mib()
    );
    source.stop().await;

    site.set("/pipelines/trades/source", Value::Null);
    site.set("/pipelines/trades/sinks", json!({ "lake": sink }));
    let mut sink = Watched::run(&site, LOOK_EVERY).await;
    let connector = "trades-lake";
    let (first, _) = sink.until(records, connector, 1).await;
    let committed = "jackfield_committed_rows_total";
    let (last, _) = sink.until(committed, connector, total).await;
    let Rates { wall, cpu } = Rates::between(first, last, total);
    println!(
        "sink path, log to commit: {total} rows, {wall:.0} rows/s, {cpu:.0} rows per CPU second, {:.0} MiB resident",
        sink.resident_mib()
    );
    sink.stop().await;
}

/// Scrapers at once, each asking again as soon as it was answered and had waited for a second.
const SCRAPERS: usize = 200;
/// Pages that are open beside them.
const STREAMS: usize = 50;

/// The source path alone and under a storm of scrapes and open pages, in turns: what the storm costs it. The
/// scrapers run in this process; what they take is told by records per CPU second, which is the
/// process's own, and by the rate, which also shows the processors that they take.
async fn scraped(laps: u32) {
    const ROUNDS: usize = 5;
    let (mut alone, mut stormed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(source_path(laps, false).await);
        stormed.push(source_path(laps, true).await);
    }
    println!(
        "source path under {SCRAPERS} scrapers and {STREAMS} open pages, medians of {ROUNDS} rounds in turns: {:.1} % of the records/s, {:.1} % of the records per CPU second",
        100.0 * median(&stormed, |it| it.wall) / median(&alone, |it| it.wall),
        100.0 * median(&stormed, |it| it.cpu) / median(&alone, |it| it.cpu),
    );
}

fn median(rates: &[Rates], of: fn(&Rates) -> f64) -> f64 {
    let mut figures: Vec<f64> = rates.iter().map(of).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

async fn source_path(laps: u32, storm: bool) -> Rates {
    let exchange = exchange(Speed::Unlimited, laps).await;
    let total = exchange.status().total;
    let mut site = Site::new(&exchange).await;
    site.set("/pipelines/trades/sinks", Value::Null);
    let mut source = Watched::run(&site, LOOK_SELDOM).await;
    let (records, connector) = ("jackfield_records_total", "trades-source");
    let (first, _) = source.until(records, connector, 1).await;
    let (scraped, told) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let token = source.token();
    let pages: Vec<_> = (0..if storm { STREAMS } else { 0 })
        .map(|_| {
            let events = format!("{}/events", source.admin);
            let request = source.http.get(events).bearer_auth(&token);
            let told = Arc::clone(&told);
            tokio::spawn(async move {
                let mut answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 200);
                // The end of the run cuts it off.
                while let Ok(Some(_)) = answer.chunk().await {
                    told.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let scrapers: Vec<_> = (0..if storm { SCRAPERS } else { 0 })
        .map(|_| {
            let (http, url) = (source.http.clone(), format!("{}/metrics", source.admin));
            let scraped = Arc::clone(&scraped);
            tokio::spawn(async move {
                loop {
                    // The end of the run may cut one off.
                    if let Ok(answer) = http.get(&url).send().await
                        && answer.bytes().await.is_ok()
                    {
                        scraped.fetch_add(1, Ordering::Relaxed);
                    }
                    sleep(Duration::from_secs(1)).await;
                }
            })
        })
        .collect();
    let (last, _) = source.until(records, connector, total).await;
    let (scraped, told) = (
        scraped.load(Ordering::Relaxed),
        told.load(Ordering::Relaxed),
    );
    let seconds = (last.at - first.at).as_secs_f64();
    if storm {
        println!("{scraped} scrapes and {told} parts of event streams in {seconds:.1} s");
        // Answers take their time on two processors that are busy; a storm it is all the same.
        let asked = SCRAPERS as f64 * seconds;
        assert!(scraped as f64 > asked / 4.0, "there was no storm");
        assert!(told >= STREAMS as u64, "there were no pages");
    }
    let all = scrapers.iter().chain(&pages);
    all.for_each(tokio::task::JoinHandle::abort);
    source.stop().await;
    Rates::between(first, last, total)
}

/// At an even pace, both ends running.
async fn latency(seconds: u32) {
    const RATE: u32 = 10_000;
    let laps = (RATE * seconds).div_ceil(15_863);
    let exchange = exchange(Speed::PerSecond(f64::from(RATE)), laps).await;
    let total = exchange.status().total;
    let site = Site::new(&exchange).await;
    let mut watched = Watched::run(&site, LOOK_EVERY).await;
    watched
        .until("jackfield_committed_rows_total", "trades-lake", total)
        .await;
    let page = watched.page().await;
    let of = |q| {
        quantile_ms(
            &page,
            "jackfield_settle_duration_seconds",
            "trades-source",
            q,
        )
    };
    println!(
        "received to durable in the log at {RATE} trades/s, the oldest of each append: p50 {}, p99 {}; both ends took {:.1} CPU seconds for {total} trades, {:.0} MiB resident",
        of(0.5),
        of(0.99),
        watched.now().cpu_s,
        watched.resident_mib()
    );
    watched.stop().await;
}
