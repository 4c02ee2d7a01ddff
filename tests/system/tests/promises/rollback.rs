//! New versions of sources and sinks that are worse, each in its own way: the old one takes over
//! again, and nothing is lost or doubled.
//!
//! Each version is the same component in other bytes with other settings: decent ones first, then
//! those that tell it what to do wrong. The decent sink keeps every record that it was given with its
//! coordinates.

mod splits;
mod stops;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::{StreamExt, stream};
use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{
    Artifacts, Cluster, Kept, Site, kept_below, read_topic, shared_cluster,
};
use jackfield_test_lakes::{Fault, Front};
use serde_json::{Value, json};

use crate::admin::{Admin, changed_copy};
use crate::kafka::assert_topic;
use crate::{assert_landed, exchange};

/// Swaps that are ordered at once.
const SWAPS_AT_ONCE: usize = 6;
/// Records before a swap, and again after the roll-back.
const RECORDS_MIN: u64 = 200;
/// One of so many is rejected by those that reject: twice the share that is never worse.
const REJECTED_EVERY: u64 = 50;

/// The end of the name of a component that has little time for a `poll` or a `put`.
const HURRIED: &str = "-hurried";

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

    /// Longer than the call's deadline, and than anything takes on a busy machine: it is over with
    /// the deed, unless the verdict comes with its end.
    fn probation(&self) -> &'static str {
        match self.word {
            "silent" | "no row visible" => "8s",
            _ => "5m",
        }
    }

    /// The entry of `plugins` that it runs under: only what never returns is to run out of time, for
    /// eating its memory takes a busy machine a while.
    fn plugin(&self, kind: &str) -> String {
        let endless = matches!(self.deed, "loop" | "sleep");
        let hurried = if endless { HURRIED } else { "" };
        format!("{kind}{hurried}")
    }
}

/// The pipelines have the exchange for as long as the swaps take, however slow the machine is.
pub(crate) async fn long_exchange() -> Running {
    exchange(Speed::PerSecond(500.0), |o| o.laps = 20).await
}

pub(crate) async fn site(exchange: &Running) -> Site {
    let mut site = Site::new(exchange).await;
    for name in ["hostile", "hostile-sink"] {
        let file = Artifacts::get().plugin(name);
        for (hurried, call_time) in [("", "30s"), (HURRIED, "2s")] {
            let plugin = json!({ "file": file, "memory": "32MiB", "call-time": call_time });
            site.set(&format!("/plugins/{name}{hurried}"), plugin);
        }
    }
    site
}

/// Where the sink of this name keeps what it is given.
pub(crate) fn root(site: &Site, name: &str) -> PathBuf {
    site.warehouse().join("kept").join(name)
}

/// A decent sink of a topic.
pub(crate) fn keeping(topic: &str, root: &Path) -> Value {
    json!({
        "plugin": "hostile-sink",
        "topics": [topic],
        "commit": { "every": "200ms" },
        "on-bad-record": "skip",
        "settings": { "root": format!("file://{}", root.display()) },
        "allow": { "lake": "local" }
    })
}

/// Connects to the exchange, and takes every event.
fn good_source(exchange: &Running) -> Value {
    let ws = exchange.ws_url();
    json!({ "take": true, "url": format!("{ws}/ws/btcusdt@trade/ethusdt@trade") })
}

/// A pipeline of a decent source, with a sink that keeps what it makes.
fn add_source(site: &mut Site, exchange: &Running, name: &str, plugin: &str) {
    let pipeline = json!({
        "source": {
            "plugin": plugin,
            "settings": good_source(exchange),
            "on-bad-record": "skip",
            "allow": { "websocket": [exchange.ws_url()] }
        },
        "topics": { "only": { "name": site.topic(name) } },
        "sinks": { "kept": keeping("only", &root(site, name)) }
    });
    site.set(&format!("/pipelines/{name}"), pipeline);
}

/// A decent sink of the trades.
fn add_sink(site: &mut Site, deed: &Deed) {
    let name = deed.name();
    let mut sink = keeping("trade", &root(site, &name));
    sink["plugin"] = json!(deed.plugin("hostile-sink"));
    site.set(&format!("/pipelines/trades/sinks/{name}"), sink);
}

/// Waits for records, swaps to the bad version, sees it taken back, and waits for records again.
/// Only the bad one is remembered: the same bytes with good settings take over.
async fn try_one(
    admin: &Admin,
    site: &Site,
    connector: &str,
    good: &Value,
    other: &Path,
    deed: &Deed,
) {
    let both = (good, &deed.settings(good));
    try_settings(admin, site, connector, both, other, deed).await;
}

