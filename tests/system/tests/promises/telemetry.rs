//! What is measured and traced never touches what is moved: the incident, replayed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{Jackfield, PATIENCE, Site};
use jackfield_test_otlp::{Health, Receiver, Span};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::{ALL, assert_landed, exchange};

/// Scrapers at once.
const SCRAPERS: usize = 200;
/// Longest that one waits for a scrape, as Prometheus does.
const SCRAPE_MAX: Duration = Duration::from_secs(10);
/// Scrapers that ask and never read.
const HANGING: usize = 20;
/// How much longer the same may take while the back end is ill: generous, since everything here
/// shares the machine. docs/BENCHMARKS.md has the figure.
const RATIO_MAX: f64 = 3.0;

/// How long the whole recording takes from the first trade until all is committed and stopped.
async fn replay(exchange: &Running, site: &Site) -> Duration {
    let mut jackfield = Jackfield::run(site, &["--until-idle", "3s"]);
    let begun = Instant::now();
    assert_eq!(jackfield.wait().await, 0);
    let took = begun.elapsed();
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
    took
}

/// The incident that Jackfield answers: the back end of metrics fails in every way that it can,
/// while scrapers hang and storm, and every trade lands once, as fast as without any of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_incident_of_the_metrics_moves_nothing() {
    let calm = exchange(Speed::PerSecond(4000.0), |_| {}).await;
    let calm_site = Site::new(&calm).await;
    let alone = replay(&calm, &calm_site).await;
    drop(calm_site);

    let stormy = exchange(Speed::PerSecond(4000.0), |_| {}).await;
    let receiver = Receiver::http().await;
    let mut site = Site::new(&stormy).await;
    let otlp = json!({ "endpoint": receiver.url(), "interval": "100ms", "sample": 10 });
    site.set("/telemetry", json!({ "otlp": otlp }));
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "3s"]);
    let begun = Instant::now();
    let url = jackfield.admin().await;
    let stop = Arc::new(AtomicBool::new(false));
    let address = url.trim_start_matches("http://").to_owned();
    let hanging = hang(&address).await;
    let scraping = tokio::spawn(storm(address, Arc::clone(&stop)));
    let ills = [
        Health::Status(503),
        Health::Stalls,
        Health::Rubbish,
        Health::Endless,
        Health::Breaks,
        Health::Status(401),
        Health::Well,
    ];
    for (part, health) in (1u64..).zip(ills) {
        receiver.is(health);
        stormy
            .reached(part * ALL as u64 / (ills.len() as u64 + 1))
            .await;
    }
    receiver.is(Health::Stalls);
    assert_eq!(jackfield.wait().await, 0);
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let scrapes = scraping.await.unwrap();
    drop(hanging);
    assert_landed(&site.path().join("data"), &stormy.trades()).await;
    let ratio = took.as_secs_f64() / alone.as_secs_f64();
    println!(
        "alone {alone:?}, with an ill back end {took:?} ({ratio:.2} times), {scrapes} scrapes"
    );
    assert!(
        receiver.requests() > ills.len() as u64,
        "nothing was pushed"
    );
    assert!(scrapes > SCRAPERS as u64, "{scrapes} is no storm");
    assert!(ratio < RATIO_MAX, "{ratio}");
}

/// Scrapes again and again until it is told to stop.
async fn storm(address: String, stop: Arc<AtomicBool>) -> u64 {
    let scrapes = Arc::new(AtomicU64::new(0));
    let scrapers = (0..SCRAPERS).map(|_| {
        let (address, stop, scrapes) = (address.clone(), Arc::clone(&stop), Arc::clone(&scrapes));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let asked = timeout(SCRAPE_MAX, scrape(&address)).await;
                if matches!(asked, Ok(Ok(page)) if page.contains("jackfield_records_total")) {
                    scrapes.fetch_add(1, Ordering::Relaxed);
                }
                // As Prometheus does, if a hundred times as often.
                sleep(Duration::from_millis(100)).await;
            }
        })
    });
    join_all(scrapers.collect::<Vec<_>>()).await;
    scrapes.load(Ordering::Relaxed)
}

/// One scrape, on a connection of its own.
async fn scrape(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let ask = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(ask).await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    Ok(page)
}

/// Asks for metrics and never reads the answer, or never finishes asking.
async fn hang(address: &str) -> Vec<TcpStream> {
    let mut hanging = Vec::new();
    for number in 0..HANGING {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let ask: &[u8] = match number % 2 {
            0 => b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n",
            _ => b"GET /metrics HTT",
        };
        stream.write_all(ask).await.unwrap();
        hanging.push(stream);
    }
    hanging
}

/// A record is followed from the poll that brought it to the commit that made it visible, over the
/// log: each step's span is the child of the one before.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_traced_from_poll_to_commit() {
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let receiver = Receiver::http().await;
    let mut site = Site::new(&exchange).await;
    let otlp = json!({ "endpoint": receiver.url(), "interval": "200ms", "sample": 500 });
    site.set("/telemetry", json!({ "otlp": otlp }));
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "3s"]);
    assert_eq!(jackfield.wait().await, 0);
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
    let begun = Instant::now();
    let whole = loop {
        let whole = whole_traces(&receiver.spans());
        if !whole.is_empty() {
            break whole;
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", receiver.spans());
        sleep(Duration::from_millis(50)).await;
    };
    // Every 500th of a topic's four partitions, and the first of each.
    assert!(whole.len() >= 4, "{} whole traces", whole.len());
    for steps in &whole {
        let offset: u64 = steps[0].attributes["messaging.kafka.offset"]
            .parse()
            .unwrap();
        assert_eq!(offset % 500, 0);
        assert_eq!(steps[0].attributes["jackfield.connector"], "trades-source");
        assert_eq!(steps[5].attributes["jackfield.connector"], "trades-lake");
        for step in steps {
            assert!(step.began_ns <= step.ended_ns);
        }
        assert!(steps[0].began_ns <= steps[5].ended_ns);
    }
    let page = receiver.metrics();
    assert!(page.contains("jackfield_records_total"), "{page:?}");
}

/// The traces that have all six steps, each the child of the one before.
fn whole_traces(spans: &[Span]) -> Vec<Vec<Span>> {
    let mut traces: BTreeMap<&[u8], Vec<&Span>> = BTreeMap::new();
    for span in spans {
        traces.entry(&span.trace).or_default().push(span);
    }
    let whole = traces.into_values().filter_map(|spans| {
        let mut steps = Vec::new();
        let mut parent: &[u8] = &[];
        for name in ["poll", "append", "read", "put", "stage", "commit"] {
            let step = spans
                .iter()
                .find(|it| it.name == name && it.parent == parent)?;
            parent = &step.id;
            steps.push((*step).clone());
        }
        Some(steps)
    });
    whole.collect()
}
