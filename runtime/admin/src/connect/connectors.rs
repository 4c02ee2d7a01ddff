//! `/connectors`: made, changed, paused, restarted, deleted.

use super::Asked;
use super::answer::{Outcome, bad, empty, ok, with, within};
use super::body::{json, named, patch, texts};
use super::herder::{Herder, Restart};
use crate::operator::Objection;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use futures::stream::{self, StreamExt, TryStreamExt};
use jackfield_connect::TargetState;
use jackfield_connect::entities::{ActiveTopics, ConnectorInfo};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use url::form_urlencoded;

pub(super) fn routes() -> Router<Asked> {
    Router::new()
        .route("/connectors", get(list).post(create))
        .route("/connectors/", get(list).post(create))
        .route("/connectors/{connector}", get(info).delete(delete))
        .route(
            "/connectors/{connector}/config",
            get(config).put(put_config).patch(patch_config),
        )
        .route("/connectors/{connector}/status", get(state))
        .route("/connectors/{connector}/restart", post(restart))
        .route("/connectors/{connector}/pause", put(pause))
        .route("/connectors/{connector}/resume", put(resume))
        .route("/connectors/{connector}/stop", put(stop))
        .route("/connectors/{connector}/topics", get(topics))
        .route("/connectors/{connector}/topics/reset", put(reset_topics))
}

type Of = State<Asked>;

/// Connectors that are looked at at once: of each it may take seconds while the log is away, and
/// the answer is not to take as many times that.
const EXPANDED_AT_ONCE: usize = 256;

/// `{name, config, initial_state?}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: Option<String>,
    config: Option<Map<String, Value>>,
    initial_state: Option<String>,
}

async fn list(State(asked): Of, RawQuery(query): RawQuery) -> Outcome {
    let herder = &asked.herder;
    let names = within(herder.connectors()).await?;
    let expansions = values(query.as_deref(), "expand");
    if expansions.is_empty() {
        return ok(&names);
    }
    let mut asked = Vec::with_capacity(names.len());
    for name in names {
        asked.push(expand_if_there(herder, name, &expansions));
    }
    let asked = stream::iter(asked).buffered(EXPANDED_AT_ONCE);
    let told: Vec<Option<(String, Value)>> = within(asked.try_collect()).await?;
    let all: Map<String, Value> = told.into_iter().flatten().collect();
    ok(&all)
}

/// A connector by its name; none if it was deleted just now.
async fn expand_if_there(
    herder: &Arc<dyn Herder>,
    connector: String,
    expansions: &[String],
) -> Result<Option<(String, Value)>, Objection> {
    match expand(herder, &connector, expansions).await {
        Ok(expanded) => Ok(Some((connector, expanded.into()))),
        Err(gone) if gone.status == 404 => Ok(None),
        Err(other) => Err(other),
    }
}

async fn expand(
    herder: &Arc<dyn Herder>,
    connector: &str,
    expansions: &[String],
) -> Result<Map<String, Value>, Objection> {
    let mut expanded = Map::new();
    for expansion in expansions {
        match expansion.as_str() {
            "status" => {
                let state = herder.state(connector).await?;
                expanded.insert("status".to_owned(), value(&state)?);
            }
            "info" => {
                let info = herder.info(connector).await?;
                expanded.insert("info".to_owned(), value(&info)?);
            }
            // Kafka Connect passes over others.
            _ => {}
        }
    }
    Ok(expanded)
}

fn value(of: &impl serde::Serialize) -> Result<Value, Objection> {
    serde_json::to_value(of).map_err(|error| Objection {
        status: 500,
        code: "unsayable",
        message: error.to_string(),
    })
}

async fn create(State(asked): Of, headers: HeaderMap, body: Bytes) -> Outcome {
    let create: Create = json(&headers, &body)?;
    let name = create.name.unwrap_or_default().trim().to_owned();
    let initial = match create.initial_state.as_deref() {
        None => TargetState::Started,
        Some(word) => TargetState::parse(&word.to_ascii_uppercase())
            .ok_or_else(|| bad("`initial_state` is RUNNING, PAUSED or STOPPED"))?,
    };
    let given = create
        .config
        .ok_or_else(|| bad("the request has no `config`"))?;
    let config = named(&name, texts(given)?)?;
    made(within(asked.herder.create(&name, config, initial)).await?)
}

