//! Components that misbehave beside one that does not, all in one process.

use std::collections::BTreeMap;
use std::time::Duration;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Jackfield, PATIENCE, Site, http, metric, output};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{assert_landed, exchange};

/// How long one is tried again: long enough for waits that grow between lives that a busy machine
/// makes slow.
const PATIENCE_OF_EACH: &str = "6s";
/// With waits that grow from 100 ms there is no time for more within that.
const RESTARTS_MAX: f64 = 20.0;
/// The longest of the first waits, ms; each may be twice as long as the one before.
const FIRST_WAIT_MS: u64 = 100;

/// Between two looks at the states.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Connectors that misbehave from the first call on, so that they wait longer and longer.
const RESTARTED: [&str; 4] = [
    "poll-panic-source",
    "open-panic-source",
    "put-panic-sink",
    "assigned-panic-sink",
];

/// The exported function, what it does there, and a word of the reason that its connector then
/// shows. What never returns does so where an operator can allow it less time.
const DEEDS: [(&str, &str, &str); 10] = [
    ("poll", "malformed", "malformed"),
    ("poll", "oversized", "bytes"),
    ("poll", "unknown-version", "version"),
    ("poll", "panic", "as told"),
    ("poll", "loop", "did not return within"),
    ("poll", "sleep", "did not return within"),
    ("poll", "eat", "memory"),
    ("poll", "giant-list", "bytes"),
    ("plan", "panic", "as told"),
    ("open", "panic", "as told"),
];

/// Of sources whose every life takes something durable before, so that they never give up.
const LASTING_DEEDS: [(&str, &str, &str); 3] = [
    ("settled", "panic", "as told"),
    ("save", "panic", "as told"),
    ("save", "loop", "did not return within"),
];

/// The same of sinks as of sources.
const SINK_DEEDS: [(&str, &str, &str); 10] = [
    ("assigned", "panic", "as told"),
    ("put", "panic", "as told"),
    ("put", "loop", "did not return within"),
    ("put", "eat", "memory"),
    ("put", "rejects-unknown", "rejected record"),
    ("stage", "forged-list", "larger than"),
    ("stage", "unknown-version", "version 99"),
    ("commit", "broken", "as told"),
    ("commit", "absurd-rows", "malformed"),
    ("stored", "panic", "as told"),
];

/// The entry of `plugins` that a deed runs under: only what never returns is to run out of time, for
/// eating its memory takes a busy machine a while.
fn plugin(kind: &str, deed: &str) -> String {
    let endless = matches!(deed, "loop" | "sleep");
    let hurry = if endless { "hurried" } else { "patient" };
    format!("{kind}-{hurry}")
}

/// A pipeline that only reads what the good one writes.
fn evil_sink(call: &str, deed: &str) -> Value {
    json!({
        "retry": { "deadline": PATIENCE_OF_EACH },
        "sinks": { "sink": {
            "plugin": plugin("hostile-sink", deed),
            "topics": ["binance.spot.trade"],
            "commit": { "every": "200ms" },
            "settings": { "in": call, "do": deed },
            "allow": { "lake": "local" }
        } }
    })
}

fn evil(call: &str, deed: &str) -> Value {
    json!({
        "retry": { "deadline": PATIENCE_OF_EACH },
        "source": { "plugin": plugin("hostile", deed), "settings": { "in": call, "do": deed } },
        "topics": { "only": { "name": format!("evil.{call}-{deed}") } }
    })
}

/// One that takes the trades of an exchange, and so has positions that become durable.
fn listening(call: &str, deed: &str, exchange: &str) -> Value {
    let url = format!("{exchange}/ws/btcusdt@trade");
    json!({
        "source": {
            "plugin": "hostile-patient",
            "settings": { "in": call, "do": deed, "take": true, "url": url },
            "allow": { "websocket": [exchange] }
        },
        "topics": { "only": { "name": format!("evil.{call}-{deed}") } }
    })
}

/// State and reason of each connector.
async fn states(url: &str) -> BTreeMap<String, (String, String)> {
    let response = http().get(format!("{url}/readyz")).send().await.unwrap();
    let states: Value = response.json().await.unwrap();
    let connectors = states["connectors"].as_array().unwrap().iter();
    connectors
        .map(|it| {
            let text = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
            (text("connector"), (text("state"), text("trace")))
        })
        .collect()
}

/// Has a source that runs asked for what it would save: it dies of it, which whoever asked is told.
async fn ask_to_save(url: &str, site: &Site, connector: &str) {
    let begin = Instant::now();
    while states(url).await[connector].0 != "RUNNING" {
        assert!(begin.elapsed() < PATIENCE, "{connector} never runs");
        sleep(LOOK_EVERY).await;
    }
    let file = site.file();
    let out = site.path().join(format!("{connector}.jfrc"));
    let address = url.trim_start_matches("http://");
    let args = [
        "record",
        connector,
        "--for",
        "1s",
        "--out",
        out.to_str().unwrap(),
        "--config",
        file.to_str().unwrap(),
        "--address",
        address,
    ];
    let output = output(&args).await;
    assert_eq!(output.status.code(), Some(15), "not-at-rest: {output:?}");
}

