//! `/status`, and what connectors can do that Kafka Connect's can't.

use crate::operator::{Chunks, Component, Objection, Operator, RecordCall, SwapCall};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of an uploaded component: several times what the largest known one has.
const COMPONENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest probation that can be asked for.
const PROBATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest shadow or recording that can be asked for.
const LISTEN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What may be said of a swap beside its component.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SwapQuery {
    /// A name in the folder of components.
    file: Option<String>,
    sha256: Option<String>,
    /// JSON.
    settings: Option<String>,
    /// ms.
    probation_ms: Option<u64>,
    #[serde(default)]
    dry_run: bool,
    /// ms.
    shadow_ms: Option<u64>,
}

/// How long and how much is to be recorded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RecordQuery {
    /// ms.
    for_ms: u64,
    bytes_max: Option<u64>,
}

pub(crate) fn routes(operator: Arc<dyn Operator>) -> Router {
    Router::new()
        .route("/status", get(all))
        .route("/status/{connector}", get(one))
        .route("/connectors/{connector}/details", get(details))
        .route("/connectors/{connector}/swaps", get(swaps))
        .route("/connectors/{connector}/shadows", get(shadows))
        .route("/connectors/{connector}/swap", post(swap))
        .route("/connectors/{connector}/record", post(record))
        .layer(DefaultBodyLimit::max(COMPONENT_BYTES_MAX))
        .with_state(operator)
}

type Asked = State<Arc<dyn Operator>>;

async fn all(State(operator): Asked) -> Response {
    answer(operator.status(None))
}

async fn one(State(operator): Asked, Path(connector): Path<String>) -> Response {
    answer(operator.status(Some(&connector)))
}

async fn details(State(operator): Asked, Path(connector): Path<String>) -> Response {
    answer(operator.details(&connector))
}

async fn swaps(State(operator): Asked, Path(connector): Path<String>) -> Response {
    answer(operator.swaps(&connector))
}

async fn shadows(State(operator): Asked, Path(connector): Path<String>) -> Response {
    answer(operator.shadows(&connector))
}

async fn record(
    State(operator): Asked,
    Path(connector): Path<String>,
    Query(query): Query<RecordQuery>,
) -> Response {
    let span = Duration::from_millis(query.for_ms);
    if span > LISTEN_MAX {
        return bad("`for-ms` is at most a day");
    }
    let call = RecordCall {
        connector,
        span,
        bytes_max: query.bytes_max,
    };
    let chunks = match operator.record(call).await {
        Ok(chunks) => chunks,
        Err(objection) => return answer(Err(objection)),
    };
    let chunks = futures::stream::unfold(chunks, |mut chunks: Chunks| async move {
        let chunk = chunks.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), chunks))
    });
    let kind = [(CONTENT_TYPE, "application/octet-stream")];
    (kind, Body::from_stream(chunks)).into_response()
}

fn bad(message: impl Into<String>) -> Response {
    answer(Err(Objection {
        status: StatusCode::BAD_REQUEST.as_u16(),
        code: "bad-request",
        message: message.into(),
    }))
}

async fn swap(
    State(operator): Asked,
    Path(connector): Path<String>,
    Query(query): Query<SwapQuery>,
    body: Bytes,
) -> Response {
    let settings = match query.settings.as_deref().map(serde_json::from_str::<Value>) {
        None => None,
        Some(Ok(settings)) => Some(settings),
        Some(Err(error)) => return bad(format!("`settings` is not JSON: {error}")),
    };
    let probation = query.probation_ms.map(Duration::from_millis);
    if probation.is_some_and(|it| it > PROBATION_MAX) {
        return bad("`probation-ms` is at most a day");
    }
    let shadow = query.shadow_ms.map(Duration::from_millis);
    if shadow.is_some_and(|it| it > LISTEN_MAX) {
        return bad("`shadow-ms` is at most a day");
    }
    let component = match (query.file, body.is_empty()) {
        (Some(_), false) => return bad("send a component as the body, or name a `file`: not both"),
        (Some(name), true) => Some(Component::Named(name)),
        (None, false) => Some(Component::Uploaded(body.to_vec())),
        (None, true) => None,
    };
    if component.is_none() && settings.is_none() {
        return bad("send a component as the body, or name a `file`, or send `settings`");
    }
    let call = SwapCall {
        connector,
        component,
        sha256: query.sha256,
        settings,
        probation,
        dry_run: query.dry_run,
        shadow,
    };
    answer(operator.swap(call).await)
}

pub(crate) fn answer(outcome: Result<Value, Objection>) -> Response {
    match outcome {
        Ok(value) => Json(value).into_response(),
        Err(objection) => objection.into_response(),
    }
}
