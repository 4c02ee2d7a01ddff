//! New versions of sources and sinks that are worse, each in its own way: the old one takes over
//! again, and nothing is lost or doubled.
//!
//! Each version is the same component with other settings: decent ones first, then those that tell
//! it what to do wrong. The decent sink keeps every record that it was given with its coordinates.

use std::path::{Path, PathBuf};

use futures::{StreamExt, stream};
use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{Artifacts, Site, kept_below};
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::exchange;

/// Swaps that are ordered at once.
const SWAPS_AT_ONCE: usize = 6;
/// Records before a swap, and again after the roll-back.
const RECORDS_MIN: u64 = 200;
/// One of so many is rejected by those that reject: twice the share that is never worse.
const REJECTED_EVERY: u64 = 50;

/// A thing that a new version does wrong.
struct Deed {
    /// The exported function.
    call: &'static str,
    /// What.
    deed: &'static str,
    /// Said when it is taken back.
    word: &'static str,
}

const fn deed(call: &'static str, deed: &'static str, word: &'static str) -> Deed {
    Deed { call, deed, word }
}

impl Deed {
    fn name(&self) -> String {
        format!("{}-{}", self.call, self.deed)
    }

    /// The settings of the bad version: the good one's, and the command.
    fn settings(&self, good: &Value) -> Value {
        let mut bad = good.clone();
        bad["in"] = json!(self.call);
        bad["do"] = json!(self.deed);
        // `stored` is asked again where a life begins again without anyone's fault.
        bad["rewind"] = json!(self.call == "stored");
        bad["every"] = json!(REJECTED_EVERY);
        bad
    }

    fn rejects(&self) -> bool {
        self.deed == "reject"
    }
}

/// The pipelines have the exchange for as long as the swaps take, however slow the machine is.
async fn long_exchange() -> Running {
    exchange(Speed::PerSecond(500.0), |o| o.laps = 20).await
}

async fn site(exchange: &Running) -> Site {
    let mut site = Site::new(exchange).await;
    for name in ["hostile", "hostile-sink"] {
        let file = Artifacts::get().plugin(name);
        let plugin = json!({ "file": file, "memory": "32MiB", "call-time": "2s" });
        site.set(&format!("/plugins/{name}"), plugin);
    }
    site
}

/// Where the sink of this name keeps what it is given.
fn root(site: &Site, name: &str) -> PathBuf {
    site.warehouse().join("kept").join(name)
}

/// A decent sink of a topic.
fn keeping(topic: &str, root: &Path) -> Value {
    json!({
        "plugin": "hostile-sink",
        "topics": [topic],
        "commit": { "every": "200ms" },
        "on-bad-record": "skip",
        "settings": { "root": format!("file://{}", root.display()) },
        "allow": { "lake": "local" }
    })
}

/// Waits for records, swaps to the bad version, sees it taken back, and waits for records again.
async fn try_one(admin: &Admin, site: &Site, connector: &str, good: &Value, deed: &Deed) {
    let status = format!("/status/{connector}");
    let records = |now: &Value| now["records"].as_u64().unwrap_or_default();
    let at_work = async |from: u64| {
        let enough = |now: &Value| records(now) >= from + RECORDS_MIN;
        admin.until(connector, &status, enough).await
    };
    at_work(0).await;
    let file = site.path().join(format!("{connector}.json"));
    std::fs::write(&file, deed.settings(good).to_string()).unwrap();
    let args = [
        connector,
        "--settings",
        file.to_str().unwrap(),
        "--probation",
        "8s",
    ];
    // What it can't even be told is refused, and never ran.
    let code = if deed.call == "assigned" { 27 } else { 4 };
    admin.expect(site, &args, code, deed.word).await;
    at_work(records(&admin.get(&status).await)).await;
    if code == 4 {
        admin.expect(site, &args, 14, "taken back before").await;
    }
}

/// Ends the process well: what sources took is durable, and sinks commit what they read.
async fn end(mut admin: Admin) {
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
}

const SOURCE_DEEDS: [Deed; 13] = [
    deed("poll", "panic", "as told"),
    deed("poll", "late-panic", "with events in hand"),
    deed("poll", "loop", "did not return within"),
    deed("poll", "sleep", "did not return within"),
    deed("poll", "eat", "memory"),
    deed("poll", "recurse", "trapped"),
    deed("poll", "malformed", "malformed"),
    deed("poll", "broken", "as told"),
    deed("poll", "silent", "silent"),
    deed("poll", "rewind", "silent"),
    deed("poll", "retry-for-ever", "silent"),
    deed("poll", "reject", "it rejects"),
    deed("settled", "panic", "as told"),
];

