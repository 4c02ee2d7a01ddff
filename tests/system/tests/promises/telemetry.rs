//! What is measured and traced never touches what is moved: the incident, replayed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jackfield_exchange::{Speed, Status};
use jackfield_system_tests::{Jackfield, PATIENCE, Site};
use jackfield_test_otlp::{Health, Receiver, Span};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::admin::Admin;
use crate::{assert_landed, assert_landed_so_far, exchange, lasting_exchange};

/// Trades a second: less than a busy machine can take, so that what is missing was held up.
const PACE: f64 = 1000.0;
/// How long the back end is ill in one way, and well before that.
const TURN: Duration = Duration::from_millis(1500);
/// What goes wrong with a receiver that is there.
const ILLS: [Health; 6] = [
    Health::Status(503),
    Health::Stalls,
    Health::Rubbish,
    Health::Endless,
    Health::Breaks,
    Health::Status(401),
];
/// Trades that another round of all of them needs, with time to spare.
const ROUND_TRADES: u64 = 2 * 2 * ILLS.len() as u64 * 1500;
/// How often the incident is replayed until one round of it is even: a busy machine makes turns
/// uneven, at times a whole round of them.
const RUNS_MAX: usize = 3;
/// The median rate of the ill turns against that of the others, in one round. Both kinds meet the
/// same busy machine; whoever waits for the back end shows much less, in every round.
const RATIO_MIN: f64 = 0.8;
/// Scrapers at once.
const SCRAPERS: usize = 200;
/// Between two scrapes of one of them: Prometheus takes fifteen times as long.
const SCRAPE_EVERY: Duration = Duration::from_secs(1);
/// Longest that one waits for a scrape, as Prometheus does.
const SCRAPE_MAX: Duration = Duration::from_secs(10);
/// Scrapers that ask and never read.
const HANGING: usize = 20;
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Records a second of the source and of the sink, turn by turn.
#[derive(Default)]
struct Rates([Vec<f64>; 2]);

impl Rates {
    async fn add_turn(&mut self, admin: &Admin) {
        let (before, begun) = (taken(admin).await, Instant::now());
        sleep(TURN).await;
        let (after, took) = (taken(admin).await, begun.elapsed());
        for (end, rates) in self.0.iter_mut().enumerate() {
            rates.push((after[end] - before[end]) / took.as_secs_f64());
        }
    }

    /// Of the source, and of the sink.
    fn medians(&self) -> [f64; 2] {
        self.0.each_ref().map(|rates| {
            let mut rates = rates.clone();
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        })
    }

    /// Whether the rates of `well` are kept, at both ends.
    fn keeps(&self, well: &Rates) -> bool {
        let medians = self.medians().into_iter().zip(well.medians());
        let mut all = true;
        for ((ill, well), name) in medians.zip(["source", "sink"]) {
            let kept = ill / well;
            println!("{name}: {well:.0} records/s, {ill:.0} with an ill back end: {kept:.2}");
            all &= kept >= RATIO_MIN;
        }
        all
    }
}

/// Records that the source and the sink took by now.
async fn taken(admin: &Admin) -> [f64; 2] {
    let mut taken = [0.0; 2];
    for (count, connector) in taken.iter_mut().zip(["trades-source", "trades-lake"]) {
        let status = admin.get(&format!("/status/{connector}")).await;
        *count = status["records"].as_f64().unwrap_or_default();
    }
    taken
}

/// The receiver does so, and was asked since.
async fn is(receiver: &Receiver, health: Health) {
    receiver.is(health);
    let (before, begin) = (receiver.requests(), Instant::now());
    while receiver.requests() == before {
        assert!(begin.elapsed() < PATIENCE, "{health:?}: nothing is pushed");
        sleep(LOOK_EVERY).await;
    }
}

/// The incident that Jackfield answers: the back end of metrics fails in every way that it can, and
/// scrapers hang beside those that storm. Every trade lands once, at the rate of the turns in which
/// all is well with it.
#[tokio::test(flavor = "multi_thread")]
async fn the_incident_of_the_metrics_moves_nothing() {
    for _ in 0..RUNS_MAX {
        if incident().await {
            return;
        }
    }
    panic!("no round of {RUNS_MAX} runs kept {RATIO_MIN} of the rate with an ill back end");
}

/// One replay: whether a round of it was even. That every trade lands is no matter of rounds.
async fn incident() -> bool {
    let exchange = lasting_exchange(PACE).await;
    let receiver = Receiver::http().await;
    let mut site = Site::new(&exchange).await;
    let otlp = json!({ "endpoint": receiver.url(), "interval": "100ms", "sample": 10 });
    site.set("/telemetry", json!({ "otlp": otlp }));
    let mut admin = Admin::run(&site, &[]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let address = admin.url.trim_start_matches("http://").to_owned();
    let scraping = tokio::spawn(storm(address.clone(), Arc::clone(&stop)));
    let begun = |now: &Value| now["records"].as_u64() > Some(0);
    admin
        .until("the sink takes", "/status/trades-lake", begun)
        .await;
    let even = loop {
        let (mut well, mut ill) = (Rates::default(), Rates::default());
        for health in ILLS {
            is(&receiver, Health::Well).await;
            well.add_turn(&admin).await;
            let hanging = hang(&address).await;
            is(&receiver, health).await;
            ill.add_turn(&admin).await;
            drop(hanging);
        }
        let even = ill.keeps(&well);
        let Status {
            position, total, ..
        } = exchange.status();
        if even || total - position < ROUND_TRADES {
            break even;
        }
    };
    // Also while it stops.
    is(&receiver, Health::Stalls).await;
    let [_, put] = taken(&admin).await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    stop.store(true, Ordering::Relaxed);
    let scrapes = scraping.await.unwrap();
    let (data, sent) = (site.path().join("data"), exchange.trades());
    assert_landed_so_far(&data, "market.trades", &sent, put as u64).await;
    println!("{scrapes} scrapes, {} pushes", receiver.requests());
    assert!(scrapes > SCRAPERS as u64, "{scrapes} is no storm");
    even
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
                sleep(SCRAPE_EVERY).await;
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
        // Every 500th of a topic's four partitions, and the first of each.
        if whole.len() >= 4 {
            break whole;
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", receiver.spans());
        sleep(Duration::from_millis(50)).await;
    };
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
