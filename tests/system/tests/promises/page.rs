//! The page for people, used in a real browser.

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, Jackfield, Site, repository, target};
use serde_json::json;
use tokio::process::Command;

use crate::admin::changed_copy;
use crate::exchange;

/// What a grant adds to requests, and nobody is shown.
const SECRET: &str = "a-key-that-is-nobodys-business";

/// The wires and their rates, a connector's page by keyboard, pausing, restarting, a swap by upload,
/// a failure's trace; by day and by night, on a phone; no error, no violation, no other host.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_and_changes_what_runs() {
    // Slow, and again and again: something flows for as long as somebody looks.
    let exchange = exchange(Speed::PerSecond(400.0), |o| o.laps = 100).await;
    let mut site = Site::new(&exchange).await;
    let plugins = Artifacts::get();
    let grant = json!([{ "url": exchange.rest_url(), "headers": { "X-A-Key": SECRET } }]);
    site.set("/pipelines/trades/source/allow/http", grant);
    let hostile = json!({ "file": plugins.plugin("hostile"), "memory": "32MiB" });
    site.set("/plugins/hostile", hostile);
    let evil = json!({
        "retry": { "deadline": "2s" },
        "source": { "plugin": "hostile", "settings": { "in": "poll", "do": "panic" } },
        "topics": { "only": { "name": "evil.panic" } }
    });
    site.set("/pipelines/evil", evil);
    let component = changed_copy("iceberg-sink", site.path(), "page").await;

    let mut jackfield = Jackfield::run(&site, &[]);
    let url = jackfield.admin().await;
    let token = std::fs::read_to_string(plugins.state.join("admin-token")).unwrap();
    let root = repository();
    let driven = Command::new(root.join("scripts/python"))
        .arg(root.join("tests/python/drive_page.py"))
        .args(["--url", &url, "--token", token.trim()])
        .arg("--component")
        .arg(&component)
        .args(["--failed", "evil-source", "--reason", "as told"])
        .args(["--secret", SECRET])
        .arg("--screenshots")
        .arg(target().join("screenshots"))
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&driven.stdout);
    let errors = String::from_utf8_lossy(&driven.stderr);
    assert!(driven.status.success(), "{said}{errors}");
    println!("{said}");
    assert!(
        !jackfield.log().contains(token.trim()),
        "the token is in the log"
    );
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 1, "one connector FAILED");
}
