//! A source of several slots and a sink of several tasks change as a whole, and go back as a whole,
//! where one part alone fails.

use std::collections::BTreeMap;

use jackfield_exchange::Running;
use jackfield_system_tests::{Site, kept_below};
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::rollback::{end, keeping, long_exchange, numbered, root, site};

/// Records before something is asked, and again after it is done.
const RECORDS_MIN: u64 = 300;

/// A site of one pipeline: the hostile source, and a sink that keeps what it makes.
async fn site_of(exchange: &Running, settings: &Value, slots: u32, partitions: usize) -> Site {
    let mut site = site(exchange).await;
    let pipeline = json!({
        "source": {
            "plugin": "hostile",
            "slots": slots,
            "settings": settings,
            "allow": { "websocket": [exchange.ws_url()] }
        },
        "topics": { "only": { "name": "many", "partitions": partitions } },
        "sinks": { "kept": keeping("only", &root(&site, "many")) }
    });
    site.set("/pipelines", json!({ "many": pipeline }));
    site
}

/// The settings with others over them.
pub(crate) fn with(settings: &Value, others: Value) -> Value {
    let mut all = settings.clone();
    let Value::Object(others) = others else {
        panic!("{others} is no object");
    };
    all.as_object_mut().unwrap().extend(others);
    all
}

/// Waits for so many more records of a source, or rows that a sink makes visible.
pub(crate) async fn go_on(admin: &Admin, connector: &str) {
    let status = format!("/status/{connector}");
    let is_source = connector.ends_with("-source");
    let figure = if is_source { "records" } else { "committed" };
    let records = |now: &Value| now[figure].as_u64().unwrap_or_default();
    let at = records(&admin.get(&status).await);
    let enough = |now: &Value| records(now) >= at + RECORDS_MIN;
    admin.until(connector, &status, enough).await;
}

