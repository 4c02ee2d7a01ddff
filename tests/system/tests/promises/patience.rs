//! What never gets on is not waited for without end: a stage that never works, a state that is never
//! read, a plan that is never made.

use std::time::Duration;

use futures::future::select_all;
use jackfield_exchange::Speed;
use jackfield_system_tests::Artifacts;
use jackfield_test_lakes::{Fault, Front};
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::exchange;
use crate::rollback::{end, keeping, root, site};
use crate::swap_many::{go_on, swap, with};

/// Less than the two minutes that a plan and an `open` may take, and enough for everything else.
const SOON: Duration = Duration::from_secs(60);

/// The connector as `/readyz` has it.
fn of<'a>(ready: &'a Value, connector: &str) -> Option<&'a Value> {
    let mut all = ready["connectors"].as_array()?.iter();
    all.find(|it| it["connector"] == connector)
}

/// Each `put` succeeds meanwhile: it only gathers what is to be posted.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_whose_stage_never_works_fails_though_its_puts_do() {
    let exchange = exchange(Speed::PerSecond(50.0), |_| {}).await;
    let mut site = site(&exchange).await;
    let front = Front::before(exchange.rest_url()).await;
    front.decide(|_| Some(Fault::Status(503, String::new())));
    site.set("/plugins/post", json!(Artifacts::get().plugin("post-sink")));
    let pipeline = json!({
        "delivery": "at-least-once",
        "retry": { "deadline": "3s" },
        "source": { "plugin": "hostile", "settings": { "lines": 2, "pause-ms": 5 } },
        "topics": { "only": { "name": "gathered" } },
        "sinks": { "post": {
            "plugin": "post",
            "topics": ["only"],
            "commit": { "every": "200ms" },
            "settings": { "url": front.url() },
            "allow": { "http": [front.url()] }
        } }
    });
    site.set("/pipelines", json!({ "gathered": pipeline }));
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let connector = "gathered-post";
    let failed = |now: &Value| of(now, connector).is_some_and(|it| it["state"] == "FAILED");
    let ready = admin.until("it fails", "/readyz", failed).await;
    assert_eq!(ready["ready"], false);
    let trace = of(&ready, connector).unwrap()["trace"].as_str().unwrap();
    let told = trace.starts_with("stage: ") && trace.contains("503") && trace.contains("gave up");
    assert!(told, "{trace}");
    assert_eq!(of(&ready, "gathered-source").unwrap()["state"], "RUNNING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sinks_pause_is_not_as_long_as_its_next_version_takes_to_read_a_state() {
    let exchange = exchange(Speed::PerSecond(50.0), |o| o.laps = 20).await;
    let mut site = site(&exchange).await;
    let mut sink = keeping("trade", &root(&site, "kept"));
    sink["settings"]["saves"] = json!(true);
    let good = sink["settings"].clone();
    site.set("/pipelines/trades/sinks", json!({ "kept": sink }));
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    let connector = "trades-kept";
    go_on(&admin, connector).await;
    let sleeps = json!({ "in": "handed", "do": "sleep", "who": "task-0" });
    let (next, took_over) = (with(&good, sleeps), (0, "took over"));
    swap((&admin, &site), connector, &next, "1s", took_over).await;
    admin.jackfield.line("goes on without saved state").await;
    let swaps = admin.get(&format!("/connectors/{connector}/swaps")).await;
    let pause = Duration::from_micros(swaps[0]["pause_us"].as_u64().unwrap());
    assert!(pause < SOON, "{swaps}");
    end(admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_not_held_by_the_plan_of_its_next_version() {
    let exchange = exchange(Speed::PerSecond(50.0), |_| {}).await;
    let mut site = site(&exchange).await;
    let good = json!({ "lines": 3, "pause-ms": 5 });
    let pipeline = json!({
        "source": { "plugin": "hostile", "settings": good },
        "topics": { "only": { "name": "planned" } }
    });
    site.set("/pipelines", json!({ "planned": pipeline }));
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    let connector = "planned-source";
    go_on(&admin, connector).await;
    let file = site.path().join("sleeps.json");
    let sleeps = with(&good, json!({ "in": "plan", "do": "sleep" }));
    std::fs::write(&file, sleeps.to_string()).unwrap();
    let args = [connector, "--settings", file.to_str().unwrap()];
    // Whichever comes second is told of the first, which is being prepared then.
    let orders = [(); 2].map(|()| Box::pin(admin.command(&site, &args)));
    let (refused, _, mut others) = select_all(orders).await;
    assert_eq!(refused.status.code(), Some(11), "busy: {refused:?}");
    admin.jackfield.terminate().await;
    let given_up = others.remove(0).await;
    // It has ended meanwhile; or the process was gone before it could say so.
    let code = given_up.status.code();
    assert!(matches!(code, Some(5 | 15)), "{given_up:?}");
    drop(others);
    assert_eq!(admin.jackfield.wait_within(SOON).await, 0);
}
