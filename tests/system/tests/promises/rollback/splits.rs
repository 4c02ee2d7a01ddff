//! New versions that split a source's work in another way, where more than one slot fails: none of
//! them stands in the way of the plan that comes next.

use futures::{StreamExt, stream};
use jackfield_exchange::Speed;
use jackfield_system_tests::{Site, kept_below};
use serde_json::{Value, json};

use super::{Deed, SWAPS_AT_ONCE, deed, end, keeping, numbered, root, site, try_settings};
use crate::admin::{Admin, changed_copy};
use crate::exchange;
use crate::swap_many::{swap, with};

/// Lines that each source numbers, of which each slot has some.
const LINES: usize = 6;
/// Slots of the good version.
const SLOTS: u32 = 3;
/// Slots of the version that is to take over.
const OTHER_SLOTS: u32 = 2;

/// Done by both slots of a version on probation, of which the first one's end ends the other.
const DEEDS: [Deed; 3] = [
    deed("open", "panic", "as told"),
    deed("open", "panic-in-turn", "as told"),
    deed("poll", "panic-in-turn", "as told"),
];

fn good() -> Value {
    json!({ "lines": LINES, "slots": SLOTS, "pause-ms": 5, "mark": "good" })
}

/// A pipeline of a source with these settings, and a sink that keeps what it makes.
fn add(site: &mut Site, name: &str, settings: &Value) {
    let pipeline = json!({
        "source": { "plugin": "hostile", "slots": SLOTS, "settings": settings },
        "topics": { "only": { "name": site.topic(name) } },
        "sinks": { "kept": keeping("only", &root(site, name)) }
    });
    site.set(&format!("/pipelines/{name}"), pipeline);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_split_that_fails_in_two_slots_is_taken_back() {
    let exchange = exchange(Speed::PerSecond(50.0), |_| {}).await;
    let mut site = site(&exchange).await;
    site.set("/pipelines/trades", Value::Null);
    // A slot waits in its poll for the other one.
    site.set("/plugins/hostile/call-time", Value::Null);
    for deed in &DEEDS {
        add(&mut site, &deed.name(), &good());
    }
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let other = changed_copy("hostile", site.path(), "other").await;
    let swaps = stream::iter(&DEEDS).for_each_concurrent(SWAPS_AT_ONCE, async |deed| {
        let connector = format!("{}-source", deed.name());
        let good = good();
        let split = json!({ "slots": OTHER_SLOTS, "mark": "bad" });
        let bad = with(&deed.settings(&good), split);
        try_settings(&admin, &site, &connector, (&good, &bad), &other, deed).await;
    });
    swaps.await;
    end(admin).await;
    for deed in &DEEDS {
        let kept = kept_below(&root(&site, &deed.name()));
        assert_eq!(kept.fault(|_| false), None, "{}", deed.name());
        let marks = numbered(&kept);
        assert_eq!(marks.len(), LINES, "{}", deed.name());
        for marks in marks.values() {
            assert!(marks.iter().all(|it| it == "good"), "{}", deed.name());
        }
    }
}

/// Its slots are to end for the split of the next version, and die of it: none begins another life.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_dies_on_its_way_out_makes_room_for_another_split() {
    let exchange = exchange(Speed::PerSecond(50.0), |_| {}).await;
    let mut site = site(&exchange).await;
    site.set("/pipelines/trades", Value::Null);
    let dies = with(&good(), json!({ "in": "close", "do": "panic" }));
    add(&mut site, "leaving", &dies);
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let connector = "leaving-source";
    let some = |now: &Value| now["records"].as_u64() > Some(100);
    let status = format!("/status/{connector}");
    admin.until("it runs", &status, some).await;
    let next = with(&good(), json!({ "slots": OTHER_SLOTS, "mark": "next" }));
    let kept = (0, "took over");
    swap((&admin, &site), connector, &next, "1s", kept).await;
    end(admin).await;
    let kept = kept_below(&root(&site, "leaving"));
    assert_eq!(kept.fault(|_| false), None);
    let marks = numbered(&kept);
    assert_eq!(marks.len(), LINES);
    for (line, marks) in &marks {
        assert_eq!(marks.first().unwrap(), "good", "{line}");
        assert_eq!(marks.last().unwrap(), "next", "{line}");
    }
}