/// The same with the settings of the bad version, which do the deed.
async fn try_settings(
    admin: &Admin,
    site: &Site,
    connector: &str,
    (good, bad): (&Value, &Value),
    other: &Path,
    deed: &Deed,
) {
    let status = format!("/status/{connector}");
    let records = |now: &Value| now["records"].as_u64().unwrap_or_default();
    let at_work = async |from: u64| {
        let enough = |now: &Value| records(now) >= from + RECORDS_MIN;
        admin.until(connector, &status, enough).await
    };
    let before = at_work(0).await;
    let file = site.path().join(format!("{connector}.json"));
    std::fs::write(&file, bad.to_string()).unwrap();
    let args = [
        connector,
        other.to_str().unwrap(),
        "--settings",
        file.to_str().unwrap(),
        "--probation",
    ];
    let bad = [&args[..], &[deed.probation()]].concat();
    // What it can't even be told is refused, and never ran.
    let code = if deed.call == "assigned" { 27 } else { 4 };
    admin.expect(site, &bad, code, deed.word).await;
    let after = at_work(records(&admin.get(&status).await)).await;
    assert_eq!(before["plugin"], after["plugin"], "{connector}");
    if code == 4 {
        admin.expect(site, &bad, 14, "taken back before").await;
    }
    std::fs::write(&file, good.to_string()).unwrap();
    let mended = [&args[..], &["100ms"]].concat();
    admin.expect(site, &mended, 0, "took over").await;
    let last = admin.get(&status).await;
    assert_ne!(last["plugin"], before["plugin"], "{connector}");
}

/// Tries each deed of a source.
async fn try_sources(admin: &Admin, site: &Site, exchange: &Running, deeds: &[Deed]) {
    let good = good_source(exchange);
    let other = changed_copy("hostile", site.path(), "other").await;
    let swaps = stream::iter(deeds).for_each_concurrent(SWAPS_AT_ONCE, async |deed| {
        let connector = format!("{}-source", deed.name());
        try_one(admin, site, &connector, &good, &other, deed).await;
    });
    swaps.await;
}

/// Tries each deed of a sink.
async fn try_sinks(admin: &Admin, site: &Site, deeds: &[Deed]) {
    let other = changed_copy("hostile-sink", site.path(), "other").await;
    let swaps = stream::iter(deeds).for_each_concurrent(SWAPS_AT_ONCE, async |deed| {
        let name = deed.name();
        let connector = format!("trades-{name}");
        let good = keeping("trade", &root(site, &name))["settings"].clone();
        try_one(admin, site, &connector, &good, &other, deed).await;
    });
    swaps.await;
}

/// Ends the process well: what sources took is durable, and sinks commit what they read.
pub(crate) async fn end(mut admin: Admin) {
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
}

const SOURCE_DEEDS: [Deed; 15] = [
    deed("poll", "panic", "as told"),
    deed("poll", "late-panic", "with events in hand"),
    deed("poll", "loop", "did not return within"),
    deed("poll", "sleep", "did not return within"),
    deed("poll", "eat", "memory"),
    deed("poll", "recurse", "trapped"),
    deed("poll", "malformed", "malformed"),
    deed("poll", "broken", "as told"),
    deed("poll", "misconfigured", "poll: xxx"),
    deed("poll", "silent", "silent"),
    deed("poll", "rewind", "silent"),
    deed("poll", "retry-for-ever", "silent"),
    deed("poll", "reject", "it rejects"),
    deed("settled", "panic", "as told"),
    deed("settled", "loop", "did not return within"),
];

/// A source makes a record of each event's number: after the roll-back each number is there once.
#[tokio::test(flavor = "multi_thread")]
async fn no_worse_source_loses_or_doubles_an_event() {
    let exchange = long_exchange().await;
    let mut site = site(&exchange).await;
    site.set("/pipelines/trades", Value::Null);
    for deed in &SOURCE_DEEDS {
        add_source(&mut site, &exchange, &deed.name(), &deed.plugin("hostile"));
    }
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    try_sources(&admin, &site, &exchange, &SOURCE_DEEDS).await;
    end(admin).await;
    for deed in &SOURCE_DEEDS {
        let kept = kept_below(&root(&site, &deed.name()));
        assert_eq!(kept.fault(|_| false), None, "{}", deed.name());
        assert_each_event_once(&kept, deed);
    }
}

