//! A sink whose `stage` answers that more is left, and asks for no wait, is called again: before the
//! next interval, at a stop and at a swap.

use jackfield_system_tests::{Site, kept_below};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

use super::{RECORDS_MIN, site_of};
use crate::admin::Admin;
use crate::rollback::{end, keeping, root};

const NEW_LIFE: &str = "sink restarts from what its targets hold";
const HALF: &str = "stage is tried again";
/// By far the longest wait of the test that has this interval.
const EVERY: Duration = Duration::from_secs(30);

/// A sink that stages in two calls, so often.
async fn halving(pipeline: &str, deed: &str, every: &str) -> Site {
    let mut site = site_of(pipeline, "stage", deed).await;
    let commit = format!("/pipelines/{pipeline}/sinks/kept/commit");
    site.set(&commit, json!({ "every": every }));
    site
}

async fn put(admin: &Admin, status: &str) {
    let put = |now: &Value| now["records"].as_u64() >= Some(RECORDS_MIN);
    admin.until("it is put", status, put).await;
}

fn assert_kept(site: &Site, pipeline: &str) {
    let kept = kept_below(&root(site, pipeline));
    assert_eq!(kept.fault(|_| false), None);
    assert!(kept.values().count() as u64 >= RECORDS_MIN);
}

/// The rest does not wait for another interval.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stage_has_left_is_staged_before_the_next_interval() {
    let every = format!("{}s", EVERY.as_secs());
    let site = halving("rest", "half", &every).await;
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    let status = "/status/rest-kept";
    put(&admin, status).await;
    admin.jackfield.line(HALF).await;
    let since = Instant::now();
    let landed = |now: &Value| now["committed"].as_u64() >= Some(RECORDS_MIN);
    admin.until("the rest", status, landed).await;
    let rest = since.elapsed();
    assert!(rest < EVERY / 2, "{rest:?}");
    end(admin).await;
    assert_kept(&site, "rest");
}

/// The first call takes longer than a stop tries by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_stages_the_rest_however_slow_the_first_call_was() {
    let site = halving("slow", "half-slowly", "1h").await;
    let mut admin = Admin::run(&site, &["--grace", "110s"]).await;
    put(&admin, "/status/slow-kept").await;
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    assert!(admin.jackfield.log().contains(HALF));
    assert_kept(&site, "slow");
}

/// No commit is due by itself: what was put is staged by the version that goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_leaves_a_rest_is_swapped() {
    let site = halving("swapped", "half", "1h").await;
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let status = "/status/swapped-kept";
    put(&admin, status).await;
    let whole = keeping("only", &root(&site, "swapped"))["settings"].clone();
    let file = site.path().join("whole.json");
    std::fs::write(&file, whole.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let args = ["swapped-kept", "--settings", file, "--probation", "1s"];
    admin.expect(&site, &args, 0, "took over").await;
    let landed = |now: &Value| now["committed"].as_u64() >= Some(RECORDS_MIN);
    admin.until("what was put", status, landed).await;
    let log = admin.jackfield.log();
    assert!(log.contains(HALF) && !log.contains(NEW_LIFE), "{log}");
    end(admin).await;
    assert_kept(&site, "swapped");
}
