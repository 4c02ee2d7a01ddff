//! A plugin's settings: any JSON, checked against the plugin's own schema when it is known.

mod check;
mod defaults;

use crate::fields::{Fields, Place};
use crate::finding::{Finding, Findings, Kind, Pos, Severity};
use crate::leaf;
use crate::tree::{Content, Node, Origin, Path};
use crate::yaml;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// Settings as the file gives them, and where each value stands in it.
#[derive(Clone)]
pub struct Settings {
    value: Value,
    located: Arc<Located>,
}

/// Where settings stand.
struct Located {
    file: String,
    path: Path,
    node: Node,
    /// Where the plugin is named that they are for.
    plugin: (Path, Pos),
}

impl Settings {
    /// What stands below `settings`, or nothing.
    pub(crate) fn read(fields: &Fields<'_>, file: &str, findings: &mut Findings) -> Option<Self> {
        let path = fields.path.key("settings");
        let nothing = Node {
            at: fields.at,
            content: Content::Map(Vec::new()),
        };
        let given = fields
            .given("settings")
            .filter(|place| !place.node.is_nothing());
        let node = given.map_or(&nothing, |place| place.node);
        let place = Place { node, path };
        let value = json(&place, findings);
        if !value.is_object() {
            if !node.is_broken() {
                findings.push(
                    leaf::wrong_type(&place, "a mapping")
                        .mend("settings are written as `key: value` lines"),
                );
            }
            return None;
        }
        let plugin = fields.given("plugin");
        let plugin_at = plugin.map_or(fields.at, |place| place.node.at);
        let located = Located {
            file: file.to_owned(),
            path: place.path,
            node: node.clone(),
            plugin: (fields.path.key("plugin"), plugin_at),
        };
        Some(Settings {
            value,
            located: Arc::new(located),
        })
    }

    /// Other settings in the place of these, given outside the file. What is wrong with them is
    /// found in their own text, as one line of JSON.
    pub fn replaced(&self, value: Value) -> Self {
        Self::in_json("the new settings", self.located.path.clone(), value)
    }

    /// Settings that stand in no file: paths of findings begin with their own keys. `from` says
    /// where they come from.
    pub fn new(from: &str, value: Value) -> Self {
        Self::in_json(from, Path::default(), value)
    }

    fn in_json(file: &str, path: Path, value: Value) -> Self {
        let begin = Pos { line: 1, column: 1 };
        let nothing = Node {
            at: begin,
            content: Content::Map(Vec::new()),
        };
        // JSON is YAML; what is too deep or too large for a file is only not pointed at.
        let node = yaml::parse(&value.to_string(), &mut Findings::new(file));
        let located = Located {
            file: file.to_owned(),
            plugin: (path.clone(), begin),
            path,
            node: node.unwrap_or(nothing),
        };
        Self {
            value,
            located: Arc::new(located),
        }
    }

    /// As given: defaults of the plugin's schema are not filled in. Always an object.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The file that they stand in.
    pub fn file(&self) -> &str {
        &self.located.file
    }

    /// Says what a plugin's own check found, at the value that it speaks of. `path` is the
    /// plugin's: `partition-by[0]`, empty for the settings as a whole.
    pub fn finding(&self, severity: Severity, path: &str, message: &str, mend: &str) -> Finding {
        let steps: Vec<&str> = path
            .split(['.', '[', ']', '/'])
            .filter(|step| !step.is_empty())
            .collect();
        let place = self.place(&steps);
        let finding = match severity {
            Severity::Error => place.error(Kind::PluginRule, crate::finding::shown(message)),
            Severity::Warning => Finding::warning(
                Kind::PluginRule,
                &place.path,
                place.node.at,
                crate::finding::shown(message),
            ),
        };
        let mend = if mend.is_empty() {
            check::SEE_PLUGIN
        } else {
            mend
        };
        leaf::with_value(finding, &place).mend(mend)
    }

    /// An error at the deepest value that there is on the way through these keys and indexes. The
    /// value is not shown: it may hold what is secret, such as a URL's password.
    pub fn error_at(&self, steps: &[&str], message: &str, mend: &str) -> Finding {
        let place = self.place(steps);
        place.error(Kind::PluginRule, message).mend(mend)
    }

    /// An error of the plugin that they are for, where it is named.
    pub fn plugin_error(&self, message: &str, mend: &str) -> Finding {
        let (path, at) = &self.located.plugin;
        Finding::error(Kind::PluginRule, path, *at, message).mend(mend)
    }

    /// The deepest value on the way.
    fn place(&self, steps: &[&str]) -> Place<'_> {
        let mut place = Place {
            node: &self.located.node,
            path: self.located.path.clone(),
        };
        for step in steps {
            let Some(next) = place.node.child(step) else {
                break;
            };
            let path = match place.node.content {
                Content::List(_) => place.path.index(step.parse().unwrap_or_default()),
                Content::Map(_) | Content::Scalar(_) => place.path.key(step),
            };
            place = Place { node: next, path };
        }
        place
    }
}

/// As JSON; what has no place in it is found and left out.
fn json(place: &Place<'_>, findings: &mut Findings) -> Value {
    match &place.node.content {
        Content::List(nodes) => nodes
            .iter()
            .enumerate()
            .map(|(index, node)| {
                json(
                    &Place {
                        node,
                        path: place.path.index(index),
                    },
                    findings,
                )
            })
            .collect(),
        Content::Map(entries) => entries
            .iter()
            .map(|entry| {
                let place = Place {
                    node: &entry.node,
                    path: place.path.key(&entry.key),
                };
                (entry.key.clone(), json(&place, findings))
            })
            .collect::<Map<_, _>>()
            .into(),
        Content::Scalar(scalar) if scalar.origin == Origin::Broken => Value::Null,
        Content::Scalar(scalar) if scalar.origin == Origin::Secret => {
            findings.push(
                place
                    .error(Kind::MisplacedSecret, "a plugin never sees a secret")
                    .masked()
                    .mend("let the host add it on the way out: `allow: { http: [{ url: …, headers: { NAME: \"${file:…}\" } }] }`"),
            );
            Value::Null
        }
        Content::Scalar(scalar) => scalar.json().unwrap_or_else(|(message, mend)| {
            findings.push(
                place
                    .error(Kind::BadValue, message)
                    .value(&scalar.text)
                    .mend(mend),
            );
            Value::Null
        }),
    }
}

impl PartialEq for Settings {
    /// By value: moving lines in a file changes nothing.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.value, f)
    }
}
