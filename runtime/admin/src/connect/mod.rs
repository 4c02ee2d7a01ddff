//! Kafka Connect's REST API, as clients of its 4.1 know it. docs/REST.md says what is another.

mod answer;
mod body;
mod connectors;
mod herder;
mod loggers;
mod offsets;
mod plugins;
mod root;
mod tasks;

pub use herder::{Herder, Put, Restart};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use jackfield_telemetry::logging::Levels;
use std::fmt;
use std::sync::Arc;

/// Whom requests are answered by.
#[derive(Clone)]
pub struct Connect {
    /// Runs the connectors.
    pub herder: Arc<dyn Herder>,
    /// Levels of log lines.
    pub levels: Levels,
    /// This program's own commit.
    pub commit: Arc<str>,
}

/// What handlers ask.
pub(crate) type Asked = Connect;

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").finish_non_exhaustive()
    }
}

/// For those who are let in.
pub(crate) fn routes(connect: Connect) -> Router {
    connectors::routes()
        .merge(tasks::routes())
        .merge(offsets::routes())
        .merge(plugins::routes())
        .merge(loggers::routes())
        // A page for people belongs here too, where `Accept` prefers `text/html`.
        .route("/", get(root::server))
        .layer(DefaultBodyLimit::max(body::BODY_BYTES_MAX))
        .with_state(connect)
}

/// For everybody, as probes.
pub(crate) fn open_routes(connect: Connect) -> Router {
    Router::new()
        .route("/health", get(root::health))
        .with_state(connect)
}
