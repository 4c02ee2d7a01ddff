//! Flat configs become connectors, or every error by its key.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_config::{BadRecord, Config, Delivery, End, FeedTopic, ParseContext, StartAt};
use jackfield_connect::{
    Described, FlatConfig, KeyErrors, Wanted, config_infos, config_of, key_infos,
};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const FILE: &str = r#"
lakes: { local: { catalog: { sql: "sqlite://catalog.db" }, warehouse: data } }
plugins: { binance: b.wasm, iceberg: i.wasm }
grants:
  spot: { websocket: ["wss://ws"], http: [{ url: "https://rest", headers: { X-KEY: hunter2 } }], lake: local }
pipelines:
  declared:
    source: { plugin: binance, settings: {} }
    topics: { trade: { name: taken, partitions: 4 } }
"#;

fn config() -> Config {
    let context = ParseContext {
        file: "connectors.yaml",
        base_dir: Path::new("/"),
        env: &|_| None,
        read_file: &|_| Err(std::io::ErrorKind::NotFound.into()),
    };
    Config::parse(FILE, &context).unwrap()
}

fn schema(end: End) -> Value {
    let text = match end {
        End::Source => include_str!("../../config/tests/schemas/binance.json"),
        End::Sink => include_str!("../../config/tests/schemas/iceberg.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn flat(entries: &[(&str, &str)]) -> FlatConfig {
    let owned = entries
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    owned.collect()
}

const SOURCE: &[(&str, &str)] = &[
    ("name", "Spot_1.trades"),
    ("connector.class", "binance"),
    ("tasks.max", "2"),
    ("topic.trade", "spot.trade"),
    ("topic.gap", "drop"),
    ("topic.creation.default.partitions", "3"),
    ("topic.creation.default.compression.type", "zstd"),
    ("exactly.once.support", "required"),
    ("jackfield.grant", "spot"),
    ("market", "spot"),
    ("symbols", "BTCUSDT,ETHUSDT"),
    ("streams", "trade"),
    ("endpoints.websocket", "wss://ws"),
    ("endpoints.rest", "https://rest"),
];

const SINK: &[(&str, &str)] = &[
    ("name", "lake"),
    ("connector.class", "iceberg"),
    ("tasks.max", "2"),
    ("topics", "taken, other"),
    ("errors.tolerance", "all"),
    ("errors.deadletterqueue.topic.name", "dead"),
    ("errors.retry.timeout", "60000"),
    ("consumer.override.auto.offset.reset", "latest"),
    ("jackfield.commit.every", "1s"),
    ("jackfield.commit.rows", "10"),
    ("jackfield.delivery", "exactly-once"),
    ("jackfield.grant", "spot"),
    ("table", "market.trades"),
    ("partition-by", "day(time),symbol"),
    ("compression-level", "3"),
];

fn read(end: End, entries: &[(&str, &str)]) -> Result<Wanted, KeyErrors> {
    let schema = schema(end);
    let flat = flat(entries);
    Wanted::read(
        flat.get("name").map_or("x", String::as_str),
        &flat,
        &plugin(end, &schema),
        &config(),
        &[],
    )
}

fn plugin(end: End, schema: &Value) -> Described<'_> {
    Described {
        name: match end {
            End::Source => "binance",
            End::Sink => "iceberg",
        },
        end,
        version: "1.2.3",
        schema,
    }
}

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