fn assert_each_event_once(kept: &Kept, deed: &Deed) {
    let name = deed.name();
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

/// Done in the plan that is made on probation, after the one that it was prepared with was good.
const PLAN_DEEDS: [Deed; 6] = [
    deed("replan", "panic", "as told"),
    deed("replan", "broken", "as told"),
    deed("replan", "misconfigured", "plan: xxx"),
    deed("replan", "retry-for-ever", "within its probation"),
    deed("replan", "too-many", "larger than"),
    deed("replan", "none", "no slot"),
];
/// Lines that each source numbers.
const LINES: usize = 3;

/// The slots that it asks to be planned anew have ended by then: the old version plans and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_can_not_plan_on_probation_is_taken_back() {
    let exchange = exchange(Speed::PerSecond(50.0), |_| {}).await;
    let mut site = site(&exchange).await;
    site.set("/pipelines/trades", Value::Null);
    let front = Front::before(exchange.rest_url()).await;
    let mut plans: BTreeMap<String, u32> = BTreeMap::new();
    front.decide(move |seen| {
        let plans = plans.entry(seen.path.clone()).or_default();
        *plans += 1;
        let status = if *plans == 1 { 200 } else { 503 };
        Some(Fault::Status(status, String::new()))
    });
    let good = |deed: &Deed| {
        let ask = format!("{}/{}", front.url(), deed.name());
        json!({ "lines": LINES, "pause-ms": 5, "ask": ask })
    };
    for deed in &PLAN_DEEDS {
        let name = deed.name();
        let pipeline = json!({
            "source": {
                "plugin": "hostile",
                "settings": good(deed),
                "allow": { "http": [front.url()] }
            },
            "topics": { "only": { "name": site.topic(&name) } },
            "sinks": { "kept": keeping("only", &root(&site, &name)) }
        });
        site.set(&format!("/pipelines/{name}"), pipeline);
    }
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let other = changed_copy("hostile", site.path(), "other").await;
    let swaps = stream::iter(&PLAN_DEEDS).for_each_concurrent(SWAPS_AT_ONCE, async |deed| {
        let connector = format!("{}-source", deed.name());
        try_one(&admin, &site, &connector, &good(deed), &other, deed).await;
    });
    swaps.await;
    end(admin).await;
    for deed in &PLAN_DEEDS {
        let kept = kept_below(&root(&site, &deed.name()));
        assert_eq!(kept.fault(|_| false), None, "{}", deed.name());
        assert_eq!(numbered(&kept).len(), LINES, "{}", deed.name());
    }
}

/// The marks of what was numbered, by name and in order; each number is there once and in order.
/// Values are `NAME NUMBER MARK`, where a version without one has no mark.
pub(crate) fn numbered(kept: &Kept) -> BTreeMap<String, Vec<String>> {
    let mut marks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for value in kept.values() {
        let words: Vec<&str> = std::str::from_utf8(value).unwrap().split(' ').collect();
        let [name, number, mark] = words[..] else {
            panic!("{words:?}");
        };
        let of_name = marks.entry(name.to_owned()).or_default();
        of_name.push(mark.to_owned());
        let due = of_name.len();
        assert_eq!(number.parse(), Ok(due), "{name}: each once, in order");
    }
    marks
}

const SINK_DEEDS: [Deed; 24] = [
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
    deed("commit", "misconfigured", "commit: xxx"),
    deed("stored", "panic", "as told"),
    deed("stored", "retry-for-ever", "past its probation"),
];

/// Every offset of the topic is there once, whatever the version in between did.
#[tokio::test(flavor = "multi_thread")]
async fn no_worse_sink_loses_or_doubles_a_record() {
    assert_sinks_go_back(&long_exchange().await, &SINK_DEEDS).await;
}

/// Two minutes each, as long as these calls may take. They sleep, and leave the cores to the tests
/// beside them: a loop ends at the same deadline.
const SLOW_SINK_DEEDS: [Deed; 2] = [
    deed("stage", "sleep", "did not return within"),
    deed("commit", "sleep", "did not return within"),
];

/// The same of calls that may take long.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_never_stages_or_commits_is_taken_back() {
    let exchange = exchange(Speed::PerSecond(50.0), |_| {}).await;
    assert_sinks_go_back(&exchange, &SLOW_SINK_DEEDS).await;
}

async fn assert_sinks_go_back(exchange: &Running, deeds: &[Deed]) {
    let mut site = site(exchange).await;
    site.set("/pipelines/trades/sinks", json!({}));
    for deed in deeds {
        add_sink(&mut site, deed);
    }
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    try_sinks(&admin, &site, deeds).await;
    end(admin).await;
    for deed in deeds {
        let name = deed.name();
        let kept = kept_below(&root(&site, &name));
        let rejected = |offset| deed.rejects() && offset % REJECTED_EVERY as i64 == 0;
        assert_eq!(kept.fault(rejected), None, "{name}");
        let all = kept.values().count() as u64;
        assert!(all >= 2 * RECORDS_MIN, "{name}: {all}");
    }
}

