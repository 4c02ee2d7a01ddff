//! Requests that change something: so many a second, and a line for each in the log.

use crate::connections::Peer;
use crate::guard::Unwritten;
use crate::operator::Objection;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jackfield_telemetry::logging::Levels;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Changes that may come at once: a script that sets up a site.
const BURST_MAX: f64 = 500.0;
/// Changes a second after that. Each may load a component and restart a connector; people and
/// controllers make a few a minute, and a script that tries again while a connector is busy some a
/// second.
const CHANGES_PER_SECOND: f64 = 50.0;
/// Longest part of a path that is logged, bytes: names are shorter.
const PATH_BYTES_MAX: usize = 300;

/// Changes that may be made now.
#[derive(Clone)]
pub(crate) struct Limit(Arc<Mutex<Bucket>>);

struct Bucket {
    changes: f64,
    at: Instant,
}

impl Limit {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Bucket {
            changes: BURST_MAX,
            at: Instant::now(),
        })))
    }

    fn take(&self) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.changes = (bucket.changes + since * CHANGES_PER_SECOND).min(BURST_MAX);
        bucket.at = now;
        let free = bucket.changes >= 1.0;
        if free {
            bucket.changes -= 1.0;
        }
        free
    }
}

fn is_change(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// Of what costs as much as a change, this changes nothing.
const VALIDATION: &str = "/config/validate";

/// Whether a request is a line in the log, unless it is one more of many.
pub(crate) fn is_written(request: &Request) -> bool {
    is_change(request.method()) && !request.uri().path().ends_with(VALIDATION)
}

/// Lets changes through as fast as they may come.
pub(crate) async fn limit(State(limit): State<Limit>, request: Request, next: Next) -> Response {
    if !is_change(request.method()) || limit.take() {
        return next.run(request).await;
    }
    let refused = Objection {
        status: 429,
        code: "too-many",
        message: format!("more than {CHANGES_PER_SECOND} changes a second: try again in a second"),
    };
    let mut response = refused.into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Writes down who wanted to change what, and what came of it. Of those that the guard refuses one
/// in a while: who is let in to nothing fills no disk either.
pub(crate) async fn audit(request: Request, next: Next) -> Response {
    if !is_written(&request) {
        return next.run(request).await;
    }
    let method = request.method().clone();
    // Without the query: settings may be in it.
    let mut path = request.uri().path().to_owned();
    let end = (0..=PATH_BYTES_MAX.min(path.len()))
        .rev()
        .find(|n| path.is_char_boundary(*n));
    path.truncate(end.unwrap_or(0));
    let what = request
        .extensions()
        .get::<MatchedPath>()
        .map(|matched| matched.as_str().to_owned());
    let who = request
        .extensions()
        .get::<ConnectInfo<Peer>>()
        .map(|ConnectInfo(Peer(address))| address.to_string());
    let response = next.run(request).await;
    if response.extensions().get::<Unwritten>().is_some() {
        return response;
    }
    let status = response.status();
    let outcome = match status.as_u16() {
        200..400 => "done",
        401 | 403 | 421 | 429 => "denied",
        400..500 => "refused",
        _ => "failed",
    };
    tracing::info!(
        target: Levels::AUDIT,
        who = who.as_deref().unwrap_or("?"),
        %method,
        path,
        route = what.as_deref().unwrap_or("?"),
        status = status.as_u16(),
        outcome,
        "a change was asked for"
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn changes_come_back_with_time() {
        let limit = Limit::new();
        let taken = (0..1000).filter(|_| limit.take()).count();
        assert_eq!(taken, BURST_MAX as usize);
        tokio::time::advance(Duration::from_secs(1)).await;
        let taken = (0..1000).filter(|_| limit.take()).count();
        assert_eq!(taken, CHANGES_PER_SECOND as usize);
    }
}