/// A source makes a record of each event's number: after the roll-back each number is there once.
#[tokio::test(flavor = "multi_thread")]
async fn no_worse_source_loses_or_doubles_an_event() {
    let exchange = long_exchange().await;
    let mut site = site(&exchange).await;
    site.set("/pipelines/trades", Value::Null);
    let ws = exchange.ws_url();
    let good = json!({ "take": true, "url": format!("{ws}/ws/btcusdt@trade/ethusdt@trade") });
    for deed in &SOURCE_DEEDS {
        let name = deed.name();
        let pipeline = json!({
            "source": {
                "plugin": "hostile",
                "settings": good,
                "on-bad-record": "skip",
                "allow": { "websocket": [ws] }
            },
            "topics": { "only": { "name": format!("events.{name}") } },
            "sinks": { "kept": keeping("only", &root(&site, &name)) }
        });
        site.set(&format!("/pipelines/{name}"), pipeline);
    }
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let swaps = stream::iter(&SOURCE_DEEDS).for_each_concurrent(SWAPS_AT_ONCE, async |deed| {
        let connector = format!("{}-source", deed.name());
        try_one(&admin, &site, &connector, &good, deed).await;
    });
    swaps.await;
    end(admin).await;
    for deed in &SOURCE_DEEDS {
        let name = deed.name();
        let kept = kept_below(&root(&site, &name));
        assert_eq!(kept.fault(|_| false), None, "{name}");
        let mut due = 0;
        for value in kept.values() {
            let number: u64 = std::str::from_utf8(value).unwrap().parse().unwrap();
            due += 1;
            while deed.rejects() && number > due && due % REJECTED_EVERY == 0 {
                due += 1;
            }
            assert_eq!(number, due, "{name}: each event once, in order");
        }
        assert!(due >= 2 * RECORDS_MIN, "{name}: {due}");
    }
}

const SINK_DEEDS: [Deed; 23] = [
    deed("assigned", "panic", "as told"),
    deed("put", "panic", "as told"),
    deed("put", "late-panic", "as told"),
    deed("put", "loop", "did not return within"),
    deed("put", "sleep", "did not return within"),
    deed("put", "eat", "memory"),
    deed("put", "broken", "as told"),
    deed("put", "absurd-counts", "malformed"),
    deed("put", "reject", "it rejects"),
    deed("put", "rewind", "silent"),
    deed("put", "retry-for-ever", "silent"),
    deed("stage", "panic", "as told"),
    deed("stage", "late-panic", "as told"),
    deed("stage", "unknown-version", "version 99"),
    deed("stage", "too-much", "larger than"),
    deed("stage", "nothing", "no row visible"),
    deed("stage", "retry-for-ever", "no row visible"),
    deed("commit", "panic", "as told"),
    deed("commit", "late-panic", "as told"),
    deed("commit", "absurd-rows", "malformed"),
    deed("commit", "retry-for-ever", "past its probation"),
    deed("stored", "panic", "as told"),
    deed("stored", "retry-for-ever", "past its probation"),
];

/// Every offset of the topic is there once, whatever the version in between did.
#[tokio::test(flavor = "multi_thread")]
async fn no_worse_sink_loses_or_doubles_a_record() {
    let exchange = long_exchange().await;
    let mut site = site(&exchange).await;
    site.set("/pipelines/trades/sinks", json!({}));
    let settings =
        |site: &Site, name: &str| keeping("trade", &root(site, name))["settings"].clone();
    for deed in &SINK_DEEDS {
        let name = deed.name();
        let sink = keeping("trade", &root(&site, &name));
        site.set(&format!("/pipelines/trades/sinks/{name}"), sink);
    }
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let swaps = stream::iter(&SINK_DEEDS).for_each_concurrent(SWAPS_AT_ONCE, async |deed| {
        let connector = format!("trades-{}", deed.name());
        let good = settings(&site, &deed.name());
        try_one(&admin, &site, &connector, &good, deed).await;
    });
    swaps.await;
    end(admin).await;
    for deed in &SINK_DEEDS {
        let name = deed.name();
        let kept = kept_below(&root(&site, &name));
        let rejected = |offset| deed.rejects() && offset % REJECTED_EVERY as i64 == 0;
        assert_eq!(kept.fault(rejected), None, "{name}");
        let all = kept.values().count() as u64;
        assert!(all >= 2 * RECORDS_MIN, "{name}: {all}");
    }
}
