//! The file, the plugins and the configs of these tests.

use jackfield_config::{Config, End, ParseContext};
use jackfield_connect::{Described, FlatConfig, KeyErrors, Wanted};
use serde_json::Value;
use std::path::Path;

pub(crate) const FILE: &str = r#"
lakes: { local: { catalog: { sql: "sqlite://catalog.db" }, warehouse: data } }
plugins: { binance: b.wasm, iceberg: i.wasm }
grants:
  spot: { websocket: ["wss://ws"], http: [{ url: "https://rest", headers: { X-KEY: hunter2 } }], lake: local }
pipelines:
  declared:
    source: { plugin: binance, settings: {} }
    topics: { trade: { name: taken, partitions: 4 } }
"#;

pub(crate) fn config() -> Config {
    let context = ParseContext {
        file: "connectors.yaml",
        base_dir: Path::new("/"),
        env: &|_| None,
        read_file: &|_| Err(std::io::ErrorKind::NotFound.into()),
    };
    Config::parse(FILE, &context).unwrap()
}

pub(crate) fn schema(end: End) -> Value {
    let text = match end {
        End::Source => include_str!("../../../config/tests/schemas/binance.json"),
        End::Sink => include_str!("../../../config/tests/schemas/iceberg.json"),
    };
    serde_json::from_str(text).unwrap()
}

pub(crate) fn flat(entries: &[(&str, &str)]) -> FlatConfig {
    let owned = entries
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    owned.collect()
}

pub(crate) const SOURCE: &[(&str, &str)] = &[
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

pub(crate) const SINK: &[(&str, &str)] = &[
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

pub(crate) fn read(end: End, entries: &[(&str, &str)]) -> Result<Wanted, KeyErrors> {
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

pub(crate) fn plugin(end: End, schema: &Value) -> Described<'_> {
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
