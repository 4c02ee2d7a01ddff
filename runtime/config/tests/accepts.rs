//! What good files become.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::parse;
use jackfield_config::*;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLE: &str = include_str!("../../../connectors.yaml");
const SECOND: Duration = Duration::from_secs(1);

/// The least that runs, with these lines below the sink.
fn with_sink(lines: &str) -> String {
    let lines = lines.replace('\n', "\n        ");
    format!(
        "plugins: {{ iceberg: a.wasm }}\npipelines:\n  p:\n    topics: {{ trade: {{ name: trades }} }}\n    sinks:\n      s:\n        plugin: iceberg\n        topics: [trade]\n        {lines}\n"
    )
}

fn settings(lines: &str) -> serde_json::Value {
    let text = with_sink(&format!("settings:\n  {}", lines.replace('\n', "\n  ")));
    let config = parse(&text).unwrap_or_else(|findings| panic!("{text}\n{findings}"));
    config.pipelines["p"].sinks["s"].settings.value().clone()
}

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
fn what_is_left_out_has_its_default() {
    let config = parse(&with_sink("")).unwrap();
    let LogConfig::Embedded(log) = &config.log else {
        panic!("{:?}", config.log)
    };
    assert_eq!(log.dir, Path::new("/etc/jackfield/data/log"));
    assert_eq!(log.retention, Some(7 * 24 * 3600 * SECOND));
    let pipeline = &config.pipelines["p"];
    assert_eq!(pipeline.delivery, Delivery::AtLeastOnce);
    assert_eq!(
        pipeline.transaction,
        TransactionConfig {
            linger: Duration::ZERO,
            records_max: 10_000
        }
    );
    let sink = &pipeline.sinks["s"];
    assert_eq!(sink.settings.value(), &json!({}));
    assert_eq!(sink.allow, Grants::default());
    assert_eq!(sink.commit.every, 10 * SECOND);
    // Keys with nothing after them are as good as left out.
    let empty = parse(&with_sink("settings:\ncommit:\nallow:")).unwrap();
    assert_eq!(empty.pipelines, config.pipelines);
}

