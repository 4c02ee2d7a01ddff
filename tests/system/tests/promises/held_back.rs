//! Who is put faster than a catalog commits, or has no room before the next stage, is held back: the
//! rest waits in the log, and nothing fails.

use jackfield_exchange::Speed;
use jackfield_system_tests::kept_below;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::rollback::{end, keeping, root, site};
use crate::swap_many::with;
use crate::{COMMITTED, exchange};

/// Many times what may be put ahead of a stage.
const LAPS: u32 = 5;
/// Rows that may be put ahead where fewer make a commit due, and as many again: a task may be in the
/// middle of a batch.
const AHEAD_ROWS_MAX: u64 = 2 * 10_000;
/// Records that a sink must get through which has room for few.
const RECORDS_MIN: u64 = 100;

/// The rows of each commit that a process said of a connector.
fn commits(log: &str, connector: &str) -> Vec<u64> {
    let whose = format!(r#""connector":"{connector}""#);
    let lines = log.lines();
    let lines = lines.filter(|line| line.contains(COMMITTED) && line.contains(&whose));
    let rows = lines.filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["rows"].as_u64()
    });
    rows.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_catalog_holds_a_sink_back_and_does_not_make_it_fail() {
    let exchange = exchange(Speed::Unlimited, |o| o.laps = LAPS).await;
    let mut site = site(&exchange).await;
    site.set("/pipelines/trades/retry", json!({ "deadline": "30m" }));
    // A call that is slow because the machine is would be a restart.
    site.set("/plugins/hostile-sink/call-time", Value::Null);
    let folder = root(&site, "slow");
    let mut slow = keeping("trade", &folder);
    slow["commit"] = json!({ "every": "200ms", "rows": 1000 });
    slow["settings"] = with(&slow["settings"], json!({ "in": "commit", "do": "gated" }));
    // Whoever is not held back has had as much time as this one.
    let beside = keeping("trade", &root(&site, "beside"));
    let sinks = json!({ "slow": slow, "beside": beside });
    site.set("/pipelines/trades/sinks", sinks);
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    exchange.finished().await;
    let all = exchange.trades().len() as u64;
    assert!(all > 3 * AHEAD_ROWS_MAX, "{all}");
    let landed = |now: &Value| now["committed"].as_u64() >= Some(all);
    admin.until("beside", "/status/trades-beside", landed).await;

    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("open"), "").unwrap();
    admin.until("slow", "/status/trades-slow", landed).await;
    let log = admin.jackfield.log();
    let rows = commits(&log, "trades-slow");
    let most = rows.iter().max().copied();
    assert!(most <= Some(AHEAD_ROWS_MAX), "{rows:?}");
    let restarts = admin.figure("jackfield_restarts_total", "trades-slow");
    assert_eq!(restarts.await, 0);
    end(admin).await;
    let kept = kept_below(&folder);
    assert_eq!(kept.fault(|_| false), None);
    assert_eq!(kept.values().count() as u64, all);
}

/// No commit is due by itself: only what the component asks for makes one.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_without_room_stages_and_is_put_the_same_again() {
    let exchange = exchange(Speed::PerSecond(50.0), |_| {}).await;
    let mut site = site(&exchange).await;
    let folder = root(&site, "full");
    // A call that is slow because the machine is would be a failure.
    site.set("/plugins/hostile-sink/call-time", Value::Null);
    let mut sink = keeping("only", &folder);
    sink["commit"] = json!({ "every": "1h" });
    sink["settings"] = with(&sink["settings"], json!({ "in": "put", "do": "full" }));
    let pipeline = json!({
        "retry": { "deadline": "3s" },
        "source": { "plugin": "hostile", "settings": { "lines": 2, "pause-ms": 5 } },
        "topics": { "only": { "name": "full" } },
        "sinks": { "kept": sink }
    });
    site.set("/pipelines", json!({ "full": pipeline }));
    let admin = Admin::run(&site, &["--grace", "60s"]).await;
    let landed = |now: &Value| now["committed"].as_u64() >= Some(RECORDS_MIN);
    admin.until("it gets on", "/status/full-kept", landed).await;
    let failures = admin.figure("jackfield_errors_total", "full-kept").await;
    assert_eq!(failures, 0, "that it is full is no failure");
    end(admin).await;
    assert_eq!(kept_below(&folder).fault(|_| false), None);
}
