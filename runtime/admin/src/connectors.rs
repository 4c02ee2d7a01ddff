//! `/status`, and what connectors can do that Kafka Connect's can't.

use crate::operator::{Objection, Operator, SwapCall};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
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

/// What may be said of a swap beside its component.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SwapQuery {
    sha256: Option<String>,
    /// JSON.
    settings: Option<String>,
    /// ms.
    probation_ms: Option<u64>,
    #[serde(default)]
    dry_run: bool,
}

pub(crate) fn routes(operator: Arc<dyn Operator>) -> Router {
    Router::new()
        .route("/status", get(all))
        .route("/status/{connector}", get(one))
        .route("/connectors/{connector}/details", get(details))
        .route("/connectors/{connector}/swaps", get(swaps))
        .route("/connectors/{connector}/swap", post(swap))
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

async fn swap(
    State(operator): Asked,
    Path(connector): Path<String>,
    Query(query): Query<SwapQuery>,
    body: Bytes,
) -> Response {
    let bad = |message: String| {
        answer(Err(Objection {
            status: StatusCode::BAD_REQUEST.as_u16(),
            code: "bad-request",
            message,
        }))
    };
    let settings = match query.settings.as_deref().map(serde_json::from_str::<Value>) {
        None => None,
        Some(Ok(settings)) => Some(settings),
        Some(Err(error)) => return bad(format!("`settings` is not JSON: {error}")),
    };
    let probation = query.probation_ms.map(Duration::from_millis);
    if probation.is_some_and(|it| it > PROBATION_MAX) {
        return bad("`probation-ms` is at most a day".to_owned());
    }
    if body.is_empty() && settings.is_none() {
        return bad("send a component as the body, or `settings`, or both".to_owned());
    }
    let call = SwapCall {
        connector,
        component: (!body.is_empty()).then(|| body.to_vec()),
        sha256: query.sha256,
        settings,
        probation,
        dry_run: query.dry_run,
    };
    answer(operator.swap(call).await)
}

pub(crate) fn answer(outcome: Result<Value, Objection>) -> Response {
    match outcome {
        Ok(value) => Json(value).into_response(),
        Err(objection) => objection.into_response(),
    }
}