#[test]
fn pushing_is_asked_for_by_naming_a_receiver() {
    let with = |telemetry: &str| parse(&format!("{EXAMPLE}\ntelemetry: {telemetry}\n"));
    let config = with("{ otlp: { endpoint: \"http://collector:4318\" } }").unwrap();
    let otlp = config.telemetry.otlp.unwrap();
    assert_eq!(otlp.endpoint.as_str(), "http://collector:4318/");
    assert_eq!(otlp.protocol, OtlpProtocol::Http);
    assert_eq!(otlp.interval, 30 * SECOND);
    assert_eq!(otlp.sample.map(u32::from), Some(100_000));
    assert!(otlp.headers.is_empty());
    let all = "{ otlp: { endpoint: \"https://c/otlp\", protocol: grpc, headers: { X-Key: hunter2 }, interval: 1s, sample: 0 } }";
    let config = with(all).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let otlp = config.telemetry.otlp.unwrap();
    assert_eq!(otlp.protocol, OtlpProtocol::Grpc);
    assert_eq!(otlp.headers["x-key"].expose(), "hunter2");
    assert_eq!((otlp.interval, otlp.sample), (SECOND, None));
    for wrong in [
        "{ otlp: {} }",
        "{ otlp: { endpoint: \"collector:4318\" } }",
        "{ otlp: { endpoint: \"http://c\", protocol: udp } }",
        "{ otlp: { endpoint: \"http://c\", interval: 1ms } }",
        "{ otlp: { endpoint: \"http://c\", sample: 0.5 } }",
    ] {
        assert!(with(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn long_and_short_forms() {
    let config = parse(
        r#"
memory: 3GiB
log: { embedded: { dir: /var/log/j, retention: forever, retention-bytes: 1GiB } }
admin: { listen: "[::1]:0" }
telemetry: { logs: { format: json, level: debug } }
lakes:
  cloud: { catalog: { sql: "postgres://u:hunter2@db:5432/lake" }, warehouse: file:///lake/house/ }
  uri: { catalog: { sql: "sqlite:c%20d.db?mode=rwc" }, warehouse: "a b" }
plugins:
  rest: { file: /r.wasm, sha256: "sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", memory: 1073741824, call-time: 2s }
pipelines:
  quotes:
    source:
      plugin: rest
      slots: 0o2
      on-bad-record: { dead-letter: { topic: dead } }
      allow:
        websocket: [{ url: ws://127.0.0.1:9 }]
        http: [{ url: "https://api/v1", headers: { X-Key: "${file:/run/secrets/key}", Pin: 12 } }]
    topics:
      quote: { name: quotes, retention: 1h, retention-bytes: 2MiB, configs: { compression.type: zstd, segment.ms: 60000 } }
      noise: drop
    retry: { deadline: 1m }
    transaction: { linger: 5ms, records: 500 }
  read:
    topics: { quote: { name: quotes }, elsewhere: { name: other.topic, retention: forever } }
    sinks:
      all: { plugin: rest, topics: [quote, dead, other.topic], on-bad-record: skip, start: latest, allow: { lake: cloud } }
      more: { plugin: rest, topics: [quotes], allow: { lake: uri } }
"#,
    )
    .unwrap_err();
    // Two instances of the source, and two of each sink: a gigabyte each.
    assert!(config.to_string().contains("allow 6GiB"), "{config}");
    let text = r#"
admin: { listen: "[::1]:0" }
lakes:
  cloud: { catalog: { sql: "postgres://u:hunter2@db:5432/lake" }, warehouse: file:///lake/house/ }
  uri: { catalog: { sql: "sqlite:c%20d.db?mode=rwc" }, warehouse: "a b" }
plugins:
  rest: { file: /r.wasm, sha256: "sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", memory: 1073741824, call-time: 2s }
pipelines:
  quotes:
    source:
      plugin: rest
      slots: 0o2
      on-bad-record: { dead-letter: { topic: dead } }
      allow:
        websocket: [{ url: ws://127.0.0.1:9 }]
        http: [{ url: "https://api/v1", headers: { X-Key: "${file:/run/secrets/key}", Pin: 12 } }]
    topics:
      quote: { name: quotes, partitions: 3, retention: 1h, retention-bytes: 2MiB, configs: { compression.type: zstd, segment.ms: 60000 } }
      noise: drop
  read:
    topics: { quote: { name: quotes }, elsewhere: { name: other.topic, retention: forever } }
    sinks:
      all: { plugin: rest, topics: [quote, dead, other.topic], on-bad-record: skip, start: latest, allow: { lake: cloud } }
      more: { plugin: rest, topics: [quotes], allow: { lake: uri } }
"#;
    let config = parse(text).unwrap_or_else(|findings| panic!("{findings}"));
    assert_eq!(config.admin.listen, "[::1]:0".parse().unwrap());
    let CatalogConfig::Sql { uri, sqlite_file } = &config.lakes["cloud"].catalog else {
        panic!("a SQL catalog")
    };
    assert_eq!(
        (uri.expose(), sqlite_file),
        ("postgres://u:hunter2@db:5432/lake", &None)
    );
    assert_eq!(
        config.lakes["cloud"].warehouse.as_ref().unwrap().as_str(),
        "file:///lake/house"
    );
    let CatalogConfig::Sql { uri, sqlite_file } = &config.lakes["uri"].catalog else {
        panic!("a SQL catalog")
    };
    assert_eq!(uri.expose(), "sqlite:///etc/jackfield/c%20d.db?mode=rwc");
    assert_eq!(
        sqlite_file.as_deref(),
        Some(Path::new("/etc/jackfield/c d.db"))
    );
    assert_eq!(
        config.lakes["uri"].warehouse.as_ref().unwrap().as_str(),
        "file:///etc/jackfield/a%20b"
    );
    let plugin = &config.plugins["rest"];
    assert!(
        plugin
            .sha256
            .as_deref()
            .unwrap()
            .starts_with("0123456789abcdef")
    );
    assert_eq!(
        (plugin.memory_bytes_max, plugin.call_time_max),
        (1 << 30, Some(2 * SECOND))
    );
    let quotes = &config.pipelines["quotes"];
    let source = quotes.source.as_ref().unwrap();
    assert_eq!(source.slots_max, 2);
    assert_eq!(
        source.on_bad_record,
        BadRecord::DeadLetter {
            topic: "dead".to_owned()
        }
    );
    assert_eq!(source.allow.http[0].headers["x-key"].expose(), "hunter2");
    assert_eq!(source.allow.http[0].headers["pin"].expose(), "12");
    assert_eq!(quotes.topics["noise"], FeedTopic::Drop);
    let read = &config.pipelines["read"];
    // A reader that says only the name takes the rest from the writer.
    assert_eq!(read.topics["quote"], quotes.topics["quote"]);
    let FeedTopic::Topic(quote) = &quotes.topics["quote"] else {
        panic!("{quotes:?}")
    };
    let configs: Vec<_> = quote
        .configs
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        configs,
        [
            ("compression.type", "zstd"),
            ("retention.bytes", "2097152"),
            ("retention.ms", "3600000"),
            ("segment.ms", "60000")
        ]
    );
    let all = &read.sinks["all"];
    let topics: Vec<_> = all
        .topics
        .iter()
        .map(|topic| (topic.name.as_str(), topic.partitions))
        .collect();
    assert_eq!(topics, [("quotes", 3), ("dead", 1), ("other.topic", 1)]);
    assert_eq!(
        (all.on_bad_record.clone(), all.start),
        (BadRecord::Skip, StartAt::Latest)
    );
    assert!(!format!("{config:?}").contains(common::HUNTER));
}

#[test]
fn variables_are_values_whatever_they_contain() {
    assert_eq!(
        settings(
            "a: ${NUMBER}\nb: \"${NUMBER}\"\nc: ${YAML}\nd: ${NO}\ne: ${EMPTY:-x}\nf: ${EMPTY}\ng: $${NUMBER}\nh: a${SYMBOL}b${NUMBER}\ni: $NUMBER\nj: ${TRUE:-true}\nk: >-\n  ${SYMBOL}\n  ${UNSET:-12}"
        ),
        json!({
            "a": 4, "b": "4", "c": "a: [b, {c: d}]\n- e", "d": "no", "e": "x", "f": "", "g": "${NUMBER}",
            "h": "aBTCUSDTb4", "i": "$NUMBER", "j": true, "k": "BTCUSDT 12",
        })
    );
    let config = parse(&with_sink(
        "tasks: \"${NUMBER}\"\ncommit: { every: \"${NUMBER}s\" }",
    ))
    .unwrap();
    assert_eq!(config.pipelines["p"].sinks["s"].tasks, 4);
    assert_eq!(config.pipelines["p"].sinks["s"].commit.every, 4 * SECOND);
}

#[test]
fn yaml_1_2_is_read_as_written() {
    assert_eq!(
        settings(
            "a: no\nb: on\non: yes\nc: 12:30\nd: 1_000\ne: 0o17\nf: 2024-08-08\ng: ~\nh: !!str 12\ni: 1.5\nj: 'x'\nk: TRUE"
        ),
        json!({
            "a": "no", "b": "on", "on": "yes", "c": "12:30", "d": "1_000", "e": 15, "f": "2024-08-08", "g": null,
            "h": "12", "i": 1.5, "j": "x", "k": true,
        })
    );
}

#[test]
fn anchors_and_merge_keys_work() {
    let config = parse(
        r"
x-sink: &sink { plugin: iceberg, tasks: 3, commit: { every: 1m } }
x-unused: ${NOT_SET}
plugins: { iceberg: a.wasm }
pipelines:
  p:
    topics: { trade: { name: trades } }
    sinks:
      a: { <<: *sink, topics: [trade] }
      b: { <<: [*sink, { start: latest, tasks: 9 }], topics: [trade], tasks: 2 }
",
    )
    .unwrap_or_else(|findings| panic!("{findings}"));
    let sinks = &config.pipelines["p"].sinks;
    assert_eq!(
        (sinks["a"].tasks, sinks["a"].commit.every),
        (3, 60 * SECOND)
    );
    assert_eq!((sinks["b"].tasks, sinks["b"].start), (2, StartAt::Latest));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let text = format!("\u{feff}{}", with_sink("tasks: 2").replace('\n', "\r\n"));
    assert_eq!(parse(&text).unwrap().pipelines["p"].sinks["s"].tasks, 2);
}

#[test]
fn moved_lines_are_no_change() {
    let text = with_sink("settings: { table: a.b }");
    assert_eq!(
        parse(&text).unwrap(),
        parse(&format!("# more\n\n{text}")).unwrap()
    );
    assert_ne!(
        parse(&text).unwrap(),
        parse(&text.replace("a.b", "a.c")).unwrap()
    );
}

#[test]
fn settings_get_the_defaults_of_the_plugin() {
    let config = parse(EXAMPLE).unwrap();
    let pipeline = &config.pipelines["trades"];
    let schema = include_str!("schemas/binance.json");
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
        .check(include_str!("schemas/iceberg.json"))
        .unwrap();
    assert_eq!(checked["create"], true);
}

#[test]
fn a_file_is_loaded_with_its_own_folder() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("connectors.yaml");
    std::fs::write(&file, with_sink("")).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.base_dir, dir.path());
    std::fs::write(&file, b"pipelines:\n  \xff: 1").unwrap();
    let refused = Config::load(&file).unwrap_err().to_string();
    assert!(
        refused.contains("connectors.yaml:2:3") && refused.contains("not UTF-8"),
        "{refused}"
    );
    let missing = Config::load(&dir.path().join("none.yaml")).unwrap_err();
    assert!(matches!(missing, LoadError::Unreadable { .. }), "{missing}");
}

/// `log.kafka` with these lines, and the least that reads a topic.
fn with_kafka(lines: &str) -> KafkaLogConfig {
    let lines = lines.replace('\n', "\n    ");
    let text = format!("log:\n  kafka:\n    {lines}\n{}", with_sink(""));
    let config = parse(&text).unwrap_or_else(|findings| panic!("{text}\n{findings}"));
    match config.log {
        LogConfig::Kafka(kafka) => *kafka,
        LogConfig::Embedded(embedded) => panic!("{embedded:?}"),
    }
}

#[test]
fn a_kafka_log_needs_servers_and_a_registry_only() {
    let kafka =
        with_kafka("bootstrap.servers: localhost:9092\nschema.registry.url: http://localhost:8081");
    assert_eq!(kafka.bootstrap_servers, "localhost:9092");
    let registry = kafka.registry.unwrap();
    assert_eq!(registry.urls.expose(), "http://localhost:8081");
    assert!(registry.auto_register && registry.user.is_none() && registry.identity.is_none());
    assert_eq!(
        (kafka.format, kafka.subjects),
        (RecordFormat::Avro, Subjects::Topic)
    );
    assert_eq!((kafka.cluster.as_str(), kafka.worker), ("jackfield", None));
    assert_eq!(kafka.membership, GroupMembership::Static);
    assert_eq!(kafka.delivery_timeout, 30 * SECOND);
    assert_eq!(kafka.session_timeout, 10 * SECOND);
    assert!(kafka.properties.is_empty());
}

#[test]
fn a_kafka_log_with_everything() {
    let kafka = with_kafka(
        "bootstrap.servers: a:9092,b:9092
schema.registry.url: \"https://me:hunter2@a, https://b/apis/ccompat/v7\"
schema-registry: { token: \"${file:/run/secrets/key}\", ca: certs/ca.pem, certificate: /c.pem, key: key.pem, auto-register: false }
format: json
cluster: market
worker: w-${NUMBER}
membership: dynamic
replication: 3
positions-topic: connect-offsets
delivery-timeout: 2m
session-timeout: 45s
oauth-token-file: token
properties:
  security.protocol: SASL_SSL
  sasl.password: ${PASSWORD}
  socket.keepalive.enable: true
  ssl.ca.location: certs/ca.pem",
    );
    let registry = kafka.registry.as_ref().unwrap();
    assert_eq!(registry.token.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(
        registry.ca.as_deref(),
        Some(Path::new("/etc/jackfield/certs/ca.pem"))
    );
    let (certificate, key) = registry.identity.as_ref().unwrap();
    assert_eq!(certificate, Path::new("/c.pem"));
    assert_eq!(key, Path::new("/etc/jackfield/key.pem"));
    assert!(!registry.auto_register);
    assert_eq!(kafka.format, RecordFormat::Json);
    assert_eq!(kafka.worker.as_deref(), Some("w-4"));
    assert_eq!(kafka.membership, GroupMembership::Dynamic);
    assert_eq!(kafka.replication, Some(3));
    assert_eq!(kafka.positions_topic.as_deref(), Some("connect-offsets"));
    assert_eq!(
        kafka.oauth_token_file.as_deref(),
        Some(Path::new("/etc/jackfield/token"))
    );
    let property = |name: &str| kafka.properties[name].expose().to_owned();
    assert_eq!(property("sasl.password"), "hunter2");
    assert_eq!(property("socket.keepalive.enable"), "true");
    assert_eq!(property("ssl.ca.location"), "/etc/jackfield/certs/ca.pem");
    assert!(!format!("{kafka:?}").contains("hunter2"));
}

#[test]
fn a_lake_in_a_bucket_behind_a_rest_catalog() {
    let text = r#"
plugins: { iceberg: a.wasm }
lakes:
  all:
    catalog:
      rest:
        uri: https://catalog.example/api/
        warehouse: prod
        oauth: { client-id: me, client-secret: hunter2 }
        headers: { X-Tenant: t }
        credentials: own
    s3: { endpoint: "http://localhost:9000/", region: eu-west-1, access-key-id: id, secret-access-key: "hunter2", addressing: host, checksum: none }
  least: { catalog: { rest: "https://catalog.example" } }
  google: { catalog: { sql: "sqlite://c.db" }, warehouse: "gs://bucket/a/b/", gcs: { service-account: "{}" } }
  azure: { catalog: { sql: "sqlite://c.db" }, warehouse: "abfss://c@account.dfs.core.windows.net/w" }
  plain: { catalog: { sql: "sqlite://c.db" }, warehouse: "s3://bucket/prefix" }
pipelines:
  p:
    topics: { trade: { name: trades } }
    sinks:
      a: { plugin: iceberg, topics: [trade], allow: { lake: all } }
      b: { plugin: iceberg, topics: [trade], allow: { lake: least } }
      c: { plugin: iceberg, topics: [trade], allow: { lake: google } }
      d: { plugin: iceberg, topics: [trade], allow: { lake: azure } }
      e: { plugin: iceberg, topics: [trade], allow: { lake: plain } }
"#;
    let config = parse(text).unwrap_or_else(|findings| panic!("{findings}"));
    let options = |lake: &str| -> Vec<(&str, String)> {
        let all = config.lakes[lake].store.iter();
        all.map(|it| (it.key, it.value.expose().to_owned()))
            .collect()
    };
    let own = |pairs: &[(&'static str, &str)]| -> Vec<(&str, String)> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect()
    };
    let all = &config.lakes["all"];
    let CatalogConfig::Rest(rest) = &all.catalog else {
        panic!("a REST catalog")
    };
    assert_eq!(rest.uri.as_str(), "https://catalog.example/api/");
    assert_eq!(rest.warehouse.as_deref(), Some("prod"));
    let oauth = rest.oauth.as_ref().unwrap();
    assert_eq!(
        (oauth.client_id.as_str(), oauth.scope.as_str()),
        ("me", "catalog")
    );
    assert_eq!(rest.headers["x-tenant"].expose(), "t");
    assert!(!rest.vended_credentials && all.warehouse.is_none());
    assert_eq!(
        options("all"),
        own(&[
            ("endpoint", "http://localhost:9000"),
            ("region", "eu-west-1"),
            ("access_key_id", "id"),
            ("secret_access_key", "hunter2"),
            ("virtual_hosted_style_request", "true"),
        ])
    );
    assert!(!format!("{config:?}").contains("hunter2"));
    let CatalogConfig::Rest(rest) = &config.lakes["least"].catalog else {
        panic!("a REST catalog")
    };
    assert!(rest.vended_credentials && rest.oauth.is_none() && rest.token.is_none());
    assert_eq!(options("google"), own(&[("service_account_key", "{}")]));
    assert_eq!(options("azure"), own(&[]));
    assert_eq!(
        options("plain"),
        own(&[
            ("virtual_hosted_style_request", "false"),
            ("checksum_algorithm", "crc64nvme"),
        ])
    );
    let warehouse = |lake: &str| config.lakes[lake].warehouse.as_ref().unwrap().as_str();
    assert_eq!(warehouse("google"), "gs://bucket/a/b");
    assert_eq!(
        warehouse("azure"),
        "abfss://c@account.dfs.core.windows.net/w"
    );
}

#[test]
fn an_admin_server_for_others_has_a_token_or_says_that_it_is_exposed() {
    let admin =
        |admin: &str| parse(&format!("admin: {admin}\n{}", with_sink(""))).map(|it| it.admin);
    let ours = admin("{}").unwrap();
    assert_eq!(
        (ours.auth, ours.expose, ours.tls),
        (AdminAuth::Token, false, None)
    );
    assert_eq!(admin("{ auth: none }").unwrap().auth, AdminAuth::None);
    assert!(admin("{ listen: '[::1]:0', auth: none }").is_ok());
    assert!(admin("{ listen: '0.0.0.0:80' }").is_err());
    assert!(
        admin("{ listen: '0.0.0.0:80', expose: true }")
            .unwrap()
            .expose
    );
    assert!(admin("{ listen: '10.0.0.1:80', token: t, auth: none }").is_err());
    let whole = admin(
        "{ listen: '10.0.0.1:443', token: t, hosts: [Admin.example], components: swaps, tls: { cert: c.pem, key: k.pem } }",
    );
    let whole = whole.unwrap();
    assert_eq!(whole.hosts, ["admin.example"]);
    assert_eq!(
        whole.components.as_deref(),
        Some(Path::new("/etc/jackfield/swaps"))
    );
    assert_eq!(whole.tls.unwrap().cert, Path::new("/etc/jackfield/c.pem"));
}

#[test]
fn grants_for_connectors_made_over_rest_need_no_pipelines() {
    let text = "lakes: { local: { catalog: { sql: 'sqlite://c.db' }, warehouse: w } }\n\
                plugins: { unused: a.wasm }\n\
                grants: { both: { lake: local, websocket: ['wss://a'], http: ['https://b'] }, none: {} }\n";
    let config = parse(text).unwrap_or_else(|findings| panic!("{findings}"));
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    assert!(config.pipelines.is_empty());
    assert_eq!(config.grants["both"].lake.as_deref(), Some("local"));
    assert_eq!(config.grants["both"].websocket.len(), 1);
    assert_eq!(config.grants["none"], Grants::default());
    assert!(parse("grants: { a: { lake: nowhere } }").is_err());
    assert!(
        parse("plugins: { unused: a.wasm }").is_err(),
        "nothing to run"
    );
}
