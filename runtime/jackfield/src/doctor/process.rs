//! Whether jackfield runs, and whether it could: its admin port.

use super::holder;
use super::verdict::{Area, Line};
use crate::client::door::{self, NoClient, Trust};
use jackfield_config::Config;
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};

const AREA: Area = Area::Jackfield;

/// Looks at `admin.listen`: free, ours, or someone else's.
pub(super) async fn look(config: &Config, file: &str) -> Vec<Line> {
    let listen = config.admin.listen;
    let name = listen.to_string();
    if listen.port() == 0 {
        let message = "the system chooses the port: whether jackfield runs can't be seen there";
        return vec![Line::ok(AREA, name, message)];
    }
    let near = door::near(listen);
    if super::reach::tcp(&near.ip().to_string(), near.port())
        .await
        .is_err()
    {
        return vec![free(listen, name, file)];
    }
    let holder = tokio::task::spawn_blocking(move || holder::of_port(near))
        .await
        .ok()
        .flatten()
        .unwrap_or_else(|| "another user's process".to_owned());
    match states(config).await {
        Ok(Some(states)) => running(&name, &holder, &states),
        Err(error) => vec![Line::warn(
            AREA,
            name,
            format!("{holder} listens there, and can't be asked whether it is jackfield: {error}"),
            "mend what the message names",
        )],
        Ok(None) => vec![Line::fail(
            AREA,
            name,
            format!("{holder} listens there, which is no jackfield"),
            "stop it, or set another `admin.listen`",
        )],
    }
}

fn free(listen: SocketAddr, name: String, file: &str) -> Line {
    match TcpListener::bind(listen) {
        Ok(_) => Line::warn(
            AREA,
            name,
            "jackfield is not running: nothing listens there",
            format!("start it: jackfield run {file}"),
        )
        .down("jackfield"),
        Err(error) => Line::fail(
            AREA,
            name,
            format!("jackfield is not running, and can't listen there: {error}"),
            "set an `admin.listen` that this machine and user can have",
        )
        .down("jackfield"),
    }
}

/// What `/readyz` says, if it is a jackfield that answers. Nothing secret is sent, so it may show
/// any certificate.
async fn states(config: &Config) -> Result<Option<Value>, NoClient> {
    let http = door::client(Trust::Anyone)?;
    let (url, _) = door::of(config, None);
    let Ok(url) = url.join("readyz") else {
        return Ok(None);
    };
    let Ok(answer) = http.get(url).send().await else {
        return Ok(None);
    };
    // What breaks off or is no JSON is taken for somebody else's.
    let states: Option<Value> = answer.json().await.ok();
    Ok(states.filter(|it| it["connectors"].is_array()))
}

/// One line for the process, and one for each connector that does not run.
fn running(name: &str, holder: &str, states: &Value) -> Vec<Line> {
    let text = |of: &Value, key: &str| of[key].as_str().unwrap_or("?").to_owned();
    let connectors = states["connectors"].as_array().map(Vec::as_slice);
    let connectors = connectors.unwrap_or_default();
    let mut lines = Vec::new();
    let mut run = 0;
    for connector in connectors {
        let of = text(connector, "connector");
        match text(connector, "state").as_str() {
            "RUNNING" => run += 1,
            "PAUSED" | "STOPPED" => lines.push(Line::warn(
                AREA,
                &of,
                format!("is {}", text(connector, "state")),
                format!("jackfield resume {of}, when it is to go on"),
            )),
            state => {
                let trace = connector["trace"].as_str().unwrap_or_default();
                let first = trace.lines().next().unwrap_or_default();
                let why = match first {
                    "" => format!("is {state}"),
                    first => format!("is {state}: {first}"),
                };
                let remedy = match state {
                    "FAILED" => format!("mend that, then: jackfield restart {of}"),
                    _ => "it tries again by itself: what fails below may be why".to_owned(),
                };
                lines.push(match state {
                    "FAILED" => Line::fail(AREA, &of, why, remedy),
                    _ => Line::warn(AREA, &of, why, remedy),
                });
            }
        }
    }
    let all = connectors.len();
    let message = format!("runs: {holder}; {run} of {all} connectors are RUNNING");
    lines.insert(0, Line::ok(AREA, name, message));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Level;
    use super::*;
    use serde_json::json;

    #[test]
    fn each_connector_that_does_not_run_is_named() {
        let states = json!({ "connectors": [
            { "connector": "a", "state": "RUNNING" },
            { "connector": "b", "state": "FAILED", "trace": "no such table\nat x" },
            { "connector": "c", "state": "PAUSED" },
            { "connector": "d", "state": "RESTARTING", "trace": "refused" },
        ]});
        let lines = running("127.0.0.1:8083", "jackfield run (process 7)", &states);
        let told: Vec<_> = lines
            .iter()
            .map(|it| (it.level, &*it.name, &*it.message))
            .collect();
        assert_eq!(
            told,
            [
                (
                    Level::Ok,
                    "127.0.0.1:8083",
                    "runs: jackfield run (process 7); 1 of 4 connectors are RUNNING"
                ),
                (Level::Fail, "b", "is FAILED: no such table"),
                (Level::Warn, "c", "is PAUSED"),
                (Level::Warn, "d", "is RESTARTING: refused"),
            ]
        );
    }
}
