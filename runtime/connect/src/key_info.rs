//! Forms: what keys a plugin's configs have, and what a config says for each.

use crate::FlatConfig;
use crate::connector::Described;
use crate::entities::{ConfigInfo, ConfigInfos, ConfigKeyInfo, ConfigValueInfo};
use crate::errors::KeyErrors;
use crate::keys::{self, KEYS, Key};
use crate::masking::{is_secret, masked};
use crate::schema::View;
use crate::text;
use serde_json::Value;
use std::collections::BTreeSet;

/// The plugin's own keys are shown under this.
const SETTINGS_GROUP: &str = "Settings";
/// Deepest nesting that is taken apart into keys.
const DEPTH_MAX: usize = 8;
/// Most keys of a plugin: schemas are not trusted.
const KEYS_MAX: usize = 1000;

/// The keys that configs of a plugin have: the runtime's, then the plugin's own.
pub fn key_infos(plugin: &Described<'_>) -> Vec<ConfigKeyInfo> {
    let mut infos: Vec<ConfigKeyInfo> = Vec::new();
    for key in KEYS.iter().filter(|key| key.is_of(plugin.end)) {
        let order = infos
            .iter()
            .filter(|it| it.group.as_deref() == Some(key.group));
        infos.push(of_runtime(key, order.count() + 1));
    }
    let mut own = Own {
        infos: Vec::new(),
        seen: BTreeSet::new(),
    };
    own.below(&View::root(plugin.schema), "", true, None, 0);
    infos.append(&mut own.infos);
    infos
}

fn of_runtime(key: &Key, order: usize) -> ConfigKeyInfo {
    ConfigKeyInfo {
        name: key.name.to_owned(),
        kind: key.kind.to_owned(),
        required: key.required,
        default_value: key.default.map(ToOwned::to_owned),
        importance: key.importance.to_owned(),
        documentation: key.doc.to_owned(),
        group: Some(key.group.to_owned()),
        order: i32::try_from(order).unwrap_or(i32::MAX),
        width: "MEDIUM".to_owned(),
        display_name: key.title.to_owned(),
        dependents: Vec::new(),
    }
}

struct Own {
    infos: Vec<ConfigKeyInfo>,
    seen: BTreeSet<String>,
}

impl Own {
    fn below(
        &mut self,
        view: &View<'_>,
        way: &str,
        required: bool,
        defaults: Option<&Value>,
        depth: usize,
    ) {
        for name in view.names() {
            // Schemas may go in circles, where each step has many names.
            if self.infos.len() == KEYS_MAX {
                return;
            }
            let Some(property) = view.property(name) else {
                continue;
            };
            let path = match way {
                "" => name.to_owned(),
                way => format!("{way}.{name}"),
            };
            let default = defaults
                .and_then(|all| all.get(name))
                .or_else(|| property.said("default"));
            let required = required && view.requires(name);
            if is_apart(&property) && depth < DEPTH_MAX {
                self.below(&property, &path, required, default, depth + 1);
            } else {
                self.add(&property, path, required, default);
            }
        }
    }

    fn add(&mut self, view: &View<'_>, path: String, required: bool, default: Option<&Value>) {
        if self.infos.len() == KEYS_MAX || !self.seen.insert(path.clone()) {
            return;
        }
        let default = default.filter(|value| !value.is_null());
        let required = required && default.is_none();
        let secret = is_secret(&path) || view.holds_secret();
        let importance = match (required, view.said("deprecated")) {
            (true, _) => "HIGH",
            (false, Some(Value::Bool(true))) => "LOW",
            (false, _) => "MEDIUM",
        };
        let order = self.infos.len() + 1;
        self.infos.push(ConfigKeyInfo {
            kind: kind(view, secret).to_owned(),
            required,
            default_value: default
                .filter(|_| !secret)
                .map(|value| text::write(view, value)),
            importance: importance.to_owned(),
            documentation: view.text("description").unwrap_or_default().to_owned(),
            group: Some(SETTINGS_GROUP.to_owned()),
            order: i32::try_from(order).unwrap_or(i32::MAX),
            width: "MEDIUM".to_owned(),
            display_name: view.text("title").unwrap_or(&path).to_owned(),
            dependents: Vec::new(),
            name: match keys::is_taken(&path) {
                true => format!("settings.{path}"),
                false => path,
            },
        });
    }
}

