//! What may be left out, and what may be said in several ways.

use crate::common::{self, parse};
use crate::{SECOND, with_sink};
use jackfield_config::*;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

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
