//! A file that is wrong in more than one place: nothing that runs is touched, and every mistake is
//! told with its line.

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Site, http, metric, output};
use serde_json::{Value, json};

use super::{APPLIED, PARTITIONS, REFUSED, begun};
use crate::admin::Admin;
use crate::{assert_landed, exchange};

/// Sources that never come to an end.
const ENDLESS: [&str; 2] = ["calm", "steady"];
const CONNECTORS: [&str; 4] = [
    "calm-source",
    "steady-source",
    "trades-lake",
    "trades-source",
];

/// The file with other values: written at once, so that nobody who looks at it finds a part of them.
fn edit(site: &Site, good: &str, changes: &[(&str, Value)]) {
    let mut config: Value = serde_json::from_str(good).unwrap();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    let text = serde_json::to_string_pretty(&config).unwrap();
    std::fs::write(site.file(), text).unwrap();
}

/// Where the last of these lines stands, each below the one before, as a refusal names it.
fn place(site: &Site, way: &[&str]) -> String {
    let file = std::fs::read_to_string(site.file()).unwrap();
    let mut lines = file.lines().enumerate();
    let mut number = 0;
    for text in way {
        let (at, _) = lines.find(|(_, line)| line.contains(*text)).unwrap();
        number = at + 1;
    }
    format!("pipeline.yaml:{number}:")
}

/// Edits the file; the refusal that holds this text names each of these places.
async fn refused(
    admin: &mut Admin,
    site: &Site,
    good: &str,
    changes: &[(&str, Value)],
    text: &str,
    ways: &[&[&str]],
) {
    edit(site, good, changes);
    let line = admin.jackfield.line(text).await;
    assert!(line.contains(REFUSED), "{line}");
    for way in ways {
        let at = place(site, way);
        assert!(line.contains(&at), "{way:?} is at {at}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_touches_nothing_and_every_mistake_is_told_with_its_line() {
    let exchange = exchange(Speed::PerSecond(1500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let hostile = json!({ "file": Artifacts::get().plugin("hostile"), "memory": "32MiB" });
    site.set("/plugins/hostile", hostile);
    for name in ENDLESS {
        let pipeline = json!({
            "source": { "plugin": "hostile", "settings": {} },
            "topics": { "only": { "name": format!("endless.{name}") } }
        });
        site.set(&format!("/pipelines/{name}"), pipeline);
    }
    let good = std::fs::read_to_string(site.file()).unwrap();
    let mut admin = Admin::run(&site, &["--until-idle", "6s"]).await;
    let mut before = Vec::new();
    for connector in CONNECTORS {
        let status = format!("/status/{connector}");
        let now = admin.until("it runs", &status, |now| now["records"] != 0);
        before.push(now.await["plugin"].clone());
    }

    // What the file itself tells.
    let changes = [
        ("/pipelines/trades/delivery", json!("twice")),
        ("/pipelines/trades/sinks/lake/tasks", json!("many")),
        ("/pipelines/steady/source/slotz", json!(2)),
    ];
    let ways: [&[&str]; 3] = [&[r#""twice""#], &[r#""many""#], &[r#""slotz""#]];
    refused(&mut admin, &site, &good, &changes, "slotz", &ways).await;

    // What only the components tell: two whose settings are wrong, and a sink where a source runs.
    let changes = [
        (
            "/pipelines/trades/source/settings/symbols",
            json!("BTCUSDT"),
        ),
        ("/pipelines/trades/sinks/lake/settings/table", json!(5)),
        ("/pipelines/steady/source/plugin", json!("iceberg")),
    ];
    let ways: [&[&str]; 3] = [
        &[r#""symbols""#],
        &[r#""table""#],
        &[r#""steady": {"#, r#""plugin""#],
    ];
    refused(&mut admin, &site, &good, &changes, "is no source", &ways).await;

    // Components that are not there, and a wrong setting of one that is.
    let changes = [
        ("/plugins/binance", json!("gone-binance.wasm")),
        ("/plugins/hostile/file", json!("gone-hostile.wasm")),
        ("/pipelines/trades/sinks/lake/settings/table", json!(5)),
    ];
    let ways: [&[&str]; 3] = [
        &[r#""trades": {"#, r#""source": {"#, r#""plugin""#],
        // Of the two that use it, the first.
        &[r#""calm": {"#, r#""plugin""#],
        &[r#""table""#],
    ];
    let text = "gone-hostile.wasm";
    refused(&mut admin, &site, &good, &changes, text, &ways).await;
    let checked = output(&["check", site.file().to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(2), "{said}");
    for way in ways {
        let at = place(&site, way);
        assert!(said.contains(&at), "{way:?} is at {at}: {said}");
    }

    // Versions that die before they take over.
    let dying = json!({ "in": "plan", "do": "panic" });
    let changes = [
        ("/pipelines/calm/source/settings", dying.clone()),
        ("/pipelines/steady/source/settings", dying),
    ];
    let ways: [&[&str]; 2] = [
        &[r#""calm": {"#, r#""plugin""#],
        &[r#""steady": {"#, r#""plugin""#],
    ];
    let text = "steady-source: it fails";
    refused(&mut admin, &site, &good, &changes, text, &ways).await;

    // Nothing was touched.
    for name in ENDLESS {
        let status = format!("/status/{name}-source");
        let records = |now: &Value| now["records"].as_u64().unwrap_or_default();
        let at = records(&admin.get(&status).await);
        admin
            .until("it goes on", &status, |now| records(now) > at)
            .await;
    }
    for (connector, before) in CONNECTORS.iter().zip(&before) {
        let now = admin.get(&format!("/status/{connector}")).await;
        assert_eq!(now["plugin"], *before, "{connector}");
        let swaps = admin.get(&format!("/connectors/{connector}/swaps")).await;
        assert_eq!(swaps, json!([]), "{connector}");
    }
    let metrics = http().get(format!("{}/metrics", admin.url)).send().await;
    let metrics = metrics.unwrap().text().await.unwrap();
    for connector in CONNECTORS {
        let restarts = metric(&metrics, "jackfield_restarts_total", connector);
        assert!(restarts < 1.0, "{connector}: {restarts}");
    }
    assert!(!admin.jackfield.log().contains(APPLIED));

    // The trades come to their end, and so does the process once nothing is endless.
    for name in ENDLESS {
        site.set(&format!("/pipelines/{name}"), Value::Null);
    }
    assert_eq!(admin.jackfield.wait().await, 0);
    assert_eq!(begun(&admin.jackfield.log(), "trades-lake"), PARTITIONS);
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}
