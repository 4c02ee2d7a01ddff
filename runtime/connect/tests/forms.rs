//! What is shown of connectors and of configs.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{SINK, SOURCE, config, flat, plugin, read, schema};
use jackfield_config::End;
use jackfield_connect::{KeyErrors, Wanted, config_infos, config_of, key_infos};
use serde_json::{Map, Value, json};

#[test]
fn what_is_shown_of_a_connector_makes_it_again() {
    for (end, entries) in [(End::Source, SOURCE), (End::Sink, SINK)] {
        let wanted = read(end, entries).unwrap();
        let schema = schema(end);
        let mut shown = config_of(&wanted.connector, &wanted.pipeline, Some(&schema)).unwrap();
        shown.insert("jackfield.grant".to_owned(), "spot".to_owned());
        if end == End::Source {
            // How new topics are made stands with the topics in the file, not with the connector.
            shown.insert(
                "topic.creation.default.partitions".to_owned(),
                "3".to_owned(),
            );
            shown.insert(
                "topic.creation.default.compression.type".to_owned(),
                "zstd".to_owned(),
            );
        }
        let again = Wanted::read(
            &wanted.connector,
            &shown,
            &plugin(end, &schema),
            &config(),
            &[],
        )
        .unwrap();
        assert_eq!(again.pipeline, wanted.pipeline);
    }
}

#[test]
fn forms_know_each_key_and_its_errors() {
    let schema = schema(End::Sink);
    let plugin = plugin(End::Sink, &schema);
    let given = flat(&[
        ("name", "x"),
        ("connector.class", "iceberg"),
        ("topics", "t"),
        ("transforms", "a"),
        ("create", "maybe"),
        ("s3.secret", "hunter2"),
    ]);
    let errors = Wanted::read("x", &given, &plugin, &config(), &[]).unwrap_err();
    let infos = config_infos(&plugin, &given, &errors);
    assert_eq!(infos.error_count, 4, "{errors}");
    assert_eq!(infos.name, "iceberg");
    assert!(infos.groups.contains(&"Common".to_owned()));
    let of = |name: &str| {
        infos
            .configs
            .iter()
            .find(|it| it.value.name == name)
            .unwrap()
    };
    assert_eq!(of("create").definition.kind, "BOOLEAN");
    assert_eq!(
        of("create").definition.default_value.as_deref(),
        Some("true")
    );
    assert_eq!(of("create").value.errors, ["not `true` or `false`"]);
    assert!(of("table").definition.required);
    assert!(!of("table").value.errors.is_empty());
    assert_eq!(of("transforms").value.errors.len(), 1);
    assert_eq!(of("s3.secret").value.value.as_deref(), Some("***"));
    assert_eq!(of("tasks.max").value.value.as_deref(), Some("1"));
    assert!(!serde_json::to_string(&infos).unwrap().contains("hunter2"));
    let value = serde_json::to_value(of("tasks.max")).unwrap();
    for key in [
        "name",
        "type",
        "required",
        "default_value",
        "importance",
        "documentation",
        "group",
        "order",
        "width",
        "display_name",
        "dependents",
    ] {
        assert!(value["definition"].get(key).is_some(), "{key}");
    }
    for key in ["name", "value", "recommended_values", "errors", "visible"] {
        assert!(value["value"].get(key).is_some(), "{key}");
    }
}

/// What has no key of its own is hidden with that in which it lies.
#[test]
fn lists_and_maps_that_hold_secrets_are_secret() {
    let pin = json!({ "type": "integer", "writeOnly": true });
    let account = json!({ "type": "object", "properties": { "pin": pin } });
    let text = json!({ "type": "string" });
    let schema = json!({ "type": "object", "properties": {
        "accounts": { "type": "array", "items": account },
        "deep": { "type": "array", "items": { "type": "array", "items": account } },
        "extra": { "type": "object", "additionalProperties": pin },
        "by-name": { "type": "object", "additionalProperties": account },
        "both": { "type": "object", "properties": { "port": text }, "additionalProperties": pin },
        "whole": { "type": "object", "properties": { "port": text }, "writeOnly": true },
        "apart": { "type": "object", "properties": { "pin": pin, "port": text } },
        "labels": { "type": "object", "additionalProperties": text },
        "names": { "type": "array", "items": text },
    } });
    let plugin = plugin(End::Source, &schema);
    let infos = key_infos(&plugin);
    let own = infos
        .iter()
        .filter(|it| it.group.as_deref() == Some("Settings"));
    let kinds = own.map(|it| (it.name.as_str(), it.kind.as_str()));
    let mut kinds: Vec<_> = kinds.collect();
    kinds.sort_unstable();
    let expected = [
        ("accounts", "PASSWORD"),
        ("apart.pin", "PASSWORD"),
        ("apart.port", "STRING"),
        ("both", "PASSWORD"),
        ("by-name", "PASSWORD"),
        ("deep", "PASSWORD"),
        ("extra", "PASSWORD"),
        ("labels", "STRING"),
        ("names", "LIST"),
        ("whole", "PASSWORD"),
    ];
    assert_eq!(kinds, expected);

    let given = flat(&[
        ("extra.X-Foo", "4711"),
        ("both.X-Foo", "4711"),
        ("whole.port", "4711"),
        ("settings.apart.pin", "4711"),
        ("labels.X-Foo", "shown"),
    ]);
    let infos = config_infos(&plugin, &given, &KeyErrors::default());
    let said = serde_json::to_string(&infos).unwrap();
    assert!(!said.contains("4711") && said.contains("shown"), "{said}");
}

/// Plugins are not trusted: each of these names leads to all of them again.
#[test]
fn a_schema_in_circles_has_an_end() {
    let names = (0..10).map(|name| (name.to_string(), json!({ "$ref": "#" })));
    let names: Map<String, Value> = names.collect();
    let schema = json!({ "type": "object", "properties": names });
    assert!(key_infos(&plugin(End::Source, &schema)).len() >= 1000);
}
