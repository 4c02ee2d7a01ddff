//! What runs goes on, whatever the version that is to replace it does before it takes over; and what
//! runs can be replaced, whatever it does itself.

use std::path::Path;

use jackfield_exchange::Running;
use jackfield_system_tests::{Site, kept_below};
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::rollback::{end, keeping, long_exchange, root, site};

/// Records before something is asked, and again while or after it is done.
const RECORDS_MIN: u64 = 200;

fn figure(status: &Value, name: &str) -> u64 {
    status[name].as_u64().unwrap_or_default()
}

async fn at_work(admin: &Admin, connector: &str, figure_of: &str, from: u64) {
    let status = format!("/status/{connector}");
    let enough = |now: &Value| figure(now, figure_of) >= from + RECORDS_MIN;
    admin.until(connector, &status, enough).await;
}

/// A new version of a sink that never comes back from `open`: the one that runs commits on, another
/// swap is told to wait, and what was given up does not happen afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_commits_on_while_another_version_does_not_come_to_be() {
    let exchange = long_exchange().await;
    let mut site = site(&exchange).await;
    let root = root(&site, "kept");
    let sink = keeping("trade", &root);
    let good = sink["settings"].clone();
    site.set("/pipelines/trades/sinks", json!({ "kept": sink }));
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let connector = "trades-kept";
    at_work(&admin, connector, "committed", 0).await;
    let settings = |name: &str, deed: Value| {
        let mut all = good.clone();
        all.as_object_mut()
            .unwrap()
            .extend(deed.as_object().unwrap().clone());
        let file = site.path().join(name);
        std::fs::write(&file, all.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let sleeper = settings("sleeper.json", json!({ "in": "open", "do": "sleep" }));
    let other = settings("other.json", json!({ "every": 7 }));
    let status = format!("/status/{connector}");
    let before = figure(&admin.get(&status).await, "committed");
    let meanwhile = async {
        // It is being prepared for as long as this one is not answered.
        at_work(&admin, connector, "committed", before).await;
        let args = [connector, "--settings", &other];
        admin.expect(&site, &args, 11, "being made").await;
    };
    let args = [connector, "--settings", &sleeper];
    {
        let mut given_up = std::pin::pin!(admin.expect(&site, &args, 15, "preparing"));
        tokio::select! {
            () = &mut given_up => panic!("it was answered before anything was committed"),
            () = meanwhile => {}
        }
        given_up.await;
    }
    let path = format!("/connectors/{connector}/swaps");
    let then = figure(&admin.get(&status).await, "committed");
    at_work(&admin, connector, "committed", then).await;
    assert_eq!(admin.get(&path).await, json!([]), "nothing was swapped");
    end(admin).await;
    assert_eq!(kept_below(&root).fault(|_| false), None);
}

/// Takes every event of the exchange.
fn taking(exchange: &Running) -> Value {
    let ws = exchange.ws_url();
    json!({ "take": true, "url": format!("{ws}/ws/btcusdt@trade/ethusdt@trade") })
}

/// Its only pipeline: the hostile source, and a sink that keeps the number of each event.
fn only_events(site: &mut Site, exchange: &Running, settings: &Value, root: &Path) {
    let pipeline = json!({
        "source": {
            "plugin": "hostile",
            "settings": settings,
            "allow": { "websocket": [exchange.ws_url()] }
        },
        "topics": { "only": { "name": "events" } },
        "sinks": { "kept": keeping("only", root) }
    });
    site.set("/pipelines", json!({ "events": pipeline }));
}

fn assert_each_event_once(root: &Path) {
    let kept = kept_below(root);
    assert_eq!(kept.fault(|_| false), None);
    for (due, value) in (1..).zip(kept.values()) {
        let number: u64 = std::str::from_utf8(value).unwrap().parse().unwrap();
        assert_eq!(number, due, "each event once, in order");
    }
}

/// A new version of a source that never comes back from `open`: the one that runs has come to rest
/// for it, and goes on long before the call's own deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_goes_on_when_another_version_does_not_open() {
    let exchange = long_exchange().await;
    let mut site = site(&exchange).await;
    let (good, root) = (taking(&exchange), root(&site, "kept"));
    only_events(&mut site, &exchange, &good, &root);
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let connector = "events-source";
    at_work(&admin, connector, "records", 0).await;
    for deed in ["sleep", "loop"] {
        let mut stuck = good.clone();
        stuck["in"] = json!("open");
        stuck["do"] = json!(deed);
        let file = site.path().join("stuck.json");
        std::fs::write(&file, stuck.to_string()).unwrap();
        let args = [connector, "--settings", file.to_str().unwrap()];
        let why = "open: it took longer than 10 s while nothing was taken";
        admin.expect(&site, &args, 27, why).await;
        let then = figure(&admin.get("/status/events-source").await, "records");
        at_work(&admin, connector, "records", then).await;
    }
    let swaps = admin.get("/connectors/events-source/swaps").await;
    assert_eq!(swaps, json!([]), "nothing was swapped");
    assert_eq!(exchange.status().connections, 1, "kept over it all");
    end(admin).await;
    assert_each_event_once(&root);
}

/// A source that dies when it is asked for its state is replaced without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_can_not_save_is_replaced_all_the_same() {
    let exchange = long_exchange().await;
    let mut site = site(&exchange).await;
    let good = taking(&exchange);
    let mut running = good.clone();
    running["in"] = json!("save");
    running["do"] = json!("panic");
    let root = root(&site, "kept");
    only_events(&mut site, &exchange, &running, &root);
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let connector = "events-source";
    at_work(&admin, connector, "records", 0).await;
    let settings = site.path().join("good.json");
    std::fs::write(&settings, good.to_string()).unwrap();
    let file = settings.to_str().unwrap();
    let args = [connector, "--settings", file, "--probation", "1s"];
    admin.expect(&site, &args, 0, "took over").await;
    let then = figure(&admin.get("/status/events-source").await, "records");
    at_work(&admin, connector, "records", then).await;
    end(admin).await;
    assert_each_event_once(&root);
}
