//! What is shown of connectors and of configs.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{SINK, SOURCE, config, flat, plugin, read, schema};
use jackfield_config::End;
use jackfield_connect::{Wanted, config_infos, config_of, key_infos};
use serde_json::json;

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

/// Their items are no keys of their own, so that the list is hidden as a whole.
#[test]
fn a_list_whose_items_hold_secrets_is_one() {
    let pin = json!({ "type": "integer", "writeOnly": true });
    let account = json!({ "type": "object", "properties": { "pin": pin } });
    let schema = json!({ "type": "object", "properties": {
        "accounts": { "type": "array", "items": account },
        "names": { "type": "array", "items": { "type": "string" } },
    } });
    let infos = key_infos(&plugin(End::Source, &schema));
    let kind = |name: &str| {
        infos
            .iter()
            .find(|it| it.name == name)
            .unwrap()
            .kind
            .clone()
    };
    assert_eq!(kind("accounts"), "PASSWORD");
    assert_eq!(kind("names"), "LIST");
}
