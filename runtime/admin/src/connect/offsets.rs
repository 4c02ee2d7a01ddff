//! `/connectors/{c}/offsets`.

use super::Asked;
use super::answer::{Outcome, bad, ok, within};
use super::body::json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::get;
use jackfield_connect::entities::ConnectorOffsets;

pub(super) fn routes() -> Router<Asked> {
    Router::new().route(
        "/connectors/{connector}/offsets",
        get(offsets).patch(alter).delete(reset),
    )
}

async fn offsets(State(asked): State<Asked>, Path(connector): Path<String>) -> Outcome {
    ok(&within(asked.herder.offsets(&connector)).await?)
}

async fn alter(
    State(asked): State<Asked>,
    Path(connector): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Outcome {
    let given: ConnectorOffsets = json(&headers, &body)?;
    if given.offsets.is_empty() {
        return Err(bad(
            "Partitions / offsets need to be provided for an alter offsets request",
        ));
    }
    ok(&within(asked.herder.alter_offsets(&connector, given.offsets)).await?)
}

async fn reset(State(asked): State<Asked>, Path(connector): Path<String>) -> Outcome {
    ok(&within(asked.herder.reset_offsets(&connector)).await?)
}
