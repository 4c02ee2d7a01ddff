//! What connectors talk to: each granted URL, as far as an answer.

use super::clock;
use super::reach::{self, Service};
use super::verdict::{Area, Line};
use jackfield_config::{Config, Grants};
use jackfield_plugin::{Network, Reached, probe};
use std::collections::BTreeMap;
use std::time::SystemTime;
use url::Url;

const AREA: Area = Area::Endpoints;

/// A URL, and where the file grants it first.
pub(super) struct Endpoint {
    pub(super) url: Url,
    pub(super) key: String,
}

/// Each granted URL once.
pub(super) fn of(config: &Config) -> Vec<Endpoint> {
    let mut all: BTreeMap<String, Endpoint> = BTreeMap::new();
    for (place, allow) in grants(config) {
        let http = allow.http.iter().map(|it| ("http", &it.url));
        let websocket = allow.websocket.iter().map(|it| ("websocket", &it.url));
        for (kind, url) in http.chain(websocket) {
            let key = format!("{place}.allow.{kind}");
            let url = url.clone();
            let known = all.entry(url.to_string());
            known.or_insert(Endpoint { url, key });
        }
    }
    all.into_values().collect()
}

/// The grants of each connector, by its place in the file.
pub(super) fn grants(config: &Config) -> Vec<(String, &Grants)> {
    let mut all = Vec::new();
    for (pipeline, it) in &config.pipelines {
        if let Some(source) = &it.source {
            all.push((format!("pipelines.{pipeline}.source"), &source.allow));
        }
        for (sink, it) in &it.sinks {
            all.push((format!("pipelines.{pipeline}.sinks.{sink}"), &it.allow));
        }
    }
    all
}

pub(super) async fn look(endpoint: Endpoint, network: Network) -> Vec<Line> {
    let name = reach::shown(&endpoint.url);
    vec![match probe(&network, &endpoint.url).await {
        Ok(reached) => answered(&name, endpoint.url.scheme(), &reached, SystemTime::now()),
        Err(why) => Service {
            area: AREA,
            what: "the server of that URL",
            name: &name,
            key: &endpoint.key,
        }
        .unreached(&why),
    }]
}

fn answered(name: &str, scheme: &str, reached: &Reached, now: SystemTime) -> Line {
    let Reached {
        address, status, ..
    } = reached;
    let mut line = match status {
        101 => Line::ok(AREA, name, format!("opens a WebSocket, at {address}")),
        500.. => Line::warn(
            AREA,
            name,
            format!("answers HTTP {status}, at {address}"),
            "the server runs and is in trouble: look at its own status page or log",
        ),
        401 | 403 | 407 if matches!(scheme, "http" | "https") => Line::ok(
            AREA,
            name,
            format!(
                "answers HTTP {status}, at {address}: without the grant's headers, which are not sent here"
            ),
        ),
        418 | 429 | 451 => Line::warn(
            AREA,
            name,
            format!("answers HTTP {status}, at {address}"),
            "it refuses this machine for now or for good: too many requests, or a region it does not serve",
        ),
        // A grant is where URLs begin, which needs not be one itself.
        _ => Line::ok(AREA, name, format!("answers HTTP {status}, at {address}")),
    };
    line.ahead_ms = reached
        .date
        .as_deref()
        .and_then(|date| clock::ahead_ms(now, date));
    line
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Level;
    use super::*;

    #[test]
    fn any_answer_is_a_server_that_runs() {
        let level = |status| {
            let reached = Reached {
                address: "127.0.0.1:443".parse().unwrap(),
                status,
                date: None,
            };
            answered("x", "https", &reached, SystemTime::now()).level
        };
        for status in [101, 200, 301, 400, 401, 404, 426] {
            assert_eq!(level(status), Level::Ok, "{status}");
        }
        for status in [418, 429, 451, 500, 503] {
            assert_eq!(level(status), Level::Warn, "{status}");
        }
    }
}
