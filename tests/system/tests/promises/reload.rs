//! The file changes while it runs: what differs changes, the rest never notices.

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Site, compare, read_pyiceberg, trades_sink};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::admin::Admin;
use crate::{assert_landed, exchange};

/// The connectors' names.
fn names(status: &Value) -> Vec<&str> {
    let all = status.as_array().expect("a list");
    let mut names: Vec<_> = all.iter().map(|it| it["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

const APPLIED: &str = "the changed file is applied";
const REFUSED: &str = "the file is not applied";

/// A pipeline is added, another one removed, a connector swapped, another one replaced: all by
/// editing the file. What is wrong changes nothing and says where. The trades land once.
#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_changes_what_differs_and_nothing_else() {
    let exchange = exchange(Speed::PerSecond(1500.0), |o| o.laps = 3).await;
    let mut site = Site::new(&exchange).await;
    let hostile = json!({ "file": Artifacts::get().plugin("hostile"), "memory": "32MiB" });
    site.set("/plugins/hostile", hostile);
    let steady = json!({
        "source": { "plugin": "hostile", "settings": {} },
        "topics": { "only": { "name": "steady" } }
    });
    site.set("/pipelines/steady", steady);
    let mut admin = Admin::run(&site, &["--until-idle", "6s"]).await;
    let source = "/connectors/trades-source/status";
    let before = admin
        .until("it runs", source, |now| now["records"] != 0)
        .await;

    // A file that is wrong, one that is not a file of ours, and a change that needs a restart.
    let tasks = "/pipelines/trades/sinks/lake/tasks";
    site.set(tasks, json!("many"));
    let line = admin.jackfield.line(REFUSED).await;
    assert!(
        line.contains("tasks") && line.contains("pipeline.yaml:"),
        "{line}"
    );
    site.set(tasks, Value::Null);
    let settings = "/pipelines/trades/source/settings/symbols";
    site.set(settings, json!("BTCUSDT"));
    let line = admin.jackfield.line("a list").await;
    assert!(line.contains(REFUSED) && line.contains("symbols"), "{line}");
    site.set(settings, json!(["BTCUSDT", "ETHUSDT"]));
    site.set("/log/embedded/retention", json!("1h"));
    admin
        .jackfield
        .line("a change of `log` needs a restart")
        .await;
    site.set("/log/embedded/retention", Value::Null);
    assert!(
        !admin.jackfield.log().contains(APPLIED),
        "nothing was changed"
    );

    // Another sink on the same topic, in a pipeline of its own.
    let mut copy = trades_sink();
    copy["topics"] = json!(["trade"]);
    copy["settings"]["table"] = json!("market.copy");
    let copy = json!({
        "delivery": "exactly-once",
        "topics": { "trade": { "name": "binance.spot.trade", "partitions": 4 } },
        "sinks": { "lake": copy }
    });
    site.set("/pipelines/copy", copy);
    admin
        .until("it is added", "/status", |now| {
            names(now).contains(&"copy-lake")
        })
        .await;
    let committed = |now: &Value| now["committed"] != 0;
    admin
        .until("it commits", "/connectors/copy-lake/status", committed)
        .await;

    // Its commits are to come otherwise: it begins anew, where it was.
    site.set(
        "/pipelines/copy/sinks/lake/commit",
        json!({ "every": "300ms" }),
    );
    admin.jackfield.line(r#"replaced":"[\"copy-lake\"]"#).await;
    // Other settings of the source: a swap.
    site.set(
        "/pipelines/trades/source/settings/silence-after",
        json!("2s"),
    );
    admin
        .jackfield
        .line(r#"swapped":"[\"trades-source\"]"#)
        .await;
    let swaps = admin.get("/connectors/trades-source/swaps").await;
    assert_eq!(swaps[0]["by"], "the configuration", "{swaps}");
    // A pipeline less.
    site.set("/pipelines/steady", Value::Null);
    let left = ["copy-lake", "trades-lake", "trades-source"];
    admin
        .until("it is removed", "/status", |now| names(now) == left)
        .await;

    assert_eq!(admin.jackfield.wait().await, 0);
    let sent = exchange.trades();
    assert_landed(&site.path().join("data"), &sent).await;
    let copied = read_pyiceberg(&site.path().join("data"), "market.copy").await;
    let difference = compare(&sent, &copied.rows);
    assert!(difference.is_none(), "{difference}");
    assert_eq!(copied.rows.len(), sent.len());
    assert_eq!(exchange.status().connections, 1, "kept over it all");
    assert_eq!(before["plugin"]["version"], swaps[0]["to"]["version"]);
}

/// A file that the configuration only refers to is read again when SIGHUP asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_file_and_its_secrets_again() {
    let exchange = exchange(Speed::PerSecond(2000.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let key = site.path().join("key");
    std::fs::write(&key, "first").unwrap();
    let grant = json!({
        "url": exchange.rest_url(),
        "headers": { "X-MBX-APIKEY": format!("${{file:{}}}", key.display()) }
    });
    site.set("/pipelines/trades/source/allow/http", json!([grant]));
    let mut admin = Admin::run(&site, &["--until-idle", "4s"]).await;
    admin
        .until("it runs", "/connectors/trades-source/status", |now| {
            now["records"] != 0
        })
        .await;
    std::fs::write(&key, "second").unwrap();
    let pid = admin.jackfield.pid().unwrap().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status().await;
    assert!(sent.unwrap().success());
    let line = admin.jackfield.line(APPLIED).await;
    assert!(
        line.contains("trades-source") && !line.contains("trades-lake"),
        "{line}"
    );
    assert_eq!(admin.jackfield.wait().await, 0);
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}