/// Whether each of its properties is a key of its own. What is secret as a whole is one key, and so
/// is what holds something secret for which there would be no key.
fn is_apart(view: &View<'_>) -> bool {
    let named = view.has_names() && !view.names().is_empty();
    named && !view.is_secret() && !view.unnamed().any(|it| it.holds_secret())
}

/// The nearest of Kafka's types.
fn kind(view: &View<'_>, secret: bool) -> &'static str {
    let types = view.types();
    let kinds = [
        (types.string || types.object, "STRING"),
        (types.number, "DOUBLE"),
        (types.integer && !types.number, whole(view)),
        (types.boolean, "BOOLEAN"),
        (types.array, "LIST"),
    ];
    let mut kinds = kinds.iter().filter(|(is, _)| *is).map(|(_, kind)| *kind);
    match (secret, kinds.next(), kinds.next()) {
        (true, ..) => "PASSWORD",
        (false, Some(only), None) => only,
        // Whatever it is, a text says it.
        (false, ..) => "STRING",
    }
}

fn whole(view: &View<'_>) -> &'static str {
    let fits = |keyword| {
        let bound = view.said(keyword).and_then(Value::as_i64);
        bound.is_some_and(|it| i32::try_from(it).is_ok())
    };
    let small = view.text("format") == Some("int32") || fits("minimum") && fits("maximum");
    if small { "INT" } else { "LONG" }
}

/// A key that has no place in a form: the topic of a feed, or one that is not known. Kafka Connect
/// says `null` here, which not every client survives.
fn undeclared(key: &str) -> ConfigKeyInfo {
    ConfigKeyInfo {
        name: key.to_owned(),
        kind: "STRING".to_owned(),
        required: false,
        default_value: None,
        importance: "MEDIUM".to_owned(),
        documentation: String::new(),
        group: None,
        order: -1,
        width: "MEDIUM".to_owned(),
        display_name: key.to_owned(),
        dependents: Vec::new(),
    }
}

/// What a config says for each key of a plugin, and what is wrong with it. Keys that no form shows
/// come last.
pub fn config_infos(plugin: &Described<'_>, flat: &FlatConfig, errors: &KeyErrors) -> ConfigInfos {
    let definitions = key_infos(plugin);
    let passwords: BTreeSet<&str> = definitions
        .iter()
        .filter(|it| it.kind == "PASSWORD")
        .map(|it| it.name.as_str())
        .collect();
    let shown = masked(flat, &|key| passwords.contains(key));
    let mut groups: Vec<String> = Vec::new();
    let mut configs = Vec::with_capacity(definitions.len());
    let mut known = BTreeSet::new();
    for definition in definitions {
        if let Some(group) = &definition.group
            && !groups.contains(group)
        {
            groups.push(group.clone());
        }
        let value = shown.get(&definition.name).cloned();
        known.insert(definition.name.clone());
        let recommended = recommended(plugin, &definition.name);
        configs.push(ConfigInfo {
            value: ConfigValueInfo {
                name: definition.name.clone(),
                value: value.or_else(|| definition.default_value.clone()),
                recommended_values: recommended,
                errors: errors.of(&definition.name).to_vec(),
                visible: true,
            },
            definition,
        });
    }
    let rest = errors.iter().map(|(key, _)| key.to_owned());
    let rest: BTreeSet<String> = rest.chain(shown.keys().cloned()).collect();
    for key in rest.into_iter().filter(|key| !known.contains(key)) {
        let errors = errors.of(&key).to_vec();
        configs.push(ConfigInfo {
            definition: undeclared(&key),
            value: ConfigValueInfo {
                value: shown.get(&key).cloned(),
                name: key,
                recommended_values: Vec::new(),
                errors,
                visible: true,
            },
        });
    }
    ConfigInfos {
        name: plugin.name.to_owned(),
        error_count: configs
            .iter()
            .filter(|it| !it.value.errors.is_empty())
            .count(),
        groups,
        configs,
    }
}

fn recommended(plugin: &Described<'_>, key: &str) -> Vec<String> {
    if let Some(key) = keys::known(key) {
        return key.words.iter().map(|word| (*word).to_owned()).collect();
    }
    let mut view = View::root(plugin.schema);
    for step in key.strip_prefix("settings.").unwrap_or(key).split('.') {
        let Some(below) = view.property(step) else {
            return Vec::new();
        };
        view = below;
    }
    let words = view.values().into_iter().filter(|value| !value.is_null());
    words.map(|value| text::write(&view, value)).collect()
}