/// The lines in which a connector said that it begins anew.
fn restarts<'a>(log: &'a [Value], connector: &str) -> Vec<&'a Value> {
    let of = log.iter().filter(|line| line["connector"] == connector);
    of.filter(|line| {
        let message = line["message"].as_str();
        message.is_some_and(|it| it.contains("restarts from what"))
    })
    .collect()
}

/// Each wait may be twice as long as the one before, and is at least a quarter of that.
fn assert_waits_grow(log: &[Value]) {
    let mut waited_max = 0;
    for connector in RESTARTED {
        let mut ceiling = FIRST_WAIT_MS;
        let waits = restarts(log, connector);
        assert!(!waits.is_empty(), "{connector} never began anew");
        for line in waits {
            let wait = line["wait_ms"].as_u64().unwrap();
            assert!((ceiling / 4..=ceiling).contains(&wait), "{line}");
            waited_max = waited_max.max(wait);
            ceiling *= 2;
        }
    }
    assert!(
        waited_max >= 2 * FIRST_WAIT_MS,
        "none grew: {waited_max} ms"
    );
}

/// Each that misbehaves ends FAILED with its reason, or goes on where it gets on; the neighbour lands
/// every trade once.
#[tokio::test(flavor = "multi_thread")]
async fn what_misbehaves_fails_by_itself_and_its_neighbour_lands_everything() {
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    for name in ["hostile", "hostile-sink"] {
        let file = Artifacts::get().plugin(name);
        for (hurry, call_time) in [("patient", "10s"), ("hurried", "300ms")] {
            let plugin = json!({ "file": file, "memory": "32MiB", "call-time": call_time });
            site.set(&format!("/plugins/{name}-{hurry}"), plugin);
        }
    }
    let mut expected = Vec::new();
    for (call, deed, word) in DEEDS {
        let name = format!("{call}-{deed}");
        site.set(&format!("/pipelines/{name}"), evil(call, deed));
        expected.push((format!("{name}-source"), word));
    }
    for (call, deed, _) in LASTING_DEEDS {
        let pipeline = listening(call, deed, &exchange.ws_url());
        site.set(&format!("/pipelines/{call}-{deed}"), pipeline);
    }
    for (call, deed, word) in SINK_DEEDS {
        let name = format!("{call}-{deed}");
        site.set(&format!("/pipelines/{name}"), evil_sink(call, deed));
        expected.push((format!("{name}-sink"), word));
    }
    // While it goes on the process does not end, however late the last one fails.
    let endless = json!({
        "source": { "plugin": "hostile-patient", "settings": { "pause-ms": 10 } },
        "topics": { "only": { "name": "endless" } }
    });
    site.set("/pipelines/endless", endless);
    let mut jackfield = Jackfield::run(&site, &["--until-idle", "4s"]);
    let url = jackfield.admin().await;
    let failing = async {
        loop {
            let states = states(&url).await;
            let failed = states.values().filter(|(state, _)| state == "FAILED");
            if failed.count() == expected.len() {
                return states;
            }
            assert!(jackfield.is_running(), "it ended before all had failed");
            sleep(LOOK_EVERY).await;
        }
    };
    let (states, (), ()) = tokio::join!(
        failing,
        ask_to_save(&url, &site, "save-panic-source"),
        ask_to_save(&url, &site, "save-loop-source"),
    );
    let unnamed: Vec<_> = expected
        .iter()
        .map(|(connector, word)| (word, &states[connector].1))
        .filter(|(word, trace)| !trace.contains(**word))
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    for connector in ["trades-source", "trades-lake"] {
        assert_eq!(states[connector].0, "RUNNING");
    }
    let metrics = http().get(format!("{url}/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for connector in RESTARTED {
        let restarts = metric(&metrics, "jackfield_restarts_total", connector);
        assert!(
            (1.0..=RESTARTS_MAX).contains(&restarts),
            "{connector} was restarted {restarts} times in {PATIENCE_OF_EACH}"
        );
    }
    site.set("/pipelines/endless", Value::Null);
    assert_eq!(jackfield.wait().await, 1, "connectors FAILED");
    let log = jackfield.log();
    let log: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_waits_grow(&log);
    for (call, deed, word) in LASTING_DEEDS {
        let connector = format!("{call}-{deed}-source");
        let restarts = restarts(&log, &connector);
        assert!(!restarts.is_empty(), "{connector} never died");
        for line in restarts {
            let reason = line["failed"].as_str().unwrap();
            let told = reason.starts_with(&format!("{call}: ")) && reason.contains(word);
            assert!(told, "{line}");
        }
        let mut ended = log.iter().filter(|line| line["connector"] == *connector);
        let drained = ended.any(|line| line["message"] == "drained");
        assert!(drained, "{connector} did not go on to its end");
    }
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}
