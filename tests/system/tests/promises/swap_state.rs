//! What a sink saves goes from version to version, each task's and the committer's own; and a sink
//! that can't save, or a version that can't read it, goes on without.

use jackfield_system_tests::kept_below;
use serde_json::json;

use crate::admin::Admin;
use crate::rollback::{end, keeping, long_exchange, root, site};
use crate::swap_many::{go_on, swap, with};

const KEPT: (i32, &str) = (0, "took over");
const NEW_LIFE: &str = "sink restarts from what its targets hold";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sink_saves_is_handed_to_the_next_version_and_no_record_depends_on_it() {
    let exchange = long_exchange().await;
    let mut site = site(&exchange).await;
    let root = root(&site, "kept");
    let mut sink = keeping("trade", &root);
    sink["tasks"] = json!(2);
    sink["settings"]["saves"] = json!(true);
    let good = sink["settings"].clone();
    site.set("/pipelines/trades/sinks", json!({ "kept": sink }));
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    let connector = "trades-kept";
    go_on(&admin, connector).await;
    for times in 1..=2 {
        let next = with(&good, json!({ "mark": times.to_string() }));
        swap((&admin, &site), connector, &next, "1s", KEPT).await;
        for who in ["task-0", "task-1", "committer"] {
            let text = format!("{who} was handed over {times} times");
            admin.jackfield.line(&text).await;
        }
    }
    let log = admin.jackfield.log();
    assert!(
        !log.contains("without saved state"),
        "each was handed its own"
    );

    // It dies of what it is handed, wherever it is handed something.
    let dying = with(&good, json!({ "in": "handed", "do": "panic" }));
    swap((&admin, &site), connector, &dying, "1s", KEPT).await;
    let text = "the committer opens without saved state";
    admin.jackfield.line(text).await;

    // What runs says that it saves another version than it does.
    let strange = with(&good, json!({ "in": "save", "do": "unknown-version" }));
    swap((&admin, &site), connector, &strange, "1s", KEPT).await;
    swap((&admin, &site), connector, &good, "1s", KEPT).await;
    let text = "does not read this version of it";
    admin.jackfield.line(text).await;

    // What runs dies of being asked, and after it has staged: nothing is lost with it.
    for deed in ["panic", "too-much"] {
        let dead = with(&good, json!({ "in": "save", "do": deed }));
        swap((&admin, &site), connector, &dead, "1s", KEPT).await;
        swap((&admin, &site), connector, &good, "1s", KEPT).await;
    }
    let log = admin.jackfield.log();
    assert!(!log.contains(NEW_LIFE), "no swap cost a life");
    end(admin).await;
    assert_eq!(kept_below(&root).fault(|_| false), None);
}
