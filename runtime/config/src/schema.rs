//! One JSON Schema for the whole file, so that editors complete and check it.

use crate::catalogue::{self, Field, Need, Section, Shape, Text};
use crate::names::NameRule;
use crate::types::End;
use crate::variables::HOLDER_PREFIX;
use serde_json::{Map, Value, json};

/// Text with a variable in it: what it becomes is known only when it is read.
const VARIABLE: &str = r"\$\{";

/// What a plugin says of its settings.
#[derive(Debug, Clone)]
pub struct PluginSchema<'a> {
    /// The plugin's name in the file.
    pub name: &'a str,
    /// Which end of a pipeline it can be.
    pub end: End,
    /// JSON Schema 2020-12 of its settings.
    pub schema: &'a Value,
}

/// One JSON Schema (2020-12) for the whole file; below `settings` it depends on `plugin`.
pub fn whole_file(plugins: &[PluginSchema<'_>]) -> Value {
    let mut definitions = Map::new();
    for section in catalogue::sections().into_iter().skip(1) {
        definitions.insert(section.id.to_owned(), object(section, plugins));
    }
    for plugin in plugins {
        let key = settings_key(plugin.name);
        let mut schema = plugin.schema.clone();
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("$schema");
            schema.remove("$id");
        }
        rebase(&mut schema, &format!("#/$defs/{key}"));
        definitions.insert(key, schema);
    }
    let mut schema = object(&catalogue::FILE, plugins);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        schema.insert("title".to_owned(), json!("Jackfield connectors"));
        schema.insert(
            "patternProperties".to_owned(),
            json!({ format!("^{HOLDER_PREFIX}"): true }),
        );
        schema.insert("$defs".to_owned(), definitions.into());
    }
    schema
}

fn settings_key(plugin: &str) -> String {
    format!("settings-{plugin}")
}

/// References of a schema that has become part of another.
fn rebase(schema: &mut Value, onto: &str) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(reference)
                        if key == "$ref" && (reference == "#" || reference.starts_with("#/")) =>
                    {
                        *reference = format!("{onto}{}", &reference[1..]);
                    }
                    _ => rebase(value, onto),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rebase(item, onto)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn object(section: &Section, plugins: &[PluginSchema<'_>]) -> Value {
    let known = || {
        section
            .fields
            .iter()
            .filter(|field| !matches!(field.shape, Shape::NotBuiltIn(_)))
    };
    let properties: Map<_, _> = known()
        .map(|field| (field.key.to_owned(), property(field)))
        .collect();
    let required: Vec<_> = known()
        .filter(|field| matches!(field.need, Need::Required))
        .map(|field| field.key)
        .collect();
    let mut schema = json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "additionalProperties": false,
    });
    let end = match section.id {
        "source" => Some(End::Source),
        "sink" => Some(End::Sink),
        _ => None,
    };
    if let Some(schema) = schema.as_object_mut() {
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        } else {
            // A key with nothing after it: all defaults.
            schema.insert("type".to_owned(), json!(["object", "null"]));
        }
        let conditions: Vec<_> = plugins
            .iter()
            .filter(|plugin| Some(plugin.end) == end)
            .map(|plugin| condition(plugin.name))
            .collect();
        if !conditions.is_empty() {
            schema.insert("allOf".to_owned(), conditions.into());
        }
    }
    schema
}

fn condition(plugin: &str) -> Value {
    json!({
        "if": { "properties": { "plugin": { "const": plugin } }, "required": ["plugin"] },
        "then": { "properties": { "settings": { "$ref": format!("#/$defs/{}", settings_key(plugin)) } } },
    })
}

fn property(field: &Field) -> Value {
    let mut schema = shape(&field.shape);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), json!(field.doc));
        if let Need::Default(default) = field.need {
            let default = match field.shape {
                Shape::Whole { .. } => default
                    .parse::<u64>()
                    .map_or(json!(default), |number| json!(number)),
                _ => json!(default),
            };
            schema.insert("default".to_owned(), default);
        }
    }
    schema
}

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text(Text::Topic) => {
            either(json!({ "type": "string", "pattern": NameRule::Topic.pattern() }))
        }
        Shape::Text(Text::Sha256) => {
            either(json!({ "type": "string", "pattern": "^(sha256:)?[0-9a-fA-F]{64}$" }))
        }
        Shape::Text(Text::HttpUrl) => either(json!({ "type": "string", "pattern": "^https?://" })),
        Shape::Text(Text::WebSocketUrl) => {
            either(json!({ "type": "string", "pattern": "^wss?://" }))
        }
        Shape::Text(Text::TopicSetting) => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Secret(Text::SqlUri) => {
            either(json!({ "type": "string", "pattern": "^(sqlite:|postgres(ql)?://)" }))
        }
        Shape::Secret(Text::RegistryUrls) => {
            either(json!({ "type": "string", "pattern": "^https?://" }))
        }
        Shape::Secret(_) => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Text(_) => json!({ "type": "string", "minLength": 1 }),
        Shape::Whole { min, max } => {
            either(json!({ "type": "integer", "minimum": min, "maximum": max }))
        }
        Shape::Time { forever, .. } => {
            let forever = if *forever { "|^forever$" } else { "" };
            either(
                json!({ "type": "string", "pattern": format!("^[0-9]+ *(ms|s|m|h|d)${forever}") }),
            )
        }
        Shape::Size { min, max } => json!({ "anyOf": [
            { "type": "string", "pattern": "^[0-9]+ *([kKMGT]i?)?[bB]?$" },
            { "type": "integer", "minimum": min, "maximum": max },
            { "type": "string", "pattern": VARIABLE },
        ]}),
        Shape::Choice(words) => {
            let words: Vec<_> = words
                .iter()
                .map(|(word, doc)| json!({ "const": word, "description": doc }))
                .collect();
            json!({ "anyOf": [{ "oneOf": words }, { "type": "string", "pattern": VARIABLE }] })
        }
        Shape::Section(section) => json!({ "$ref": reference(section) }),
        Shape::Map { names, each } => json!({
            "type": ["object", "null"],
            "propertyNames": { "pattern": names.pattern() },
            "additionalProperties": self::shape(each),
        }),
        Shape::List { each, min } => {
            json!({ "type": "array", "items": self::shape(each), "minItems": min })
        }
        Shape::Either { short, long } => {
            json!({ "anyOf": [self::shape(short), { "$ref": reference(long) }] })
        }
        Shape::Settings => json!({ "type": ["object", "null"] }),
        Shape::NotBuiltIn(_) => json!(false),
    }
}

/// The value itself, or text with a variable.
fn either(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": VARIABLE }] })
}

fn reference(section: &Section) -> String {
    format!("#/$defs/{}", section.id)
}
