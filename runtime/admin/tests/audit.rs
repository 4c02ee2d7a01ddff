//! Each change is a line in the log. Alone in its process, since the server's thread writes to
//! whatever the process's subscriber is.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Fake, Lines, connect, nobody};
use jackfield_admin::{AdminConfig, AdminServer};
use jackfield_telemetry::Telemetry;
use jackfield_telemetry::logging::{self, Format, Levels};
use reqwest::Client;
use serde_json::json;
use std::time::Duration;

const TOKEN: &str = "the-token-of-the-test";

#[tokio::test]
async fn each_change_is_written_down() {
    let lines = Lines::default();
    let dispatch = logging::dispatch(Format::Json, "info", lines.clone()).unwrap();
    let levels = logging::levels(&dispatch).unwrap();
    tracing::dispatcher::set_global_default(dispatch).unwrap();
    let (mut connect, _lines) = connect(&Fake::new());
    // Those of the lines that the server writes.
    connect.levels = levels;
    let config = AdminConfig::new("127.0.0.1:0".parse().unwrap(), TOKEN);
    let telemetry = Telemetry::new().unwrap();
    let server = AdminServer::start(config, telemetry, Vec::new, nobody(), connect).unwrap();
    let url = |path: &str| format!("http://{}{path}", server.local_addr());
    let _there = rustls::crypto::ring::default_provider().install_default();
    let http = Client::builder().no_proxy().build().unwrap();
    let sent = [
        (http.get(url("/connectors")), None),
        (
            http.put(url("/connector-plugins/any/config/validate"))
                .json(&json!({ "connector.class": "any" })),
            None,
        ),
        (
            http.put(url("/connectors/declared/pause")),
            Some(("done", 202)),
        ),
        (
            http.put(url("/connectors/nobody/pause?secret=hunter2")),
            Some(("refused", 404)),
        ),
    ];
    let mut expected = Vec::new();
    for (request, line) in sent {
        request.bearer_auth(TOKEN).send().await.unwrap();
        expected.extend(line);
    }
    // Whatever else is silenced, these lines are not.
    let silenced = [
        ("root", ("done", 200)),
        ("jackfield_admin", ("done", 200)),
        (Levels::AUDIT, ("refused", 400)),
    ];
    for (logger, line) in silenced {
        let request = http
            .put(url(&format!("/admin/loggers/{logger}")))
            .json(&json!({ "level": "OFF" }));
        let answer = request.bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(u64::from(answer.status().as_u16()), line.1, "{logger}");
        if line.0 == "refused" {
            let said = answer.text().await.unwrap();
            assert!(said.contains("records who changed what"), "{said}");
        }
        expected.push(line);
    }
    http.delete(url("/connectors/declared"))
        .send()
        .await
        .unwrap();
    expected.push(("denied", 401));
    logging::flush(Duration::from_secs(10));
    let written = lines.audit();
    let seen: Vec<_> = written
        .iter()
        .map(|it| {
            (
                it["outcome"].as_str().unwrap(),
                it["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        expected
            .iter()
            .map(|(word, status)| (*word, *status))
            .collect::<Vec<_>>()
    );
    let first = &written[0];
    assert!(
        first["who"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{first}"
    );
    assert_eq!(first["method"], "PUT");
    assert_eq!(first["path"], "/connectors/declared/pause");
    assert_eq!(first["route"], "/connectors/{connector}/pause");
    let all = lines.text();
    assert!(!all.contains("hunter2") && !all.contains(TOKEN));
}
