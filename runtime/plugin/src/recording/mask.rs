//! Settings without what should not leave the process.
//!
//! No secret belongs into settings: a component never sees one, and `${file:…}` is refused there.
//! What somebody put there all the same is neither shown nor recorded, as far as it can be told. A
//! grant's headers never are among settings.

use serde_json::{Map, Value};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use url::Url;

/// What stands in the place of a secret.
const MASK: &str = "***";
/// Words that speak of a secret, wherever in a key they stand: one value too many that is masked
/// costs less than a secret in a bug report.
const SECRET_WORDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "authorization",
    "api-key",
    "apikey",
    "access-key",
    "accesskey",
    "private",
];
/// Bytes of a secret that is known again elsewhere: shorter ones stand there by chance.
const KNOWN_BYTES_MIN: usize = 6;
/// Schemas that may hold for one value: what is generated has a few.
const SCHEMAS_MAX: usize = 256;

/// What was taken out of a connector's settings, to be taken out of what was made of them too. It
/// has no form for people, since it holds secrets.
#[derive(Default)]
pub struct Secrets {
    schema: Value,
    known: BTreeSet<String>,
    any: bool,
}

/// The settings without what their JSON Schema, their keys or their form tell to be secret.
pub fn masked(settings: &Value, schema: Option<&str>) -> (Value, Secrets) {
    // A component whose schema can't be read does not get as far as running.
    let schema = schema.and_then(|it| serde_json::from_str(it).ok());
    let mut secrets = Secrets {
        schema: schema.unwrap_or_default(),
        ..Secrets::default()
    };
    let shown = secrets.without(settings);
    (shown, secrets)
}

impl Secrets {
    /// Whether anything was masked.
    pub fn any(&self) -> bool {
        self.any
    }

    /// A slot's settings, which its plan may have copied out of the connector's. The same text if
    /// nothing in it is secret.
    pub fn slot(&mut self, settings: &str) -> String {
        let Ok(value) = serde_json::from_str::<Value>(settings) else {
            let text = self.without_password(settings);
            return self.without_known(&text);
        };
        let masked = self.without(&value);
        let masked = self.all_without_known(masked);
        if masked == value {
            settings.to_owned()
        } else {
            masked.to_string()
        }
    }

    fn without(&mut self, value: &Value) -> Value {
        let root = std::mem::take(&mut self.schema);
        let masked = self.part_without(value, vec![&root], &root);
        self.schema = root;
        masked
    }

