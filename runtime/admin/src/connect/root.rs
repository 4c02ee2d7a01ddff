//! `/` and `/health`.

use super::Asked;
use super::answer::{Outcome, ok, with};
use axum::extract::State;
use axum::http::StatusCode;
use jackfield_connect::entities::ServerInfo;

/// The version of Kafka Connect whose API this is: clients ask for offsets from 3.6 on, for PATCH
/// from 3.9 on, for versions of plugins from 4.1 on.
const CONNECT_VERSION: &str = "4.1.0";

/// Kafka Connect's own answer to `GET /`.
pub(crate) async fn server(State(asked): State<Asked>) -> Outcome {
    ok(&ServerInfo {
        version: CONNECT_VERSION.to_owned(),
        commit: asked.commit.to_string(),
        kafka_cluster_id: asked.herder.cluster(),
    })
}

/// Whether this process can do what it is asked.
pub(crate) async fn health(State(asked): State<Asked>) -> Outcome {
    let health = asked.herder.health();
    let status = match health.status.as_str() {
        "healthy" => StatusCode::OK,
        "starting" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    with(status, &health)
}
