//! A sink hears that it is to stop whatever its targets do, and says what it could not finish.

mod halves;

use std::time::Duration;

use jackfield_exchange::Speed;
use jackfield_system_tests::Site;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::exchange;
use crate::rollback::{keeping, root, site};
use crate::swap_many::with;

/// Much less than the quarter of an hour that the component asks to wait.
const SOON: Duration = Duration::from_secs(60);
/// Records that are put before a stop.
const RECORDS_MIN: u64 = 10;

/// A source that goes on and on, and a sink that does this from the beginning.
async fn site_of(pipeline: &str, call: &str, deed: &str) -> Site {
    let exchange = exchange(Speed::PerSecond(50.0), |_| {}).await;
    let mut site = site(&exchange).await;
    let mut sink = keeping("only", &root(&site, pipeline));
    sink["settings"] = with(&sink["settings"], json!({ "in": call, "do": deed }));
    let connectors = json!({
        "source": { "plugin": "hostile", "settings": { "lines": 2, "pause-ms": 5 } },
        "topics": { "only": { "name": pipeline } },
        "sinks": { "kept": sink }
    });
    site.set("/pipelines", json!({ pipeline: connectors }));
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_whose_catalog_is_away_at_its_start_says_so_and_hears_a_stop() {
    let site = site_of("away", "stored", "retry-for-ever").await;
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    let status = "/status/away-kept";
    let tries = |now: &Value| {
        let now = &now["connector"];
        let trace = now["trace"].as_str().unwrap_or_default();
        now["state"] == "RESTARTING" && trace.contains("stored: as told")
    };
    admin.until("it says why", status, tries).await;
    admin.put("/connectors/away-kept/pause").await;
    let paused = |now: &Value| now["connector"]["state"] == "PAUSED";
    admin.until("it rests", status, paused).await;
    admin.put("/connectors/away-kept/resume").await;
    admin.until("it tries again", status, tries).await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait_within(SOON).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_could_not_stage_what_was_put_is_told_by_the_exit_code() {
    let site = site_of("unstaged", "stage", "retry-for-ever").await;
    // Nobody says how long a stop may take: it gives up before it is forced.
    let mut admin = Admin::run(&site, &[]).await;
    let put = |now: &Value| now["records"].as_u64() >= Some(RECORDS_MIN);
    admin.until("it is put", "/status/unstaged-kept", put).await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 1);
    let log = admin.jackfield.log();
    let said = "unstaged-kept FAILED: stage: what was put before the stop could not be staged";
    assert!(log.contains(said), "{log}");
}
