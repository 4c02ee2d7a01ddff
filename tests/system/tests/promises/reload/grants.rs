//! A version whose settings name what nothing grants: refused before anything is touched, by command
//! and by editing the file.

use std::path::Path;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Site, output};
use serde_json::{Value, json};

use super::{APPLIED, REFUSED, place};
use crate::admin::{Admin, changed_copy};
use crate::rollback::{keeping, root};
use crate::{assert_landed, exchange};

/// Nobody listens there, and nothing grants it.
const HTTP: &str = "http://127.0.0.1:9";
const WEBSOCKET: &str = "ws://127.0.0.1:9";
/// As web hooks have it: whoever knows the path may call.
const SECRET: &str = "sesame-of-a-path";

fn written(folder: &Path, settings: &Value) -> String {
    let file = folder.join("settings.json");
    std::fs::write(&file, settings.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_reaches_where_no_grant_goes_is_refused_and_nothing_is_touched() {
    let exchange = exchange(Speed::PerSecond(1500.0), |_| {}).await;
    let mut site = Site::new(&exchange).await;
    let hostile = json!({ "file": Artifacts::get().plugin("hostile"), "memory": "32MiB" });
    site.set("/plugins/hostile", hostile);
    let hostile = json!({ "file": Artifacts::get().plugin("hostile-sink"), "memory": "32MiB" });
    site.set("/plugins/hostile-sink", hostile);
    let kept = keeping("trade", &root(&site, "kept"));
    site.set("/pipelines/trades/sinks/kept", kept.clone());
    // What runs names something that is not granted: that is nothing to hold against the next one.
    let told = json!({ "pause-ms": 10, "note": format!("{HTTP}/note") });
    let endless = json!({
        "source": { "plugin": "hostile", "settings": told },
        "topics": { "only": { "name": "endless" } }
    });
    site.set("/pipelines/endless", endless);
    let good: Value = serde_json::from_slice(&std::fs::read(site.file()).unwrap()).unwrap();
    let own = &good["pipelines"]["trades"]["source"]["settings"];
    let copy = changed_copy("binance-source", site.path(), "copy").await;
    let copy = copy.to_str().unwrap();

    let mut admin = Admin::run(&site, &["--until-idle", "6s"]).await;
    let connectors = ["trades-source", "trades-kept", "endless-source"];
    let mut before = Vec::new();
    for connector in connectors {
        let status = format!("/status/{connector}");
        let now = admin.until("it runs", &status, |now| now["records"] != 0);
        before.push(now.await["plugin"].clone());
    }

    // By command: with other bytes and without, and also where nothing is to be changed.
    for (key, url) in [("rest", HTTP), ("websocket", WEBSOCKET)] {
        let mut settings = own.clone();
        settings["endpoints"][key] = json!(url);
        let file = written(site.path(), &settings);
        let swap = ["trades-source", "--settings", &file];
        let ways: [&[&str]; 4] = [&[], &[copy], &["--dry-run"], &["--shadow", "5s"]];
        for more in ways {
            let args = [&swap[..], more].concat();
            admin.expect(&site, &args, 25, url).await;
        }
    }
    let mut settings = kept["settings"].clone();
    settings["hook"] = json!({ "urls": ["text", format!("{HTTP}/{SECRET}")] });
    let file = written(site.path(), &settings);
    let args = ["trades-kept", "--settings", &file];
    let shown = format!("{HTTP} (`hook.urls.1`), which nothing grants: add it to `allow.http`");
    admin.expect(&site, &args, 25, &shown).await;
    // What lies below a grant is granted, and so is what the running one names.
    let mut settings = kept["settings"].clone();
    settings["hook"] = json!("no URL");
    let file = written(site.path(), &settings);
    let args = ["trades-kept", "--settings", &file, "--dry-run"];
    admin.expect(&site, &args, 0, "can take over").await;
    let mut settings = told.clone();
    settings["pause-ms"] = json!(11);
    let file = written(site.path(), &settings);
    let args = ["endless-source", "--settings", &file, "--dry-run"];
    admin.expect(&site, &args, 0, "can take over").await;

    // By editing the file.
    site.set(
        "/pipelines/trades/source/settings/endpoints/rest",
        json!(format!("{HTTP}/{SECRET}")),
    );
    let line = admin.jackfield.line("which nothing grants").await;
    let at = place(&site, &format!(r#""rest": "{HTTP}/{SECRET}""#));
    assert!(line.contains(REFUSED) && line.contains(&at), "{line}");
    assert!(
        line.contains("trades-source") && line.contains(HTTP),
        "{line}"
    );
    assert!(!line.contains(SECRET), "{line}");

    // A start would take that file, so to `check` it is a warning.
    let checked = output(&["check", site.file().to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{said}");
    let named = format!("warning: its settings name {HTTP} (`endpoints.rest`)");
    assert!(said.contains(&named) && said.contains(&at), "{said}");
    assert!(said.contains("`allow.http`"), "{said}");
    assert!(!said.contains(SECRET), "{said}");

    // Nothing was touched.
    assert!(!admin.jackfield.log().contains(APPLIED));
    for (connector, before) in connectors.iter().zip(&before) {
        let now = admin.get(&format!("/status/{connector}")).await;
        assert_eq!(now["plugin"], *before, "{connector}");
        let swaps = admin.get(&format!("/connectors/{connector}/swaps")).await;
        assert_eq!(swaps, json!([]), "{connector}");
    }
    let log = admin.jackfield.log();
    assert!(!log.contains("restarts from what"), "{log}");
    site.set(
        "/pipelines/trades/source/settings/endpoints/rest",
        own["endpoints"]["rest"].clone(),
    );
    site.set("/pipelines/endless", Value::Null);
    assert_eq!(admin.jackfield.wait().await, 0);
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}
