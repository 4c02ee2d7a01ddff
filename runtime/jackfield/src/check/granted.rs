//! The URLs that settings name, held against what a connector is granted.

use crate::declared::{Declared, End};
use jackfield_config::Grants;
use jackfield_plugin::UrlPrefix;
use serde_json::Value;
use url::Url;

/// What can be granted.
const SCHEMES: [&str; 4] = ["ws", "wss", "http", "https"];

/// A URL that settings name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// The keys and indexes that lead to it.
    steps: Vec<String>,
    url: Url,
}

impl Named {
    /// The keys and indexes that lead to it.
    pub(crate) fn steps(&self) -> Vec<&str> {
        self.steps.iter().map(String::as_str).collect()
    }

    /// The key below `allow` that would grant it.
    pub(crate) fn key(&self) -> &'static str {
        match self.url.scheme() {
            "ws" | "wss" => "websocket",
            _ => "http",
        }
    }

    /// Its scheme, host and port, and the setting that has it. All else of a URL may be secret:
    /// user and password, a key in the query, and the path, where web hooks have theirs.
    pub(crate) fn shown(&self) -> String {
        let origin = self.url.origin().ascii_serialization();
        format!("{origin} (`{}`)", self.steps.join("."))
    }

    /// What is wrong about it.
    pub(crate) fn why(&self) -> String {
        let shown = self.shown();
        format!("its settings name {shown}, which nothing grants: it would be denied")
    }
}

/// What a connector is granted.
pub(crate) fn grants(declared: &Declared) -> &Grants {
    match &declared.end {
        End::Source { config, .. } => &config.allow,
        End::Sink { config, .. } => &config.allow,
    }
}

/// The URLs in these settings that nothing grants: asking for them would be denied in the middle of
/// the work.
pub(crate) fn ungranted(allow: &Grants, settings: &Value) -> Vec<Named> {
    let http = allow.http.iter().map(|it| &it.url);
    let websocket = allow.websocket.iter().map(|it| &it.url);
    let prefixes: Vec<UrlPrefix> = http
        .chain(websocket)
        .filter_map(|url| UrlPrefix::parse(url.as_str(), &SCHEMES).ok())
        .collect();
    let mut named = named(settings);
    named.retain(|it| !prefixes.iter().any(|prefix| prefix.covers(&it.url)));
    named
}

/// Those of them that these other settings do not name.
pub(crate) fn beyond(reaches: Vec<Named>, others: &Value) -> Vec<Named> {
    let known = named(others);
    let new = |it: &Named| !known.iter().any(|known| known.url == it.url);
    reaches.into_iter().filter(new).collect()
}

fn named(settings: &Value) -> Vec<Named> {
    let mut found = Vec::new();
    look(settings, &mut Vec::new(), &mut found);
    found
}

fn look(value: &Value, steps: &mut Vec<String>, found: &mut Vec<Named>) {
    match value {
        Value::String(text) => {
            let url = Url::parse(text).ok();
            let url = url.filter(|it| SCHEMES.contains(&it.scheme()) && it.has_host());
            found.extend(url.map(|url| Named {
                steps: steps.clone(),
                url,
            }));
        }
        Value::Array(all) => {
            for (index, value) in all.iter().enumerate() {
                steps.push(index.to_string());
                look(value, steps, found);
                steps.pop();
            }
        }
        Value::Object(all) => {
            for (key, value) in all {
                steps.push(key.clone());
                look(value, steps, found);
                steps.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jackfield_config::{HttpGrant, WebSocketGrant};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn allow() -> Grants {
        Grants {
            websocket: vec![WebSocketGrant {
                url: Url::parse("wss://stream.example").unwrap(),
            }],
            http: vec![HttpGrant {
                url: Url::parse("https://api.example/v3").unwrap(),
                headers: BTreeMap::new(),
            }],
            ..Grants::default()
        }
    }

    fn shown(named: &[Named]) -> Vec<String> {
        named.iter().map(Named::shown).collect()
    }

    #[test]
    fn what_lies_below_a_grant_is_granted_and_nothing_else() {
        let settings = json!({
            "websocket": "wss://stream.example/ws/btc", "note": "see https", "number": 5,
            "rest": ["https://api.example/v3/trades", "https://api.example/v4", "http://api.example/v3"],
            "of": { "other": "wss://api.example/v3" }
        });
        let mut reaches = ungranted(&allow(), &settings);
        reaches.sort_by_key(Named::shown);
        let each = [
            ("http://api.example (`rest.2`)", "http", vec!["rest", "2"]),
            ("https://api.example (`rest.1`)", "http", vec!["rest", "1"]),
            (
                "wss://api.example (`of.other`)",
                "websocket",
                vec!["of", "other"],
            ),
        ];
        let found: Vec<_> = reaches
            .iter()
            .map(|it| (it.shown(), it.key(), it.steps()))
            .collect();
        let each = each.map(|(url, key, steps)| (url.to_owned(), key, steps));
        assert_eq!(found, each);
    }

    #[test]
    fn what_is_secret_in_a_url_is_not_shown() {
        let settings = json!({ "url": "https://me:secret@hooks.example:8443/secret?key=secret" });
        let reaches = ungranted(&allow(), &settings);
        assert_eq!(shown(&reaches), ["https://hooks.example:8443 (`url`)"]);
        let why = reaches[0].why();
        assert!(!why.contains("secret"), "{why}");
    }

    #[test]
    fn what_the_other_names_as_well_is_nothing_new() {
        let running = json!({ "docs": "https://docs.example/a" });
        let settings = json!({ "help": "https://docs.example/a", "url": "https://docs.example/b" });
        let reaches = beyond(ungranted(&allow(), &settings), &running);
        assert_eq!(shown(&reaches), ["https://docs.example (`url`)"]);
    }
}
