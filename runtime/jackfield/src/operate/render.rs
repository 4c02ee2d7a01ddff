//! A record as a line of JSON, for people.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jackfield_batch::Record;
use jackfield_log_json::Plan;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How the bytes of a schema are read.
#[derive(Debug, Clone)]
pub(super) enum Reading {
    /// By an Avro schema.
    Avro(Arc<Plan>),
    /// As JSON, or else as text.
    Text,
    /// Not at all, for this reason.
    Unreadable(String),
}

/// One line, with its end.
pub(super) fn line(
    partition: i32,
    offset: i64,
    record: &Record<'_>,
    key: &Reading,
    value: &Reading,
) -> Vec<u8> {
    let mut headers = Map::new();
    for (name, header) in record.headers.iter() {
        headers.insert(name.to_owned(), header.map_or(Value::Null, text_or_base64));
    }
    let line = format!(
        "{{\"partition\":{partition},\"offset\":{offset},\"timestamp\":{},\"key\":{},\"value\":{},\"headers\":{}}}\n",
        record.timestamp_ms,
        decoded(record.key, key),
        decoded(record.value, value),
        Value::Object(headers),
    );
    line.into_bytes()
}

/// The last line, where no more can be given.
pub(super) fn failure(why: &str) -> Vec<u8> {
    let mut line = json!({ "error": why }).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// JSON: the value, or its bytes and why they are not read.
fn decoded(bytes: Option<&[u8]>, reading: &Reading) -> String {
    let Some(bytes) = bytes else {
        return "null".to_owned();
    };
    let raw = |why: &str| json!({ "base64": STANDARD.encode(bytes), "reason": why }).to_string();
    match reading {
        Reading::Avro(plan) => match plan.json_of(bytes) {
            Ok(json) => json,
            Err(why) => raw(&why.to_string()),
        },
        Reading::Text => as_json(bytes).unwrap_or_else(|| text_or_base64(bytes).to_string()),
        Reading::Unreadable(why) => raw(why),
    }
}

/// What is one JSON object or list stays one, on a line. Numbers and words are taken as text: a key
/// of digits is no number.
fn as_json(bytes: &[u8]) -> Option<String> {
    if !matches!(bytes.first()?, b'{' | b'[') {
        return None;
    }
    let parsed: &RawValue = serde_json::from_slice(bytes).ok()?;
    let text = parsed.get();
    if text.contains(['\n', '\r']) {
        // White space only: inside of strings line ends are escaped.
        return Some(text.replace(['\n', '\r'], ""));
    }
    Some(text.to_owned())
}

fn text_or_base64(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => {
            json!({ "base64": STANDARD.encode(bytes), "reason": "no text, and it has no schema" })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jackfield_batch::{Headers, SchemaIds};

    fn shown(key: Option<&[u8]>, value: Option<&[u8]>, reading: &Reading) -> Value {
        let headers: [(&str, Option<&[u8]>); 2] = [("h", Some(b"x")), ("n", None)];
        let record = Record {
            timestamp_ms: 7,
            key,
            value,
            schemas: SchemaIds { value: 0, key: 0 },
            headers: Headers::of(&headers),
        };
        let line = line(1, 2, &record, &Reading::Text, reading);
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text.find('\n'), Some(text.len() - 1), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn avro_is_json() {
        let schema = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
        let avro = Reading::Avro(Arc::new(Plan::of(schema).unwrap()));
        assert_eq!(
            shown(Some(b"12"), Some(&[14]), &avro),
            json!({ "partition": 1, "offset": 2, "timestamp": 7, "key": "12", "value": { "a": 7 },
                    "headers": { "h": "x", "n": null } })
        );
        let broken = shown(None, Some(&[0xff]), &avro);
        assert_eq!(broken["key"], Value::Null);
        assert_eq!(broken["value"]["base64"], "/w==");
        assert!(broken["value"]["reason"].is_string());
    }

    #[test]
    fn what_has_no_schema_is_json_text_or_bytes() {
        let value = |bytes: &[u8]| shown(None, Some(bytes), &Reading::Text)["value"].clone();
        assert_eq!(value(b"{\"a\":\n [1.50]}"), json!({ "a": [1.50] }));
        assert_eq!(value(b"{broken"), "{broken");
        assert_eq!(value(b"007"), "007");
        assert_eq!(value(b""), "");
        assert_eq!(value(&[0xff, 0])["base64"], "/wA=");
    }

    #[test]
    fn a_schema_that_is_not_there_is_the_reason() {
        let unreadable = Reading::Unreadable("no schema has the id 7".to_owned());
        let value = &shown(None, Some(b"x"), &unreadable)["value"];
        assert_eq!(value["reason"], "no schema has the id 7");
    }
}
