//! Secrets in configs. A plugin has none: they belong into the file's grants. But a config may
//! hold what looks like one, and it must not be shown to whoever may look.

use crate::FlatConfig;
use crate::keys;
use jackfield_config::MASK;
use serde_json::Value;
use url::Url;

/// Parts of names that secrets have.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "credential",
    "apikey",
    "api.key",
    "api-key",
    "api_key",
    "access.key",
    "access-key",
    "access_key",
    "private.key",
    "private-key",
    "private_key",
    "sasl.jaas.config",
];

/// Whether a key of this name may hold a secret.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Whether a value is not to be shown, by its key's name or by what it looks like.
pub(crate) fn hides(key: &str, value: &str) -> bool {
    is_hidden(key, value, &|_| false)
}

/// `secret` tells of further keys whose author calls them secret.
fn is_hidden(key: &str, value: &str, secret: &dyn Fn(&str) -> bool) -> bool {
    if value.is_empty() {
        return false;
    }
    // What the runtime has a meaning for is no setting, though a plugin has one of that name.
    let nothing = |_: &str| false;
    let secret: &dyn Fn(&str) -> bool = match is_of_runtime(key) {
        true => &nothing,
        false => secret,
    };
    // Settings are named from the plugin's settings on, however they are written.
    let way = match key {
        keys::SETTINGS => "",
        key => key.strip_prefix("settings.").unwrap_or(key),
    };
    is_secret(key)
        || secret(key)
        || is_marked(way, secret)
        || has_password(value)
        || json(value).is_some_and(|inside| holds_secret(way, &inside, secret))
}

/// Whether its author calls a setting secret, or one that it lies in. A setting whose name the
/// runtime has taken is known as `settings.` and its name.
fn is_marked(way: &str, secret: &dyn Fn(&str) -> bool) -> bool {
    let dots = way.match_indices('.').map(|(at, _)| at);
    let mut ways = dots.chain([way.len()]).map(|end| &way[..end]);
    !way.is_empty() && ways.any(|way| secret(way) || secret(&format!("settings.{way}")))
}

/// A value that is written as JSON.
fn json(value: &str) -> Option<Value> {
    let value = value.trim_start();
    value
        .starts_with(['{', '['])
        .then(|| serde_json::from_str(value).ok())
        .flatten()
}

fn holds_secret(way: &str, value: &Value, secret: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(name, value)| {
            let way = match way {
                "" => name.clone(),
                way => format!("{way}.{name}"),
            };
            let named = is_secret(name) || is_marked(&way, secret);
            named && !value.is_null() || holds_secret(&way, value, secret)
        }),
        Value::Array(list) => list.iter().any(|value| holds_secret(way, value, secret)),
        Value::String(text) => has_password(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether it is a URL with a password, or a list that has one.
fn has_password(value: &str) -> bool {
    let is_url = |text: &str| Url::parse(text.trim()).is_ok_and(|url| url.password().is_some());
    value.contains('@') && (is_url(value) || value.split(',').any(is_url))
}

/// As it may be shown. `secret` tells of further keys whose author calls them secret. A value of
/// which a part is secret is hidden as a whole, so that it can come back.
pub fn masked(flat: &FlatConfig, secret: &dyn Fn(&str) -> bool) -> FlatConfig {
    let masked = flat.iter().map(|(key, value)| {
        let shown = match is_hidden(key, value, secret) {
            true => MASK.to_owned(),
            false => value.clone(),
        };
        (key.clone(), shown)
    });
    masked.collect()
}

/// Whether a key is the runtime's own, and so never a plugin's secret.
pub fn is_of_runtime(key: &str) -> bool {
    let setting = key == keys::SETTINGS || key.starts_with("settings.");
    !setting && keys::is_taken(key)
}

/// What was shown masked and comes back so is what it was: clients read a config, change a part of
/// it and put it back.
pub fn unmasked(given: FlatConfig, stored: &FlatConfig) -> FlatConfig {
    let unmasked = given.into_iter().map(|(key, value)| {
        let was = stored.get(&key).filter(|_| value == MASK);
        let value = was.cloned().unwrap_or(value);
        (key, value)
    });
    unmasked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(entries: &[(&str, &str)]) -> FlatConfig {
        let owned = entries
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        owned.collect()
    }

    #[test]
    fn what_looks_like_a_secret_is_not_shown_and_comes_back() {
        let stored = flat(&[
            ("db.password", "hunter2"),
            ("X-API-Key", "k"),
            ("url", "https://me:hunter2@host/"),
            ("plain", "https://host/@here"),
            ("marked", "m"),
            ("empty.token", ""),
        ]);
        let shown = masked(&stored, &|key| key == "marked");
        let hidden: Vec<_> = shown
            .iter()
            .filter(|(_, v)| *v == MASK)
            .map(|(k, _)| k.as_str())
            .collect();
        assert_eq!(hidden, ["X-API-Key", "db.password", "marked", "url"]);
        assert_eq!(unmasked(shown, &stored), stored);
    }

    #[test]
    fn what_is_secret_inside_of_a_value_hides_all_of_it() {
        let hidden = |key: &str, value: &str| {
            let marked = |key: &str| matches!(key, "db.pin" | "pins" | "settings.topics" | "extra");
            masked(&flat(&[(key, value)]), &marked)[key] == MASK
        };
        assert!(hidden("settings", r#"{ "db": { "password": "hunter2" } }"#));
        assert!(hidden("settings", r#"{ "db": { "pin": 1234 } }"#));
        assert!(hidden("settings", r#"{ "pins": [1234] }"#));
        assert!(hidden("db", r#"{ "pin": 1234 }"#));
        // However it is written.
        assert!(hidden("settings.db.pin", "1234"));
        assert!(hidden("settings.db", r#"{ "pin": 1234 }"#));
        assert!(hidden("settings", r#"{ "topics": "hidden" }"#));
        assert!(hidden("settings.topics", "hidden"));
        // A map, of which only the whole has a name.
        assert!(hidden("extra.X-Foo", "hidden"));
        assert!(hidden("settings.extra.X-Foo", "hidden"));
        assert!(hidden("extra", r#"{ "X-Foo": "hidden" }"#));
        assert!(hidden("settings", r#"{ "extra": { "X-Foo": "hidden" } }"#));
        assert!(hidden("headers", r#"{ "Authorization": "Bearer x" }"#));
        assert!(hidden("hosts", r#"["https://me:hunter2@host/"]"#));
        assert!(hidden("hosts", "https://host/,https://me:hunter2@other/"));
        assert!(!hidden(
            "settings",
            r#"{ "db": { "password": null, "port": 1 } }"#
        ));
        assert!(!hidden("topics", "the runtime's own, and no setting"));
        assert!(!hidden("settings.db.port", "1"));
        assert!(!hidden("extras.X-Foo", "another's"));
        assert!(!hidden("symbols", r#"["a@trade", "b"]"#));
        assert!(!hidden("symbols", "[not json, me@host"));
    }
}