/// 201, and where it is.
fn made(info: ConnectorInfo) -> Outcome {
    let name = utf8_percent_encode(&info.name, NON_ALPHANUMERIC);
    let location = HeaderValue::try_from(format!("/connectors/{name}"))
        .map_err(|_| bad("the connector's name has no place in a URL"))?;
    let mut response = with(StatusCode::CREATED, &info)?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

async fn info(State(asked): Of, Path(connector): Path<String>) -> Outcome {
    ok(&within(asked.herder.info(&connector)).await?)
}

async fn config(State(asked): Of, Path(connector): Path<String>) -> Outcome {
    ok(&within(asked.herder.info(&connector)).await?.config)
}

async fn state(State(asked): Of, Path(connector): Path<String>) -> Outcome {
    ok(&within(asked.herder.state(&connector)).await?)
}

async fn put_config(
    State(asked): Of,
    Path(connector): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Outcome {
    let config = named(&connector, texts(json(&headers, &body)?)?)?;
    let put = within(asked.herder.put(&connector, config)).await?;
    match put.created {
        true => made(put.info),
        false => ok(&put.info),
    }
}

async fn patch_config(
    State(asked): Of,
    Path(connector): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Outcome {
    let patch: BTreeMap<String, Option<String>> = patch(json(&headers, &body)?)?;
    ok(&within(asked.herder.patch(&connector, patch)).await?)
}

async fn delete(State(asked): Of, Path(connector): Path<String>) -> Outcome {
    within(asked.herder.delete(&connector)).await?;
    empty(StatusCode::NO_CONTENT)
}

async fn restart(
    State(asked): Of,
    Path(connector): Path<String>,
    RawQuery(query): RawQuery,
) -> Outcome {
    let restart = Restart {
        include_tasks: truth(query.as_deref(), "includeTasks")?,
        only_failed: truth(query.as_deref(), "onlyFailed")?,
    };
    within(asked.herder.restart(&connector, restart)).await?;
    if restart == Restart::default() {
        return empty(StatusCode::NO_CONTENT);
    }
    let state = within(asked.herder.state(&connector)).await?;
    with(StatusCode::ACCEPTED, &state)
}

async fn pause(State(asked): Of, Path(connector): Path<String>) -> Outcome {
    within(asked.herder.set_target(&connector, TargetState::Paused)).await?;
    empty(StatusCode::ACCEPTED)
}

async fn resume(State(asked): Of, Path(connector): Path<String>) -> Outcome {
    within(asked.herder.set_target(&connector, TargetState::Started)).await?;
    empty(StatusCode::ACCEPTED)
}

async fn stop(State(asked): Of, Path(connector): Path<String>) -> Outcome {
    within(asked.herder.set_target(&connector, TargetState::Stopped)).await?;
    empty(StatusCode::NO_CONTENT)
}

async fn topics(State(asked): Of, Path(connector): Path<String>) -> Outcome {
    let topics = within(asked.herder.topics(&connector)).await?;
    ok(&BTreeMap::from([(connector, ActiveTopics { topics })]))
}

async fn reset_topics(State(asked): Of, Path(connector): Path<String>) -> Outcome {
    within(asked.herder.reset_topics(&connector)).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// All values of a query's key.
pub(super) fn values(query: Option<&str>, key: &str) -> Vec<String> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs
        .filter(|(name, _)| name == key)
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// `true` or `false`; left out it is the latter.
pub(super) fn truth(query: Option<&str>, key: &str) -> Result<bool, Objection> {
    match values(query, key).last().map(String::as_str) {
        None => Ok(false),
        Some(word) if word.eq_ignore_ascii_case("true") => Ok(true),
        Some(word) if word.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(bad(format!("`{key}` is `true` or `false`"))),
    }
}
