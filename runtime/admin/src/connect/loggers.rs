//! `/admin/loggers`.

use super::Asked;
use super::answer::{Outcome, bad, empty, ok, within};
use super::body::{json, texts};
use super::connectors::values;
use crate::operator::Objection;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use jackfield_connect::entities::LoggerLevel;
use jackfield_telemetry::logging::{LevelError, Logger};
use std::collections::BTreeMap;

pub(super) fn routes() -> Router<Asked> {
    Router::new()
        .route("/admin/loggers", get(list))
        .route("/admin/loggers/", get(list))
        .route("/admin/loggers/{logger}", get(level).put(set))
}

async fn list(State(asked): State<Asked>) -> Outcome {
    let all = asked.levels.all();
    let all: BTreeMap<_, _> = all.iter().map(|it| (&it.name, said(it))).collect();
    ok(&all)
}

async fn level(State(asked): State<Asked>, Path(logger): Path<String>) -> Outcome {
    let found = asked.levels.of(&logger).ok_or_else(|| Objection {
        status: 404,
        code: "unknown-logger",
        message: format!("Logger {logger} not found."),
    })?;
    ok(&said(&found))
}

async fn set(
    State(asked): State<Asked>,
    Path(logger): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Outcome {
    let given = texts(json(&headers, &body)?)?;
    let level = given
        .get("level")
        .ok_or_else(|| bad("Desired 'level' parameter was not specified in request."))?;
    let cluster = match values(query.as_deref(), "scope").last().map(String::as_str) {
        None | Some("worker") => false,
        Some("cluster") => true,
        Some(_) => return Err(bad("`scope` is `worker` or `cluster`")),
    };
    let changed = asked.levels.set(&logger, level).map_err(objection)?;
    if cluster {
        within(asked.herder.spread_level(&logger, level)).await?;
        return empty(StatusCode::NO_CONTENT);
    }
    ok(&changed)
}

fn said(logger: &Logger) -> LoggerLevel {
    LoggerLevel {
        level: logger.level.to_owned(),
        last_modified: logger.changed_ms,
    }
}

/// Kafka Connect knows a level or does not find it.
fn objection(error: LevelError) -> Objection {
    let status = match &error {
        LevelError::UnknownLevel(_) | LevelError::NoLogger(_) => 404,
        LevelError::AlwaysOn(_) | LevelError::TooMany | LevelError::Gone(_) => 400,
    };
    Objection {
        status,
        code: "not-set",
        message: error.to_string(),
    }
}