/// Swaps a connector to these settings, and lets it go on.
pub(crate) async fn swap(
    (admin, site): (&Admin, &Site),
    connector: &str,
    settings: &Value,
    probation: &str,
    (code, word): (i32, &str),
) {
    let file = site.path().join(format!("{connector}.json"));
    std::fs::write(&file, settings.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let args = [connector, "--settings", file, "--probation", probation];
    admin.expect(site, &args, code, word).await;
    go_on(admin, connector).await;
}

const KEPT: (i32, &str) = (0, "took over");

/// The versions that numbered, in turn.
fn turns(marks: &[String]) -> Vec<&str> {
    let mut turns: Vec<&str> = Vec::new();
    for mark in marks {
        if turns.last() != Some(&mark.as_str()) {
            turns.push(mark);
        }
    }
    turns
}

/// Every name went through these versions; one that failed at once may have left nothing.
fn assert_turns(marks: &BTreeMap<String, Vec<String>>, stayed: &[&str]) {
    for (name, marks) in marks {
        let mut turns = turns(marks);
        turns.retain(|it| stayed.contains(it));
        turns.dedup();
        assert_eq!(turns, stayed, "{name}");
    }
}

/// The slots keep their connections, and every event of each is there once, whichever of them it is
/// that fails.
#[tokio::test(flavor = "multi_thread")]
async fn all_slots_change_together_and_go_back_together() {
    let exchange = long_exchange().await;
    let good = json!({
        "take": true,
        "slots": 3,
        "mark": "a",
        "url": format!("{}/ws/btcusdt@trade", exchange.ws_url())
    });
    let site = site_of(&exchange, &good, 3, 1).await;
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let (connector, at) = ("many-source", (&admin, &site));
    go_on(&admin, connector).await;
    let b = with(&good, json!({ "mark": "b" }));
    swap(at, connector, &b, "1s", KEPT).await;
    // One slot can't open it: the two that could have it go back at once.
    let c = json!({ "mark": "c", "in": "open", "do": "panic", "who": "s2" });
    swap(at, connector, &with(&good, c), "8s", (27, "as told")).await;
    // One slot loses what it has in hand.
    let d = json!({ "mark": "d", "in": "poll", "do": "late-panic", "who": "s1" });
    let taken_back = (4, "with events in hand");
    swap(at, connector, &with(&good, d), "5m", taken_back).await;
    let e = with(&good, json!({ "mark": "e" }));
    swap(at, connector, &e, "1s", KEPT).await;
    let connections = exchange.status().connections;
    assert_eq!(connections, 3, "one a slot, kept over it all");
    end(admin).await;
    let kept = kept_below(&root(&site, "many"));
    assert_eq!(kept.fault(|_| false), None);
    let marks = numbered(&kept);
    assert_eq!(marks.len(), 3, "{:?}", marks.keys());
    assert_turns(&marks, &["a", "b", "e"]);
}

/// Lines move from three slots to two, to four that fail, to one that is silent, and back to two each
/// time: each number of each line is there once.
#[tokio::test(flavor = "multi_thread")]
async fn another_split_of_the_work_goes_on_where_each_line_stands_and_goes_back() {
    const LINES: usize = 6;
    let exchange = long_exchange().await;
    let good = json!({ "lines": LINES, "slots": 3, "pause-ms": 5, "mark": "a" });
    let site = site_of(&exchange, &good, 4, 1).await;
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let (connector, at) = ("many-source", (&admin, &site));
    go_on(&admin, connector).await;
    let b = with(&good, json!({ "slots": 2, "mark": "b" }));
    swap(at, connector, &b, "1s", KEPT).await;
    let c = json!({ "slots": 4, "mark": "c", "in": "poll", "do": "late-panic", "who": "s3" });
    let taken_back = (4, "with records in hand");
    swap(at, connector, &with(&good, c), "5m", taken_back).await;
    let d = json!({ "slots": 1, "mark": "d", "in": "poll", "do": "silent" });
    swap(at, connector, &with(&good, d), "6s", (4, "silent")).await;
    let more = json!({ "slots": 5, "mark": "e" });
    // More slots than the pipeline allows.
    swap(at, connector, &with(&good, more), "1s", (27, "larger than")).await;
    let swaps = admin.get("/connectors/many-source/swaps").await;
    assert_eq!(swaps.as_array().map(Vec::len), Some(3), "{swaps}");
    for swap in swaps.as_array().unwrap() {
        assert_eq!(swap["pause_us"], Value::Null, "nobody has measured it");
    }
    let shown = [connector, "--history"];
    admin.expect(&site, &shown, 0, "silent").await;
    end(admin).await;
    let kept = kept_below(&root(&site, "many"));
    assert_eq!(kept.fault(|_| false), None);
    let marks = numbered(&kept);
    assert_eq!(marks.len(), LINES, "{:?}", marks.keys());
    assert_turns(&marks, &["a", "b"]);
    for (line, marks) in &marks {
        assert_eq!(marks.last().unwrap(), "b", "{line}");
    }
}

/// The same of a sink, whose tasks share four partitions: every offset of each is there once.
#[tokio::test(flavor = "multi_thread")]
async fn all_tasks_change_together_and_go_back_together() {
    const PARTITIONS: usize = 4;
    let exchange = long_exchange().await;
    // Records without a key: each partition gets some.
    let lines = json!({ "lines": 2, "pause-ms": 5 });
    let mut site = site_of(&exchange, &lines, 1, PARTITIONS).await;
    site.set("/pipelines/many/sinks/kept/tasks", json!(3));
    let good = keeping("only", &root(&site, "many"))["settings"].clone();
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    let connector = "many-kept";
    go_on(&admin, connector).await;
    let saving = with(&good, json!({ "saves": true }));
    swap((&admin, &site), connector, &saving, "1s", KEPT).await;
    let second = with(&saving, json!({ "mark": "second" }));
    swap((&admin, &site), connector, &second, "1s", KEPT).await;
    for who in ["task-0", "task-1", "task-2", "committer"] {
        let text = format!("{who} was handed over 1 times");
        admin.jackfield.line(&text).await;
    }
    let at = (&admin, &site);
    let unopened = json!({ "in": "open", "do": "panic", "who": "task-2" });
    let refused = with(&saving, unopened);
    swap(at, connector, &refused, "8s", (27, "as told")).await;
    for (call, deed, who) in [
        ("put", "late-panic", "task-1"),
        ("stage", "late-panic", "task-2"),
        ("commit", "late-panic", "committer"),
    ] {
        let bad = with(&saving, json!({ "in": call, "do": deed, "who": who }));
        swap(at, connector, &bad, "5m", (4, "as told")).await;
    }
    end(admin).await;
    let kept = kept_below(&root(&site, "many"));
    assert_eq!(kept.fault(|_| false), None);
    assert_eq!(kept.partitions.len(), PARTITIONS);
}
