//! `connectors.yaml` of the repository.

use crate::common::parse;
use crate::{EXAMPLE, SECOND};
use jackfield_config::*;
use serde_json::json;
use std::path::{Path, PathBuf};

#[test]
fn the_example_is_what_it_says() {
    let config = parse(EXAMPLE).unwrap_or_else(|findings| panic!("{findings}"));
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    assert_eq!(config.base_dir, Path::new("/etc/jackfield"));
    assert_eq!(config.state_dir, Path::new("/etc/jackfield/data/state"));
    assert_eq!(config.memory_bytes_max, None);
    assert_eq!(config.admin.listen, "127.0.0.1:8083".parse().unwrap());
    assert_eq!(
        config.telemetry,
        TelemetryConfig {
            format: LogFormat::Auto,
            level: LogLevel::Info,
            otlp: None,
        }
    );
    let LogConfig::Embedded(log) = &config.log else {
        panic!("{:?}", config.log)
    };
    assert_eq!(log.dir, Path::new("/etc/jackfield/data/log"));
    assert_eq!(
        (log.retention, log.retention_bytes),
        (Some(24 * 3600 * SECOND), None)
    );

    let lake = &config.lakes["local"];
    let CatalogConfig::Sql { uri, sqlite_file } = &lake.catalog else {
        panic!("a SQL catalog")
    };
    assert_eq!(uri.expose(), "sqlite:///etc/jackfield/data/catalog.db");
    assert_eq!(
        sqlite_file.as_deref(),
        Some(Path::new("/etc/jackfield/data/catalog.db"))
    );
    assert_eq!(
        lake.warehouse.as_ref().unwrap().as_str(),
        "file:///etc/jackfield/data/warehouse"
    );

    let plugin = |file: &str, mib: u64| PluginConfig {
        file: PathBuf::from(file),
        sha256: None,
        memory_bytes_max: mib << 20,
        call_time_max: None,
    };
    assert_eq!(
        config.plugins["binance"],
        plugin("/etc/jackfield/target/plugins/binance-source.wasm", 256)
    );
    assert_eq!(
        config.plugins["iceberg"],
        plugin("/etc/jackfield/target/plugins/iceberg-sink.wasm", 512)
    );

    let pipeline = &config.pipelines["trades"];
    assert_eq!(pipeline.delivery, Delivery::ExactlyOnce);
    assert_eq!(
        pipeline.retry,
        RetryConfig {
            deadline: 300 * SECOND
        }
    );
    let source = pipeline.source.as_ref().unwrap();
    assert_eq!(
        (
            source.connector.as_str(),
            source.plugin.as_str(),
            source.slots_max
        ),
        ("trades-source", "binance", 1)
    );
    assert_eq!(
        source.settings.value()["endpoints"]["rest"],
        "https://data-api.binance.vision"
    );
    assert_eq!(
        source.allow.websocket[0].url.as_str(),
        "wss://data-stream.binance.vision/"
    );
    assert_eq!(
        source.allow.http[0].url.as_str(),
        "https://data-api.binance.vision/"
    );
    assert_eq!(source.on_bad_record, BadRecord::Stop);
    let FeedTopic::Topic(trade) = &pipeline.topics["trade"] else {
        panic!("{pipeline:?}")
    };
    assert_eq!(
        (trade.name.as_str(), trade.partitions, trade.configs.len()),
        ("binance.spot.trade", 4, 0)
    );

    let sink = &pipeline.sinks["lake"];
    assert_eq!(
        (sink.connector.as_str(), sink.plugin.as_str(), sink.tasks),
        ("trades-lake", "iceberg", 1)
    );
    assert_eq!(
        (sink.topics[0].name.as_str(), sink.topics[0].partitions),
        ("binance.spot.trade", 4)
    );
    assert_eq!(
        sink.commit,
        CommitConfig {
            every: 10 * SECOND,
            rows_max: 1_000_000,
            bytes_max: 512 << 20
        }
    );
    assert_eq!(
        sink.settings.value()["partition-by"],
        json!(["day(trade_time)", "symbol"])
    );
    assert_eq!(
        (sink.allow.lake.as_deref(), sink.start),
        (Some("local"), StartAt::Earliest)
    );
    let names: Vec<_> = config
        .connectors()
        .map(|connector| (connector.name, connector.end))
        .collect();
    assert_eq!(
        names,
        [("trades-source", End::Source), ("trades-lake", End::Sink)]
    );
}

#[test]
fn settings_get_the_defaults_of_the_plugin() {
    let config = parse(EXAMPLE).unwrap();
    let pipeline = &config.pipelines["trades"];
    let schema = include_str!("../schemas/binance.json");
    let checked = pipeline
        .source
        .as_ref()
        .unwrap()
        .settings
        .check(schema)
        .unwrap();
    assert_eq!(checked["silence-after"], "30s");
    assert_eq!(checked["market"], "spot");
    let checked = pipeline.sinks["lake"]
        .settings
        .check(include_str!("../schemas/iceberg.json"))
        .unwrap();
    assert_eq!(checked["create"], true);
}
