//! What a config can not have, and what is said of it.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{SINK, SOURCE, config, flat, plugin, read};
use jackfield_config::End;
use jackfield_connect::{Wanted, config_infos};
use serde_json::json;

/// Each row: an end, a key, a value, and a part of the error that this key then has.
#[test]
fn what_can_not_be_honoured_is_an_error_of_its_key() {
    use End::{Sink, Source};
    for (end, key, value, error) in [
        (Sink, "transforms", "a", "there are no transforms"),
        (Sink, "transforms.a.type", "x", "there are no transforms"),
        (Sink, "predicates", "p", "there are no transforms"),
        (Sink, "topics.regex", ".*", "name the topics"),
        (Sink, "key.converter", "x.Avro", "only `org.apache"),
        (
            Sink,
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter",
            "embedded log",
        ),
        (Sink, "value.converter.schemas.enable", "false", "`format`"),
        (Sink, "header.converter", "x", "headers are kept"),
        (Sink, "errors.log.enable", "true", "only `false`"),
        (Sink, "errors.tolerance", "some", "only `none` or `all`"),
        (Sink, "errors.retry.timeout", "-1", "always an end"),
        (Sink, "errors.retry.timeout", "1", "out of range"),
        (Sink, "tasks.max", "0", "out of range"),
        (Sink, "tasks.max", "many", "not a whole number"),
        (Sink, "tasks.max.enforce", "false", "only `true`"),
        (Sink, "topics", " , ", "at least one topic"),
        (Sink, "topics", "a b", "name"),
        (Sink, "jackfield.grant", "other", "has `spot`"),
        (Sink, "jackfield.grants", "spot", "unknown key"),
        (Sink, "jackfield.delivery", "once", "only `at-least-once`"),
        (
            Sink,
            "jackfield.commit.every",
            "soon",
            "whole number and a unit",
        ),
        (
            Sink,
            "connector.plugin.version",
            "2.0.0",
            "has version 1.2.3",
        ),
        (
            Sink,
            "consumer.override.max.poll.records",
            "1",
            "only `consumer.override.auto",
        ),
        (Sink, "topic.trade", "t", "a source's key"),
        (Sink, "transaction.boundary", "poll", "a source's key"),
        (Sink, "compression-level", "99", "22"),
        (Sink, "compression-level", "high", "not a whole number"),
        (Sink, "tabel", "x", "did you mean `table`?"),
        (Sink, "settings", "{\"table\"", "line 1 column 8"),
        (Sink, "settings", "[]", "not a JSON object"),
        (Sink, "table", "${ENV}", "variables and files"),
        (Sink, "table", "${file:/etc/passwd}", "variables and files"),
        (
            Sink,
            "errors.deadletterqueue.topic.name",
            "taken",
            "reads the topic",
        ),
        (Source, "topics", "a", "a sink's key"),
        (Source, "topic.trade", "taken", "another connector writes"),
        (Source, "topic.trade", "a b", "name"),
        (
            Source,
            "transaction.boundary.interval.ms",
            "5",
            "only `transaction.boundary=interval`",
        ),
        (
            Source,
            "jackfield.delivery",
            "at-least-once",
            "asks for `exactly-once`",
        ),
        (
            Source,
            "topic.creation.default.replication.factor",
            "3",
            "only `-1`",
        ),
        (
            Source,
            "topic.creation.default.retention.ms",
            "1",
            "`retention`",
        ),
        (Source, "symbols", "btc", "does not match"),
        (Source, "market", "moon", "spot"),
        (Source, "endpoints", "{}", "given twice"),
        (Source, "streams", "trade,other", ""),
    ] {
        let entries = match end {
            Source => SOURCE,
            Sink => SINK,
        };
        let mut entries: Vec<_> = entries.iter().copied().filter(|(k, _)| *k != key).collect();
        entries.push((key, value));
        let errors = read(end, &entries).err();
        let errors = errors.unwrap_or_else(|| panic!("{key}={value} is taken"));
        let of: Vec<_> = errors.iter().flat_map(|(_, all)| all).cloned().collect();
        let under = if key == "endpoints" {
            "endpoints.rest"
        } else {
            key
        };
        assert!(
            errors.of(under).iter().any(|it| it.contains(error)),
            "{key}={value}: {errors} ({of:?})"
        );
    }
}

#[test]
fn what_is_missing_is_named_all_at_once() {
    let errors = read(
        End::Source,
        &[("name", "x"), ("connector.class", "binance")],
    )
    .unwrap_err();
    for key in ["topic.<feed>", "market", "symbols", "streams", "endpoints"] {
        assert!(!errors.of(key).is_empty(), "{key}: {errors}");
    }
    let message = errors.to_string();
    assert!(message.starts_with(
        "Connector configuration is invalid and contains the following 5 error(s):\n"
    ));
}

#[test]
fn no_message_repeats_a_secret() {
    let schema = json!({ "type": "object", "properties": {
        "db.password": { "type": "integer" },
        "uri": { "type": "object" },
        "list": { "type": "array", "items": { "type": "integer" } },
    } });
    let given = flat(&[
        ("connector.class", "iceberg"),
        ("topics", "t"),
        ("db.password", "hunter2"),
        ("uri", "https://me:hunter2@host"),
        ("list", "https://me:hunter2@host"),
    ]);
    let plugin = plugin(End::Sink, &schema);
    let errors = Wanted::read("x", &given, &plugin, &config(), &[]).unwrap_err();
    assert_eq!(errors.count(), 3, "{errors}");
    assert!(!errors.to_string().contains("hunter2"), "{errors}");
    let infos = config_infos(&plugin, &given, &errors);
    assert!(!serde_json::to_string(&infos).unwrap().contains("hunter2"));
}

#[test]
fn names_and_classes_have_to_fit() {
    let errors = read(
        End::Sink,
        &[
            ("name", "a/b"),
            ("connector.class", "other"),
            ("topics", "t"),
            ("table", "t"),
        ],
    )
    .unwrap_err();
    assert!(errors.of("name")[0].contains("1 to 200 of"));
    assert!(errors.of("connector.class")[0].contains("not the plugin `iceberg`"));
}
