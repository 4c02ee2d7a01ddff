//! What evil neighbours cost a good pipeline, compared in one run: they misbehave, all at once, for
//! a while, behave for a while, and so on in turns.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Site, http, kept_below, metric};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::admin::Admin;
use crate::{assert_landed, exchange};

/// How long they misbehave, and how long they behave.
const TURN: Duration = Duration::from_secs(4);
/// Turns of each kind that are compared; more where the first ones are uneven.
const TURNS_MIN: usize = 3;
const TURNS_MAX: usize = 5;
/// A machine that is busy with other things gives uneven shares; a neighbour that is stopped, or
/// starved, shows much less.
const RATIO_MIN: f64 = 0.5;

/// What the sources do in `poll`.
const SOURCE_DEEDS: [&str; 8] = [
    "panic",
    "loop",
    "sleep",
    "eat",
    "recurse",
    "call-the-host",
    "flood-the-log",
    "forged-list",
];
/// What the sinks do, and where.
const SINK_DEEDS: [(&str, &str); 8] = [
    ("put", "panic"),
    ("put", "loop"),
    ("put", "sleep"),
    ("put", "eat"),
    ("put", "call-the-host"),
    ("put", "flood-the-log"),
    ("stage", "forged-list"),
    ("commit", "panic"),
];

fn turns_ms() -> u64 {
    TURN.as_millis() as u64
}

/// Adds the evil ones: sources of their own, and sinks of the good pipeline's topic.
fn add_evil(site: &mut Site) {
    for name in ["hostile", "hostile-sink"] {
        let file = Artifacts::get().plugin(name);
        let plugin = json!({ "file": file, "memory": "32MiB", "call-time": "300ms" });
        site.set(&format!("/plugins/{name}"), plugin);
    }
    for deed in SOURCE_DEEDS {
        let settings = json!({ "in": "poll", "do": deed, "pause-ms": 20, "turns-ms": turns_ms() });
        let pipeline = json!({
            "source": { "plugin": "hostile", "settings": settings },
            "topics": { "only": { "name": format!("evil.{deed}") } }
        });
        site.set(&format!("/pipelines/{deed}"), pipeline);
    }
    for (call, deed) in SINK_DEEDS {
        let name = format!("{call}-{deed}");
        let root = site.warehouse().join("kept").join(&name);
        let root = format!("file://{}", root.display());
        let settings = json!({ "in": call, "do": deed, "turns-ms": turns_ms(), "root": root });
        let sink = json!({
            "plugin": "hostile-sink",
            "topics": ["trade"],
            "commit": { "every": "500ms" },
            "settings": settings,
            "allow": { "lake": "local" }
        });
        site.set(&format!("/pipelines/trades/sinks/{name}"), sink);
    }
}

/// Waits for the next turn. Whether the evil ones misbehave in it.
async fn next_turn() -> bool {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (turn, length) = (since.as_millis() / TURN.as_millis(), TURN.as_millis());
    let left = (turn + 1) * length - since.as_millis();
    sleep(Duration::from_millis(left as u64)).await;
    (turn + 1) % 2 == 1
}

/// Records that the good source and the good sink took by now.
async fn taken(admin: &Admin) -> [f64; 2] {
    let mut taken = [0.0; 2];
    for (count, connector) in taken.iter_mut().zip(["trades-source", "trades-lake"]) {
        let status = admin.get(&format!("/status/{connector}")).await;
        *count = status["records"].as_f64().unwrap_or_default();
    }
    taken
}

/// Records a second of the source and of the sink, turn by turn.
#[derive(Default)]
struct Rates {
    behaving: [Vec<f64>; 2],
    evil: [Vec<f64>; 2],
}

impl Rates {
    fn add(&mut self, evil: bool, before: [f64; 2], after: [f64; 2], took: Duration) {
        let rates = if evil {
            &mut self.evil
        } else {
            &mut self.behaving
        };
        for (rates, (before, after)) in rates.iter_mut().zip(before.into_iter().zip(after)) {
            rates.push((after - before) / took.as_secs_f64());
        }
    }

    /// Of each end: the median rate without and with evil neighbours.
    fn medians(&self) -> [(f64, f64); 2] {
        [0, 1].map(|end| (median(&self.behaving[end]), median(&self.evil[end])))
    }

    /// Whether there are enough, and they are good.
    fn suffice(&self) -> bool {
        let turns = self.behaving[0].len().min(self.evil[0].len());
        let kept = |(behaving, evil): (f64, f64)| evil >= RATIO_MIN * behaving;
        turns >= TURNS_MAX || turns >= TURNS_MIN && self.medians().into_iter().all(kept)
    }
}

fn median(rates: &[f64]) -> f64 {
    let mut rates = rates.to_vec();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// The good pipeline keeps its rate while all others misbehave, and lands every trade; those that
/// misbehaved for a while have nothing lost or doubled either.
#[tokio::test(flavor = "multi_thread")]
async fn neighbours_keep_their_rate_and_land_everything() {
    let exchange = exchange(Speed::PerSecond(1000.0), |o| {
        o.laps = 4;
        // However long the start takes, the feed lasts for all turns.
        o.hold = true;
    })
    .await;
    let mut site = Site::new(&exchange).await;
    add_evil(&mut site);
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    let path = "/status/trades-lake";
    let runs = |now: &Value| now["connector"]["state"] == "RUNNING";
    for path in ["/status/trades-source", path] {
        admin.until("it runs", path, runs).await;
    }
    exchange.start();
    let begun = |now: &Value| now["records"].as_u64().unwrap_or_default() > 0;
    admin.until("the sink takes", path, begun).await;
    let mut rates = Rates::default();
    let mut evil = next_turn().await;
    while !rates.suffice() {
        let (before, began) = (taken(&admin).await, Instant::now());
        let next = next_turn().await;
        rates.add(evil, before, taken(&admin).await, began.elapsed());
        evil = next;
    }
    let metrics = format!("{}/metrics", admin.jackfield.admin().await);
    let metrics = http().get(metrics).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let total = exchange.trades().len() as f64;
    for path in ["/status/trades-source", path] {
        let all = |now: &Value| now["records"].as_f64().unwrap_or_default() >= total;
        admin.until("all is taken", path, all).await;
    }
    for (end, (behaving, evil)) in ["source", "sink"].into_iter().zip(rates.medians()) {
        let ratio = evil / behaving;
        println!("{end}: {behaving:.0} records/s, {evil:.0} while all misbehave: {ratio:.2}");
        assert!(ratio >= RATIO_MIN, "{end}: {ratio:.2}");
    }
    for connector in ["panic-source", "trades-put-panic", "trades-commit-panic"] {
        let died = metric(&metrics, "jackfield_component_deaths_total", connector);
        assert!(died >= 1.0, "{connector} was evil: {died}");
    }
    admin.jackfield.terminate().await;
    // Whoever misbehaves at that moment does not drain, and is said to have failed.
    let code = admin.jackfield.wait().await;
    assert!([0, 1].contains(&code), "{code}");
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
    for (call, deed) in SINK_DEEDS {
        let name = format!("{call}-{deed}");
        let kept = kept_below(&site.warehouse().join("kept").join(&name));
        assert_eq!(kept.fault(|_| false), None, "{name}");
    }
}
