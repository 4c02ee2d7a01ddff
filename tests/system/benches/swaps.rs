//! What a swap stops, beside what a stop and a start stop, in one run under load, on the embedded log
//! and on Kafka: the real binary with the real components, `scripts/bench` runs it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jackfield_exchange::{Exchange, Options, Speed};
use jackfield_system_tests::{
    Artifacts, Cluster, Jackfield, Site, changed_copy, http, shared_cluster,
};
use serde_json::Value;
use tokio::time::sleep;

/// Between two looks at a connector.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Trades a second.
const RATE: u32 = 10_000;
/// Far longer than a connector takes to begin anew.
const GOES_ON_WITHIN: Duration = Duration::from_secs(60);
const SWAPS: usize = 200;
const RESTARTS: usize = 20;
/// The stream is longer than all of it takes.
const LAPS: u32 = 400;

#[tokio::main]
async fn main() {
    measured("the embedded log", None).await;
    measured("Kafka", Some(&shared_cluster().await)).await;
}

/// Both connectors of a pipeline on this log, each swapped, and then stopped and started.
async fn measured(log: &str, cluster: Option<&Cluster>) {
    let mut options = Options::spot().unwrap();
    (options.speed, options.laps) = (Speed::PerSecond(f64::from(RATE)), LAPS);
    // Two hundred swaps a minute are not what an exchange is asked for: its limits are not measured.
    options.limits.weight_per_minute = u32::MAX;
    let exchange = Exchange::start(options).await.unwrap();
    let mut site = Site::new(&exchange).await;
    if let Some(cluster) = cluster {
        site.on_kafka(cluster);
    }
    let mut jackfield = Jackfield::run(&site, &["--log-format", "text"]);
    let asked = Asked {
        url: jackfield.admin().await,
        token: std::fs::read_to_string(Artifacts::get().state.join("admin-token")).unwrap(),
        http: http(),
    };
    for (connector, plugin) in [
        ("trades-source", "binance-source"),
        ("trades-lake", "iceberg-sink"),
    ] {
        asked.takes_more_than(connector, 0).await;
        let files = [
            changed_copy(plugin, site.path(), "copy").await,
            Artifacts::get().plugin(plugin),
        ];
        let swaps = asked.swaps(connector, &files).await;
        let restarts = asked.restarts(connector).await;
        println!(
            "{connector} on {log} at {RATE} trades/s: a swap's pause {}; a stop and a start {}",
            told(swaps),
            told(restarts)
        );
    }
    jackfield.kill().await;
}

struct Asked {
    url: String,
    token: String,
    http: reqwest::Client,
}

impl Asked {
    async fn post(&self, path: &str, body: Vec<u8>) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).body(body).send();
        let answer = answer.await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn status(&self, connector: &str) -> Value {
        let request = self.http.get(format!("{}/status/{connector}", self.url));
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        answer.json().await.unwrap()
    }

    async fn takes_more_than(&self, connector: &str, records: u64) {
        let begun = Instant::now();
        while self.status(connector).await["records"].as_u64() <= Some(records) {
            assert!(begun.elapsed() < GOES_ON_WITHIN, "{connector} stands still");
            sleep(LOOK_EVERY).await;
        }
    }

    /// The pauses that the process reports.
    async fn swaps(&self, connector: &str, files: &[PathBuf; 2]) -> Vec<Duration> {
        let components = files.each_ref().map(|file| std::fs::read(file).unwrap());
        let path = format!("/connectors/{connector}/swap?probation-ms=1");
        let mut pauses = Vec::with_capacity(SWAPS);
        while pauses.len() < SWAPS {
            let component = &components[pauses.len() % 2];
            let (status, report) = self.post(&path, component.clone()).await;
            match (status, report["code"].as_str()) {
                (200, _) => {
                    let pause = report["pause_us"].as_u64().unwrap();
                    pauses.push(Duration::from_micros(pause));
                }
                // The last one is still on probation, or there were too many a second.
                (_, Some("busy" | "too-many")) => sleep(LOOK_EVERY).await,
                (status, _) => panic!("{status}: {report}"),
            }
        }
        pauses
    }

    /// From the order to the first record after it, as Kafka Connect changes a connector.
    async fn restarts(&self, connector: &str) -> Vec<Duration> {
        let path = format!("/connectors/{connector}/restart?includeTasks=true");
        let mut pauses = Vec::with_capacity(RESTARTS);
        while pauses.len() < RESTARTS {
            let begun = Instant::now();
            let (status, answer) = self.post(&path, Vec::new()).await;
            if status == 429 {
                sleep(LOOK_EVERY).await;
                continue;
            }
            assert!((200..300).contains(&status), "{status}: {answer}");
            // It counts on while it ends, and may have begun anew before the first look.
            let before = loop {
                let now = self.status(connector).await;
                let before = now["records"].as_u64().unwrap();
                if now["connector"]["state"] == "RUNNING" {
                    break before;
                }
                sleep(LOOK_EVERY).await;
            };
            self.takes_more_than(connector, before).await;
            pauses.push(begun.elapsed());
        }
        pauses
    }
}

fn told(mut pauses: Vec<Duration>) -> String {
    pauses.sort_unstable();
    let at = |share: f64| pauses[((pauses.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    format!(
        "p50 {:.3} ms, p99 {:.3} ms, longest {:.3} ms of {}",
        at(0.5),
        at(0.99),
        at(1.0),
        pauses.len()
    )
}