const KAFKA_SOURCE_DEEDS: [Deed; 2] = [
    deed("poll", "late-panic", "with events in hand"),
    deed("poll", "silent", "silent"),
];

const KAFKA_SINK_DEEDS: [Deed; 2] = [
    deed("stage", "panic", "as told"),
    deed("commit", "late-panic", "as told"),
];

/// Beside a good pipeline, whose table and topic hold every trade once.
#[tokio::test(flavor = "multi_thread")]
async fn a_worse_version_on_kafka_is_taken_back_and_nothing_is_lost_or_doubled() {
    let cluster = shared_cluster().await;
    // It outlasts the roll-backs on a slow machine: whoever is taken back has to go on.
    let exchange = exchange(Speed::PerSecond(250.0), |o| o.laps = 2).await;
    let mut site = site(&exchange).await;
    site.on_kafka(&cluster);
    for deed in &KAFKA_SOURCE_DEEDS {
        add_source(&mut site, &exchange, &deed.name(), &deed.plugin("hostile"));
    }
    for deed in &KAFKA_SINK_DEEDS {
        add_sink(&mut site, deed);
    }
    let mut admin = Admin::run(&site, &["--until-idle", "6s", "--grace", "60s"]).await;
    tokio::join!(
        try_sources(&admin, &site, &exchange, &KAFKA_SOURCE_DEEDS),
        try_sinks(&admin, &site, &KAFKA_SINK_DEEDS),
    );
    exchange.finished().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    for deed in &KAFKA_SOURCE_DEEDS {
        let name = deed.name();
        let kept = kept_below(&root(&site, &name));
        assert_each_event_once(&kept, deed);
        assert_holds_topic(&kept, &cluster, &site.topic(&name)).await;
    }
    for deed in &KAFKA_SINK_DEEDS {
        let kept = kept_below(&root(&site, &deed.name()));
        assert_holds_topic(&kept, &cluster, &site.topic("trade")).await;
    }
    let sent = exchange.trades();
    assert_landed(&site.path().join("data"), &sent).await;
    assert_topic(&cluster, &site, &sent, "avro").await;
}

/// Each record of the topic is kept once and in order. Offsets have holes there, where transactions
/// end.
async fn assert_holds_topic(kept: &Kept, cluster: &Cluster, topic: &str) {
    let mut due: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for record in read_topic(cluster, topic, "bytes").await {
        due.entry(record.partition).or_default().push(record.offset);
    }
    let mut found: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for ((_, partition), records) in &kept.partitions {
        let offsets = records.iter().map(|record| record.offset);
        found.insert(*partition, offsets.collect());
    }
    let count = |of: &BTreeMap<i32, Vec<i64>>| of.values().map(Vec::len).sum::<usize>();
    let (kept, all) = (count(&found), count(&due));
    assert!(found == due, "{topic}: {kept} kept, {all} in the topic");
}

/// Written into a component, as `describe` is given no settings, and a word of the refusal.
const STRANGERS: [(&str, &str); 2] = [
    ("saves-anew", "saved state of versions 2 to 2"),
    ("stages-anew", "staged pieces of versions 2 to 2"),
];

/// A copy of a hostile component that does this in `describe`.
fn engraved(of: &str, into: &Path, deed: &str) -> PathBuf {
    const MARK: &[u8] = b"engraved-deed:";
    let mut bytes = std::fs::read(Artifacts::get().plugin(of)).unwrap();
    let at = bytes.windows(MARK.len()).position(|it| it == MARK);
    let from = at.unwrap() + MARK.len();
    bytes[from..from + deed.len()].copy_from_slice(deed.as_bytes());
    let path = into.join(format!("{of}-{deed}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Nothing is tried, and what runs is not touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_can_not_read_what_the_running_one_left_is_refused() {
    let exchange = exchange(Speed::PerSecond(500.0), |_| {}).await;
    let mut site = site(&exchange).await;
    site.set("/pipelines/trades", Value::Null);
    add_source(&mut site, &exchange, "decent", "hostile");
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    for (connector, of) in [
        ("decent-source", "hostile"),
        ("decent-kept", "hostile-sink"),
    ] {
        let status = format!("/status/{connector}");
        let at_work = |now: &Value| now["records"].as_u64() > Some(0);
        let before = admin.until(connector, &status, at_work).await;
        for (deed, word) in STRANGERS {
            let file = engraved(of, site.path(), deed);
            let args = [connector, file.to_str().unwrap()];
            admin.expect(&site, &args, 24, word).await;
        }
        let after = admin.get(&status).await;
        assert_eq!(before["plugin"], after["plugin"]);
        let swaps = admin.get(&format!("/connectors/{connector}/swaps")).await;
        assert_eq!(swaps, json!([]));
    }
    end(admin).await;
}
