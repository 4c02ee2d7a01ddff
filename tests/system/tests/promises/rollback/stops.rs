//! A source that plans or opens, which may take minutes each, hears that it is to rest or to end.

use std::time::Duration;

use jackfield_exchange::Speed;
use jackfield_system_tests::PATIENCE;
use jackfield_test_lakes::{Fault, Front};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::site;
use crate::admin::Admin;
use crate::exchange;

/// Less than the two minutes that a plan and an `open` may take, and enough for everything else.
const SOON: Duration = Duration::from_secs(60);
/// Between two looks at what was asked.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// `replan`: a plan that asks first.
const CALLS: [&str; 2] = ["replan", "open"];

/// Sleeps in this call once it has asked, at a path of the same name.
fn sleeping(call: &str, front: &Front) -> Value {
    let ask = format!("{}/{call}", front.url());
    json!({
        "source": {
            "plugin": "hostile",
            "settings": { "in": call, "do": "sleep", "ask": ask },
            "allow": { "http": [front.url()] }
        },
        "topics": { "only": { "name": call } }
    })
}

/// Waits until each of the calls was begun so many times.
async fn until_begun(front: &Front, times: usize) {
    let begun = |call: &str| {
        let path = format!("/{call}");
        front.seen().iter().filter(|it| it.path == path).count()
    };
    let all = async {
        while CALLS.into_iter().any(|call| begun(call) < times) {
            sleep(LOOK_EVERY).await;
        }
    };
    let all = timeout(PATIENCE, all).await;
    all.unwrap_or_else(|_| panic!("never begun {times} times: {:?}", front.seen()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_plans_or_opens_hears_that_it_is_to_rest_or_to_end() {
    let exchange = exchange(Speed::PerSecond(50.0), |_| {}).await;
    let mut site = site(&exchange).await;
    let front = Front::before(exchange.rest_url()).await;
    front.decide(|_| Some(Fault::Status(503, String::new())));
    site.set("/pipelines", json!({}));
    for call in CALLS {
        site.set(&format!("/pipelines/{call}"), sleeping(call, &front));
    }
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    until_begun(&front, 1).await;
    for call in CALLS {
        let connector = format!("/connectors/{call}-source");
        let began = Instant::now();
        admin.put(&format!("{connector}/pause")).await;
        let rests = |now: &Value| now["connector"]["state"] == "PAUSED";
        let status = format!("{connector}/status");
        admin.until("it rests", &status, rests).await;
        assert!(began.elapsed() < SOON, "{call}: {:?}", began.elapsed());
        admin.put(&format!("{connector}/resume")).await;
    }
    until_begun(&front, 2).await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait_within(SOON).await, 0);
}
