//! The JSON Schema for editors says what validation says.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::parse;
use jackfield_config::{End, PluginSchema, whole_file};
use serde_json::{Value, json};
use std::path::Path;

/// YAML as JSON, variables left in, as an editor sees it.
fn as_editor_sees_it(text: &str) -> Option<Value> {
    serde_yaml::from_str(text).ok()
}

fn schema() -> Value {
    let read = |text| -> Value { serde_json::from_str(text).unwrap() };
    let binance = read(include_str!("schemas/binance.json"));
    let iceberg = read(include_str!("schemas/iceberg.json"));
    whole_file(&[
        PluginSchema {
            name: "binance",
            end: End::Source,
            schema: &binance,
        },
        PluginSchema {
            name: "iceberg",
            end: End::Sink,
            schema: &iceberg,
        },
    ])
}

fn errors(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::draft202012::new(schema).unwrap();
    validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn it_is_a_schema_and_takes_the_example() {
    let schema = schema();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    let example = as_editor_sees_it(include_str!("../../../connectors.yaml")).unwrap();
    assert_eq!(errors(&schema, &example), Vec::<String>::new());
}

#[test]
fn settings_follow_the_plugin() {
    let schema = schema();
    let mut example = as_editor_sees_it(include_str!("../../../connectors.yaml")).unwrap();
    example["pipelines"]["trades"]["source"]["settings"]["symbol"] = json!("BTCUSDT");
    example["pipelines"]["trades"]["source"]["settings"]["depth"] = json!({ "levels": 1 });
    example["pipelines"]["trades"]["sinks"]["lake"]["settings"] = json!({});
    let errors = errors(&schema, &example);
    assert_eq!(errors.len(), 3, "{errors:#?}");
}

#[test]
fn what_is_taken_validates_and_most_of_what_is_refused_does_not() {
    let schema = whole_file(&[]);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let (mut taken, mut refused) = (0, 0);
    for entry in std::fs::read_dir(golden).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let Some(value) = as_editor_sees_it(&text) else {
            continue;
        };
        let errors = errors(&schema, &value);
        if parse(&text).is_ok() {
            taken += 1;
            assert_eq!(errors, Vec::<String>::new(), "{}", file.display());
        } else if !errors.is_empty() {
            refused += 1;
        }
    }
    assert!(
        taken >= 5 && refused >= 8,
        "{taken} taken, {refused} refused by the schema too"
    );
}
