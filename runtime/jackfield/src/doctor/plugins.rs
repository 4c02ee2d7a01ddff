//! Components: loaded, described, their settings checked, and whether these lead anywhere that
//! is not granted.

use super::verdict::{Area, Line};
use crate::check::{self, granted::ungranted};
use crate::declared::{self, Declared};
use crate::plugins::{self, Loaded};
use crate::start_error::StartError;
use crate::wiring;
use jackfield_config::{Config, Finding, Findings, Grants, Severity};
use jackfield_plugin::{Engine, LoadError, Network};
use serde_json::Value;

const AREA: Area = Area::Plugins;

/// One plugin and the connectors that use it. Compiling may take a while.
pub(super) async fn look(
    config: Config,
    plugin: String,
    engine: Engine,
    network: Network,
) -> Vec<Line> {
    let key = format!("plugins.{plugin}");
    let Some(declared) = config.plugins.get(&plugin) else {
        return Vec::new();
    };
    let loaded = match plugins::load_one(&plugin, declared, &engine).await {
        Ok(loaded) => loaded,
        Err(StartError::Plugin { error, .. }) => {
            let remedy = unloadable(&error, &key);
            return vec![Line::fail(AREA, plugin, error.to_string(), remedy)];
        }
        Err(error) => {
            let remedy = "it does not even describe itself: take another build of it";
            return vec![Line::fail(AREA, plugin, error.to_string(), remedy)];
        }
    };
    let of = &loaded.description;
    let digest = loaded.plugin.digest().get(..12).unwrap_or_default();
    let message = format!("{} {}, sha256 {digest}…", of.name, of.version);
    let mut lines = vec![Line::ok(AREA, &plugin, message)];
    for (name, connector) in declared::all(&config) {
        if connector.plugin_name() == plugin {
            lines.extend(one(&name, &connector, &loaded, &network).await);
        }
    }
    lines
}

fn unloadable(error: &LoadError, key: &str) -> String {
    match error {
        LoadError::Unreadable { .. } => {
            format!("build it (make plugins), or mend the path in `{key}`")
        }
        LoadError::Digest { .. } => format!(
            "the file is another than the one that was meant: put that back, or mend `{key}.sha256` if the new one is trusted"
        ),
        LoadError::TooLarge { .. }
        | LoadError::NotAComponent { .. }
        | LoadError::WrongWorld { .. } => {
            format!("build it for this version of jackfield, or mend the path in `{key}`")
        }
        LoadError::Cache { .. } => "mend the folder that `state` names".to_owned(),
        LoadError::Engine(_) => "this machine can't run components: see the message".to_owned(),
    }
}

async fn one(name: &str, connector: &Declared, loaded: &Loaded, network: &Network) -> Vec<Line> {
    let settings = connector.settings();
    let mut findings = Findings::new(settings.file());
    let whole = match check::connector(connector, loaded, &mut findings).await {
        Ok(whole) => whole,
        Err(error) => {
            let remedy = "it can't check its own settings: take another build of it";
            return vec![Line::fail(AREA, name, error.to_string(), remedy)];
        }
    };
    let mut lines: Vec<Line> = findings
        .findings
        .iter()
        .map(|it| finding(AREA, &findings.file, it))
        .collect();
    if !findings.has_errors() {
        lines.push(Line::ok(AREA, name, "its settings are right"));
    }
    let settings = whole.as_ref().unwrap_or_else(|| settings.value());
    lines.extend(granted(
        name,
        check::granted::grants(connector),
        settings,
        network,
    ));
    lines
}

/// One finding of a file, on a line.
pub(super) fn finding(area: Area, file: &str, found: &Finding) -> Line {
    let name = format!("{file}:{}:{}", found.at.line, found.at.column);
    let message = match found.path.as_str() {
        "" => found.message.clone(),
        path => format!("{path}: {}", found.message),
    };
    let mend = found.mend.clone();
    let mend = mend.unwrap_or_else(|| "mend it there".to_owned());
    match found.severity {
        Severity::Error => Line::fail(area, name, message, mend),
        Severity::Warning => Line::warn(area, name, message, mend),
    }
}

/// Whether grants make sense, and cover each URL that the settings name.
fn granted(name: &str, allow: &Grants, settings: &Value, network: &Network) -> Vec<Line> {
    if let Err(error) = wiring::grants(name, allow, network) {
        let remedy = "mend the grant below `allow`";
        return vec![Line::fail(Area::Grants, name, error.to_string(), remedy)];
    }
    let named = ungranted(allow, settings);
    if named.is_empty() {
        let given = allow.http.len() + allow.websocket.len();
        let message = match given {
            0 => "no URL is granted, and its settings name none".to_owned(),
            given => format!("{given} URLs are granted: all that its settings name"),
        };
        return vec![Line::ok(Area::Grants, name, message)];
    }
    let each = named.iter().map(|url| {
        let remedy = format!("add it to `allow.{}`", url.key());
        Line::warn(Area::Grants, name, url.why(), remedy)
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Level;
    use super::*;
    use jackfield_config::WebSocketGrant;
    use serde_json::json;
    use url::Url;

    #[test]
    fn a_url_that_nothing_grants_is_told() {
        let allow = Grants {
            websocket: vec![WebSocketGrant {
                url: Url::parse("wss://stream.example").unwrap(),
            }],
            ..Grants::default()
        };
        let settings = json!({ "endpoints": {
            "websocket": "wss://stream.example/ws", "rest": ["https://api.example/v3"]
        }, "note": "see https" });
        let lines = granted("c", &allow, &settings, &Network::new().unwrap());
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].level, Level::Warn);
        let message = &lines[0].message;
        assert!(message.contains("https://api.example (`endpoints.rest.0`)"));
        assert_eq!(lines[0].remedy.as_deref(), Some("add it to `allow.http`"));
    }

    #[test]
    fn what_is_secret_in_a_url_is_not_told() {
        let settings = json!({ "url": "https://me:secret@api.example/secret?key=secret" });
        let network = Network::new().unwrap();
        let lines = granted("c", &Grants::default(), &settings, &network);
        assert!(lines[0].message.contains("https://api.example (`url`),"));
        assert!(!lines[0].message.contains("secret"));
    }
}
