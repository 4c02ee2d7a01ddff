//! Settings as they may be shown.
//!
//! No secret belongs into settings: a component never sees one, and `${file:…}` is refused there.
//! What somebody put there all the same is not shown either, as far as it can be told.

use jackfield_config::MASK;
use serde_json::{Map, Value};
use url::Url;

/// Words that a key of a secret ends with.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passphrase",
    "secret",
    "token",
    "credential",
    "credentials",
    "apikey",
    "api-key",
    "access-key",
    "private-key",
    "secret-key",
];

/// Settings without what their JSON Schema, their keys or their form tell to be secret.
pub(super) fn masked(settings: &Value, schema: &str) -> Value {
    // A component whose schema can't be read does not get as far as running.
    let root = serde_json::from_str(schema).unwrap_or_default();
    without(settings, &root, &root)
}

fn without(value: &Value, schema: &Value, root: &Value) -> Value {
    let schema = resolved(schema, root);
    if is_secret(schema) && !value.is_null() {
        return MASK.into();
    }
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, it)| {
                let hidden = names_a_secret(key) && (it.is_string() || it.is_number());
                let it = if hidden {
                    MASK.into()
                } else {
                    without(it, part(schema, key), root)
                };
                (key.clone(), it)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list
            .iter()
            .map(|it| without(it, &schema["items"], root))
            .collect(),
        Value::String(text) => without_password(text).into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn part<'a>(schema: &'a Value, key: &str) -> &'a Value {
    match &schema["properties"][key] {
        Value::Null => &schema["additionalProperties"],
        found => found,
    }
}

/// The schema that a reference leads to, one step far: that is how they are generated.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let pointer = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    pointer.and_then(|it| root.pointer(it)).unwrap_or(schema)
}

fn is_secret(schema: &Value) -> bool {
    schema["writeOnly"] == true || schema["format"] == "password"
}

fn names_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace(['_', '.'], "-");
    SECRET_WORDS.iter().any(|word| {
        let before = key.strip_suffix(word);
        before.is_some_and(|it| it.is_empty() || it.ends_with('-'))
    })
}

fn without_password(text: &str) -> String {
    if !text.contains("://") || !text.contains('@') {
        return text.to_owned();
    }
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() => match url.set_password(Some(MASK)) {
            Ok(()) => url.to_string(),
            Err(()) => MASK.to_owned(),
        },
        Ok(_) => text.to_owned(),
        // What can't be taken apart may hold one anywhere.
        Err(_) => MASK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_told_by_schema_key_and_form() {
        let schema = json!({
            "properties": {
                "key": { "$ref": "#/$defs/Key" },
                "pin": { "writeOnly": true },
                "several": { "items": { "format": "password" } }
            },
            "$defs": { "Key": { "properties": { "inner": { "format": "password" } } } }
        });
        let settings = json!({
            "key": { "inner": "hidden", "other": "shown" },
            "pin": 1234,
            "several": ["hidden", "hidden"],
            "db": { "password": "hidden", "API_KEY": "hidden", "secret-name": "shown", "tokens": 3 },
            "endpoint": "https://me:hidden@host/path",
            "mail": "me@host",
            "odd": "http://me:hidden@[",
            "null": null
        });
        let shown = masked(&settings, &schema.to_string());
        let expected = json!({
            "key": { "inner": "***", "other": "shown" },
            "pin": "***",
            "several": ["***", "***"],
            "db": { "password": "***", "API_KEY": "***", "secret-name": "shown", "tokens": 3 },
            "endpoint": "https://me:***@host/path",
            "mail": "me@host",
            "odd": "***",
            "null": null
        });
        assert_eq!(shown, expected);
        assert_eq!(masked(&json!({ "a": 1 }), ""), json!({ "a": 1 }));
    }
}
