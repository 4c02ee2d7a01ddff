//! Flat configs become connectors.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{SINK, SOURCE, config, flat, plugin, read, schema};
use jackfield_config::{BadRecord, Delivery, End, FeedTopic, StartAt};
use jackfield_connect::{Wanted, key_infos};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_source_is_what_its_config_says() {
    let wanted = read(End::Source, SOURCE).unwrap();
    assert_eq!(wanted.tasks_max(), 2);
    assert_eq!(wanted.settings["symbols"], json!(["BTCUSDT", "ETHUSDT"]));
    assert_eq!(
        wanted.settings["silence-after"], "30s",
        "the schema's default"
    );
    let pipeline = wanted.pipeline;
    assert_eq!(pipeline.delivery, Delivery::ExactlyOnce);
    assert_eq!(pipeline.topics["gap"], FeedTopic::Drop);
    let FeedTopic::Topic(topic) = &pipeline.topics["trade"] else {
        panic!("a topic");
    };
    assert_eq!((topic.name.as_str(), topic.partitions), ("spot.trade", 3));
    assert_eq!(topic.configs["compression.type"], "zstd");
    let source = pipeline.source.unwrap();
    assert_eq!(source.connector, "Spot_1.trades");
    assert_eq!(source.allow.websocket.len(), 1);
    assert_eq!(source.allow.http[0].headers["x-key"].expose(), "hunter2");
    assert_eq!(source.allow.lake, None, "a source has no lake");
}

#[test]
fn a_sink_is_what_its_config_says() {
    let wanted = read(End::Sink, SINK).unwrap();
    let pipeline = wanted.pipeline;
    assert_eq!(pipeline.retry.deadline, Duration::from_secs(60));
    let sink = pipeline.sinks.into_values().next().unwrap();
    assert_eq!((sink.connector.as_str(), sink.tasks), ("lake", 2));
    assert_eq!(sink.topics[0].partitions, 4, "as the file declares it");
    assert_eq!(sink.topics[1].name, "other");
    assert_eq!(sink.commit.every, Duration::from_secs(1));
    assert_eq!(sink.commit.rows_max, 10);
    assert_eq!(sink.start, StartAt::Latest);
    assert_eq!(sink.allow.lake.as_deref(), Some("local"));
    assert!(sink.allow.websocket.is_empty());
    let BadRecord::DeadLetter { topic } = sink.on_bad_record else {
        panic!("dead letters");
    };
    assert_eq!(topic, "dead");
}

#[test]
fn a_topic_of_another_that_was_made_is_read_as_that_declares_it() {
    let source = read(End::Source, SOURCE).unwrap().pipeline;
    let mut entries = SINK.to_vec();
    for (key, value) in &mut entries {
        if *key == "topics" {
            *value = "spot.trade";
        }
    }
    let schema = schema(End::Sink);
    let (flat, plugin) = (flat(&entries), plugin(End::Sink, &schema));
    for (others, partitions) in [(vec![], 1), (vec![&source], 3)] {
        let wanted = Wanted::read("lake", &flat, &plugin, &config(), &others).unwrap();
        let sink = wanted.pipeline.sinks.into_values().next().unwrap();
        assert_eq!(sink.topics[0].partitions, partitions);
    }
}

#[test]
fn without_a_grant_nothing_is_reached() {
    let entries: Vec<_> = SINK
        .iter()
        .copied()
        .filter(|(key, _)| *key != "jackfield.grant")
        .collect();
    let wanted = read(End::Sink, &entries).unwrap();
    let sink = wanted.pipeline.sinks.into_values().next().unwrap();
    assert_eq!(sink.allow, jackfield_config::Grants::default());
}

#[test]
fn dead_letters_do_not_come_between_a_sources_records() {
    let entries: Vec<_> = SINK
        .iter()
        .map(|(key, value)| match *key {
            "topics" => (*key, "other"),
            "errors.deadletterqueue.topic.name" => (*key, "taken"),
            _ => (*key, *value),
        })
        .collect();
    let errors = read(End::Sink, &entries).unwrap_err();
    assert!(errors.of("errors.deadletterqueue.topic.name")[0].contains("a source writes `taken`"));
}

#[test]
fn settings_with_names_of_the_runtime_have_a_prefix() {
    let schema = json!({ "type": "object", "properties": { "topics": { "type": "integer" }, "name": { "type": "string" } }, "required": ["topics"], "additionalProperties": false });
    let plugin = plugin(End::Sink, &schema);
    let given = flat(&[
        ("connector.class", "iceberg"),
        ("topics", "t"),
        ("settings.topics", "3"),
        ("settings.name", "n"),
    ]);
    let wanted = Wanted::read("x", &given, &plugin, &config(), &[]).unwrap();
    assert_eq!(wanted.settings, json!({ "topics": 3, "name": "n" }));
    let whole = flat(&[
        ("connector.class", "iceberg"),
        ("topics", "t"),
        ("settings", "{\"topics\":4}"),
    ]);
    let wanted = Wanted::read("x", &whole, &plugin, &config(), &[]).unwrap();
    assert_eq!(wanted.settings, json!({ "topics": 4 }));
    let missing = flat(&[("connector.class", "iceberg"), ("topics", "t")]);
    let errors = Wanted::read("x", &missing, &plugin, &config(), &[]).unwrap_err();
    assert!(!errors.of("settings.topics").is_empty(), "{errors}");
    let infos = key_infos(&plugin);
    assert!(
        infos
            .iter()
            .any(|it| it.name == "settings.topics" && it.required && it.kind == "LONG")
    );
}