    fn part_without(&mut self, value: &Value, schemas: Vec<&Value>, root: &Value) -> Value {
        let schemas = applicable(schemas, root);
        if schemas.iter().any(|it| is_secret(it)) && !value.is_null() {
            return self.hide(value);
        }
        match value {
            Value::Object(map) => map
                .iter()
                .map(|(key, it)| {
                    let masked = if names_a_secret(key, it) {
                        self.hide(it)
                    } else {
                        let parts = schemas.iter().map(|schema| part(schema, key));
                        self.part_without(it, parts.collect(), root)
                    };
                    (key.clone(), masked)
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(list) => list
                .iter()
                .map(|it| {
                    let items = schemas.iter().map(|schema| &schema["items"]);
                    self.part_without(it, items.collect(), root)
                })
                .collect(),
            Value::String(text) => self.without_password(text).into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn hide(&mut self, value: &Value) -> Value {
        self.any = true;
        self.know(value);
        MASK.into()
    }

    fn know(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.know_text(text),
            Value::Number(number) => self.know_text(&number.to_string()),
            Value::Array(list) => list.iter().for_each(|it| self.know(it)),
            Value::Object(map) => map.values().for_each(|it| self.know(it)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn know_text(&mut self, text: &str) {
        if text.len() >= KNOWN_BYTES_MIN {
            self.known.insert(text.to_owned());
        }
    }

    fn all_without_known(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.without_known(&text).into(),
            Value::Number(number) if self.known.contains(&number.to_string()) => MASK.into(),
            Value::Array(list) => list
                .into_iter()
                .map(|it| self.all_without_known(it))
                .collect(),
            Value::Object(map) => map
                .into_iter()
                .map(|(key, it)| (key, self.all_without_known(it)))
                .collect::<Map<_, _>>()
                .into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    fn without_known(&self, text: &str) -> String {
        let mut known: Vec<&String> = self.known.iter().collect();
        // One may be a part of another, of which the rest must not stay.
        known.sort_by_key(|it| Reverse(it.len()));
        let without = |text: String, secret: &String| text.replace(secret, MASK);
        known.into_iter().fold(text.to_owned(), without)
    }

    fn without_password(&mut self, text: &str) -> String {
        if !text.contains("://") || !text.contains('@') {
            return text.to_owned();
        }
        match Url::parse(text) {
            Ok(mut url) if url.password().is_some() => {
                self.any = true;
                let password = url.password().unwrap_or_default().to_owned();
                self.know_text(&password);
                match url.set_password(Some(MASK)) {
                    Ok(()) => url.to_string(),
                    Err(()) => MASK.to_owned(),
                }
            }
            Ok(_) => text.to_owned(),
            // What can't be taken apart may hold one anywhere.
            Err(_) => {
                self.any = true;
                MASK.to_owned()
            }
        }
    }
}

/// The schemas and all that hold together with them: those that they refer to, and every one that
/// they are combined of.
fn applicable<'a>(mut next: Vec<&'a Value>, root: &'a Value) -> Vec<&'a Value> {
    let mut all: Vec<&Value> = Vec::new();
    while let Some(schema) = next.pop() {
        let known = all.iter().any(|it| std::ptr::eq(*it, schema));
        if known || !schema.is_object() || all.len() == SCHEMAS_MAX {
            continue;
        }
        all.push(schema);
        let pointer = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
        next.extend(pointer.and_then(|it| root.pointer(it)));
        for combined in ["allOf", "anyOf", "oneOf"] {
            next.extend(schema[combined].as_array().into_iter().flatten());
        }
    }
    all
}

fn part<'a>(schema: &'a Value, key: &str) -> &'a Value {
    match &schema["properties"][key] {
        Value::Null => &schema["additionalProperties"],
        found => found,
    }
}

fn is_secret(schema: &Value) -> bool {
    schema["writeOnly"] == true || schema["format"] == "password"
}

/// Numbers count as secrets only where the key ends with the word: many keys count things.
fn names_a_secret(key: &str, value: &Value) -> bool {
    let key = key.to_lowercase().replace(['_', '.', ' '], "-");
    let mut words = SECRET_WORDS.iter();
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(_) => words.any(|word| key.ends_with(word)),
        Value::String(_) | Value::Array(_) | Value::Object(_) => {
            words.any(|word| key.contains(word))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> String {
        let schema = json!({
            "properties": {
                "key": { "$ref": "#/$defs/Key" },
                "pin": { "writeOnly": true },
                "several": { "items": { "format": "password" } },
                "either": { "oneOf": [
                    { "properties": { "kind": {}, "a": { "writeOnly": true } } },
                    { "type": "null" }
                ] }
            },
            "$defs": {
                "Key": {
                    "properties": { "inner": { "format": "password" } },
                    "additionalProperties": { "$ref": "#/$defs/Key" }
                }
            }
        });
        schema.to_string()
    }

    #[test]
    fn secrets_are_told_by_schema_key_and_form() {
        let settings = json!({
            "key": { "inner": "hidden", "other": { "inner": "hidden", "more": "shown" } },
            "pin": 1234,
            "several": ["hidden", "hidden"],
            "either": { "kind": "a", "a": "hidden" },
            "db": { "password": 1, "secret-name": "hidden", "tokens": 3, "use-token": true },
            "a": [{ "API_KEY": "hidden", "b": 1 }],
            "accessToken": { "c": 2 },
            "passphrase": "hidden",
            "endpoint": "https://me:hidden@host/path",
            "mail": "me@host",
            "odd": "http://me:hidden@[",
            "null": null
        });
        let (shown, secrets) = masked(&settings, Some(&schema()));
        let expected = json!({
            "key": { "inner": MASK, "other": { "inner": MASK, "more": "shown" } },
            "pin": MASK,
            "several": [MASK, MASK],
            "either": { "kind": "a", "a": MASK },
            "db": { "password": MASK, "secret-name": MASK, "tokens": 3, "use-token": true },
            "a": [{ "API_KEY": MASK, "b": 1 }],
            "accessToken": MASK,
            "passphrase": MASK,
            "endpoint": "https://me:***@host/path",
            "mail": "me@host",
            "odd": MASK,
            "null": null
        });
        assert_eq!(shown, expected);
        assert!(secrets.any());
    }

    #[test]
    fn what_holds_no_secret_is_left_as_it_is() {
        for schema in [None, Some(""), Some(&*schema())] {
            let settings = json!({ "symbols": ["BTCUSDT"], "a": 1 });
            let (shown, mut secrets) = masked(&settings, schema);
            assert_eq!(shown, settings);
            for slot in ["{ \"a\":  1 }", "a text", ""] {
                assert_eq!(secrets.slot(slot), slot);
            }
            assert!(!secrets.any());
        }
    }

    #[test]
    fn what_a_plan_copied_into_a_slots_settings_is_masked_there() {
        let settings = json!({ "pin": "hidden-pin", "url": "https://me:hidden-word@host" });
        let (_, mut secrets) = masked(&settings, Some(&schema()));
        let slot = json!({
            "pin": "another",
            "code": "hidden-pin",
            "header": ["Basic hidden-word"],
            "db": { "password": "one more" },
            "symbol": "BTCUSDT"
        });
        let shown: Value = serde_json::from_str(&secrets.slot(&slot.to_string())).unwrap();
        let expected = json!({
            "pin": MASK,
            "code": MASK,
            "header": ["Basic ***"],
            "db": { "password": MASK },
            "symbol": "BTCUSDT"
        });
        assert_eq!(shown, expected);
        assert_eq!(secrets.slot("BTCUSDT with hidden-pin"), "BTCUSDT with ***");
        let two = json!({ "password": "hidden", "passphrase": "hidden too" });
        let (_, secrets) = masked(&two, None);
        assert_eq!(secrets.without_known("hidden too, hidden"), "***, ***");
        let (_, mut secrets) = masked(&json!({}), None);
        assert_eq!(secrets.slot(r#"{"password":"x"}"#), r#"{"password":"***"}"#);
        assert!(secrets.any(), "a replay needs settings of its own");
    }

    #[test]
    fn a_schema_that_leads_back_to_itself_ends() {
        let schema = r##"{ "$ref": "#", "allOf": [{ "$ref": "#" }, { "$ref": "#" }] }"##;
        let settings = json!({ "a": { "b": 1 } });
        assert_eq!(masked(&settings, Some(schema)).0, settings);
    }
}
