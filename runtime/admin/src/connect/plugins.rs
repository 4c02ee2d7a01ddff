//! `/connector-plugins`.

use super::Asked;
use super::answer::{Outcome, bad, ok, within};
use super::body::{json, texts};
use super::connectors::values;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::{get, put};

pub(super) fn routes() -> Router<Asked> {
    Router::new()
        .route("/connector-plugins", get(list))
        .route("/connector-plugins/", get(list))
        .route("/connector-plugins/{plugin}/config", get(config))
        .route("/connector-plugins/{plugin}/config/validate", put(validate))
}

async fn list(State(asked): State<Asked>, RawQuery(query): RawQuery) -> Outcome {
    let mut plugins = within(asked.herder.plugins()).await?;
    let all = values(query.as_deref(), "connectorsOnly")
        .last()
        .is_some_and(|word| word.eq_ignore_ascii_case("false"));
    if !all {
        plugins.retain(|plugin| plugin.kind == "source" || plugin.kind == "sink");
    }
    ok(&plugins)
}

async fn config(State(asked): State<Asked>, Path(plugin): Path<String>) -> Outcome {
    ok(&within(asked.herder.plugin_config(&plugin)).await?)
}

async fn validate(
    State(asked): State<Asked>,
    Path(plugin): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Outcome {
    let config = texts(json(&headers, &body)?)?;
    match config.get("connector.class") {
        Some(class) if *class == plugin => {}
        Some(class) => {
            return Err(bad(format!(
                "Included connector type {class} does not match request type {plugin}"
            )));
        }
        None => return Err(bad("Connector config contains no connector type")),
    }
    ok(&within(asked.herder.validate(&plugin, config)).await?)
}
