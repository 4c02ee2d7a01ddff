//! The figures of the whole: the real binary with the real components, `scripts/bench` runs it.
//! The exchange runs in this process, so that its work does not count.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jackfield_exchange::{Exchange, Options, Running, Speed};
use jackfield_system_tests::{Artifacts, Jackfield, Site, http};
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

/// One process, looked at from outside.
struct Watched {
    jackfield: Jackfield,
    metrics: String,
    http: reqwest::Client,
    began: Instant,
}

impl Watched {
    async fn run(site: &Site) -> Watched {
        let began = Instant::now();
        let mut jackfield = Jackfield::run(site, &["--log-format", "text"]);
        let metrics = format!("{}/metrics", jackfield.admin().await);
        let http = http();
        Watched {
            jackfield,
            metrics,
            http,
            began,
        }
    }

    async fn page(&self) -> String {
        let response = self.http.get(&self.metrics).send().await.unwrap();
        response.text().await.unwrap()
    }

    /// Waits until a connector's counter has come so far.
    async fn until(&self, metric: &str, connector: &str, reaches: f64) -> Duration {
        self.looked(metric, connector, reaches, LOOK_EVERY).await
    }

    /// The same with so much time between two looks.
    async fn looked(
        &self,
        metric: &str,
        connector: &str,
        reaches: f64,
        every: Duration,
    ) -> Duration {
        loop {
            if value(&self.page().await, metric, connector, "").unwrap_or(0.0) >= reaches {
                return self.began.elapsed();
            }
            sleep(every).await;
        }
    }

    /// User and system seconds so far.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        // In clock ticks, 100 a second on Linux.
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<f64>().unwrap() / 1024.0
    }

    fn pid(&self) -> u32 {
        self.jackfield.pid().expect("it runs")
    }

    async fn stop(mut self) {
        self.jackfield.terminate().await;
        assert_eq!(self.jackfield.wait().await, 0);
    }
}

/// The value of a connector's series, with `label` in it where several belong to it.
fn value(page: &str, metric: &str, connector: &str, label: &str) -> Option<f64> {
    let connector = format!("connector=\"{connector}\"");
    page.lines()
        .filter(|line| line.starts_with(metric) && line[metric.len()..].starts_with('{'))
        .find(|line| line.contains(&connector) && line.contains(label))
        .and_then(|line| line.rsplit(' ').next())
        .and_then(|text| text.parse().ok())
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
        let watched = Watched::run(&site).await;
        let first = watched
            .until("jackfield_records_total", "trades-source", 1.0)
            .await;
        firsts.push(first);
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
    let total = exchange.status().total as f64;
    let mut site = Site::new(&exchange).await;
    let sink = json!({
        "plugin": "iceberg", "topics": ["trade"], "commit": { "every": "10s", "rows": 1_000_000 },
        "settings": { "table": "market.trades", "partition-by": ["day(trade_time)", "symbol"] },
        "allow": { "lake": "local" }
    });
    site.set("/pipelines/trades/sinks", Value::Null);
    let source = Watched::run(&site).await;
    let (records, connector) = ("jackfield_records_total", "trades-source");
    let first = source.until(records, connector, 1.0).await;
    let cpu = source.cpu();
    let last = source.until(records, connector, total).await;
    let used = source.cpu() - cpu;
    println!(
        "source path, frame to log: {total} trades, {:.0} records/s, {:.0} records per CPU second, {:.0} MiB resident",
        total / (last - first).as_secs_f64(),
        total / used,
        source.resident_mib()
    );
    source.stop().await;

    site.set("/pipelines/trades/source", Value::Null);
    site.set("/pipelines/trades/sinks", json!({ "lake": sink }));
    let sink = Watched::run(&site).await;
    let first = sink
        .until("jackfield_records_total", "trades-lake", 1.0)
        .await;
    let cpu = sink.cpu();
    let last = sink
        .until("jackfield_committed_rows_total", "trades-lake", total)
        .await;
    let used = sink.cpu() - cpu;
    println!(
        "sink path, log to commit: {total} rows, {:.0} rows/s, {:.0} rows per CPU second, {:.0} MiB resident",
        total / (last - first).as_secs_f64(),
        total / used,
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
    let median = |figures: &mut Vec<(f64, f64)>, of: fn(&(f64, f64)) -> f64| {
        let mut figures: Vec<f64> = figures.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures[ROUNDS / 2]
    };
    let (rate, per_cpu) = (|it: &(f64, f64)| it.0, |it: &(f64, f64)| it.1);
    println!(
        "source path under {SCRAPERS} scrapers and {STREAMS} open pages, medians of {ROUNDS} rounds in turns: {:.1} % of the records/s, {:.1} % of the records per CPU second",
        100.0 * median(&mut stormed, rate) / median(&mut alone, rate),
        100.0 * median(&mut stormed, per_cpu) / median(&mut alone, per_cpu),
    );
}

/// Records a second, and records per CPU second.
async fn source_path(laps: u32, storm: bool) -> (f64, f64) {
    let exchange = exchange(Speed::Unlimited, laps).await;
    let total = exchange.status().total as f64;
    let mut site = Site::new(&exchange).await;
    site.set("/pipelines/trades/sinks", Value::Null);
    let source = Watched::run(&site).await;
    let (records, connector) = ("jackfield_records_total", "trades-source");
    let first = source.looked(records, connector, 1.0, LOOK_SELDOM).await;
    let cpu = source.cpu();
    let (scraped, told) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let token = std::fs::read_to_string(Artifacts::get().state.join("admin-token")).unwrap();
    let pages: Vec<_> = (0..if storm { STREAMS } else { 0 })
        .map(|_| {
            let events = source.metrics.replace("/metrics", "/events");
            let request = source.http.get(events).bearer_auth(token.trim());
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
            let (http, url) = (source.http.clone(), source.metrics.clone());
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
    let last = source.looked(records, connector, total, LOOK_SELDOM).await;
    let used = source.cpu() - cpu;
    let (scraped, told) = (
        scraped.load(Ordering::Relaxed),
        told.load(Ordering::Relaxed),
    );
    let seconds = (last - first).as_secs_f64();
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
    (total / seconds, total / used)
}

/// At an even pace, both ends running.
async fn latency(seconds: u32) {
    const RATE: u32 = 10_000;
    let laps = (RATE * seconds).div_ceil(15_863);
    let exchange = exchange(Speed::PerSecond(f64::from(RATE)), laps).await;
    let total = exchange.status().total as f64;
    let site = Site::new(&exchange).await;
    let watched = Watched::run(&site).await;
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
        watched.cpu(),
        watched.resident_mib()
    );
    watched.stop().await;
}
