//! The schema registry.

use super::reach::{self, Service};
use super::verdict::{Area, Line};
use crate::kafka;
use jackfield_config::RegistryConfig;
use jackfield_schema::{Registry, SchemaError};
use url::Url;

const AREA: Area = Area::Registry;
const KEY: &str = "log.kafka.schema.registry.url";
/// A subject that nobody has: asking for it tells whether the registry answers and lets us in.
const SUBJECT: &str = "jackfield-doctor";
/// What the registry's client says of a server that is something else.
const NONE: &str = "no schema registry is there";

/// Each URL, then one question to the registry.
pub(super) async fn look(registry: RegistryConfig) -> Vec<Line> {
    let urls = urls(registry.urls.expose());
    let looked = futures::future::join_all(urls.iter().map(one)).await;
    let nobody = looked.iter().all(Result::is_err);
    let mut lines: Vec<Line> = looked.into_iter().filter_map(Result::err).collect();
    if !nobody || urls.is_empty() {
        let names: Vec<String> = urls.iter().map(reach::shown).collect();
        lines.push(asked(&registry, &names.join(", ")).await);
    }
    lines
}

fn urls(listed: &str) -> Vec<Url> {
    let each = listed.split(',').map(str::trim);
    each.filter_map(|it| Url::parse(it).ok()).collect()
}

async fn one(url: &Url) -> Result<(), Line> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let reached = reach::tcp(host, port).await;
    reached.map(drop).map_err(|why| {
        Service {
            area: AREA,
            what: "the schema registry",
            name: &reach::shown(url),
            key: KEY,
        }
        .unreached(&why)
    })
}

async fn asked(registry: &RegistryConfig, name: &str) -> Line {
    let client = match kafka::registry(registry) {
        Ok(client) => client,
        Err(reason) => {
            let remedy = "PEM files, and the credentials of `schema-registry` or of the URL";
            return Line::fail(AREA, name, reason, remedy);
        }
    };
    match client.latest(SUBJECT).await {
        Ok(_) => Line::ok(AREA, name, "answers, and takes our credentials"),
        Err(error @ SchemaError::Denied(_)) => {
            let remedy = "check the user, password or token of `log.kafka.schema-registry`, and what it may read";
            Line::fail(AREA, name, error.to_string(), remedy)
        }
        Err(
            error @ (SchemaError::Missing(_)
            | SchemaError::Incompatible { .. }
            | SchemaError::Invalid(_)),
        ) => {
            let remedy = format!("is it a schema registry's API that `{KEY}` names?");
            Line::fail(AREA, name, error.to_string(), remedy)
        }
        // It answers, so it is not one that is down.
        Err(error @ SchemaError::Transient(_)) if error.to_string().contains(NONE) => {
            let remedy = format!("is it a schema registry's API that `{KEY}` names?");
            Line::fail(AREA, name, error.to_string(), remedy)
        }
        Err(error @ SchemaError::Transient(_)) => {
            let remedy = format!("look at the registry's own log; `{KEY}` names it");
            Line::fail(AREA, name, error.to_string(), remedy)
                .down(format!("the schema registry ({name})"))
        }
    }
}
