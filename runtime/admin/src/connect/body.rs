//! Bodies of requests.

use super::answer::bad;
use crate::operator::Objection;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use jackfield_connect::FlatConfig;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Bytes of a body: configs and offsets are texts that people write.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A body as JSON. It has to say that it is: a page in a browser can't say so of a request to
/// another site without asking first.
pub(super) fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Objection> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if !essence.is_some_and(|it| it.eq_ignore_ascii_case("application/json")) {
        return Err(Objection {
            status: 415,
            code: "unsupported-media-type",
            message: "HTTP 415 Unsupported Media Type: send `Content-Type: application/json`"
                .to_owned(),
        });
    }
    serde_json::from_slice(body).map_err(|error| bad(format!("the body can't be read: {error}")))
}

/// Texts by key. Numbers and truth values count as their text; what is null was not given.
pub(super) fn texts(given: Map<String, Value>) -> Result<FlatConfig, Objection> {
    let patch = patch(given)?;
    Ok(patch
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect())
}

/// Likewise, where null means something.
pub(super) fn patch(
    given: Map<String, Value>,
) -> Result<BTreeMap<String, Option<String>>, Objection> {
    let mut patch = BTreeMap::new();
    for (key, value) in given {
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Array(_) | Value::Object(_) => {
                let why = format!("the value of `{key}` is not a text: write JSON into a text");
                return Err(bad(why));
            }
        };
        patch.insert(key, text);
    }
    Ok(patch)
}

/// The config of the connector of this name: it may repeat the name, and no other.
pub(super) fn named(connector: &str, mut config: FlatConfig) -> Result<FlatConfig, Objection> {
    match config.get("name") {
        Some(name) if name != connector => Err(bad(format!(
            "Connector name configuration ({name}) doesn't match connector name in the URL ({connector})"
        ))),
        Some(_) => Ok(config),
        None => {
            config.insert("name".to_owned(), connector.to_owned());
            Ok(config)
        }
    }
}
