//! A folder with a pipeline file and all that the pipeline writes.

use std::path::{Path, PathBuf};

use jackfield_exchange::{Recording, Running};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Artifacts;

/// Pipelines run beside each other: most of their time is waiting, but starting one takes a core.
static SITES: Semaphore = Semaphore::const_new(4);

/// The folder; it goes when this is dropped. The file is YAML as JSON is: every key as a test
/// wants it, without a template language.
pub struct Site {
    folder: TempDir,
    config: Value,
    _permit: SemaphorePermit<'static>,
}

/// The two symbols of the recording, with their first trades: a source that is to miss none,
/// whenever it comes.
pub fn both() -> Value {
    let recording = Recording::spot().unwrap();
    let first = |symbol: &str| {
        let mut trades = recording.trades().iter();
        trades
            .find(|trade| *trade.symbol == *symbol)
            .map(|trade| trade.trade_id)
    };
    json!({ "BTCUSDT": first("BTCUSDT"), "ETHUSDT": first("ETHUSDT") })
}

/// The sink of the example, committing often.
pub fn trades_sink() -> Value {
    json!({
        "plugin": "iceberg",
        "topics": ["trade"],
        "commit": { "every": "500ms" },
        "settings": { "table": "market.trades", "partition-by": ["day(trade_time)", "symbol"] },
        "allow": { "lake": "local" }
    })
}

/// A sink for what the source could not get.
pub fn gaps_sink() -> Value {
    json!({
        "plugin": "iceberg",
        "topics": ["gap"],
        "commit": { "every": "500ms" },
        "settings": { "table": "market.gaps" },
        "allow": { "lake": "local" }
    })
}

impl Site {
    /// The example's pipeline on an exchange of ours, from the recording's first trade on.
    pub async fn new(exchange: &Running) -> Site {
        let permit = SITES.acquire().await.expect("never closed");
        let artifacts = Artifacts::get();
        let (ws, rest) = (exchange.ws_url(), exchange.rest_url());
        let config = json!({
            "state": artifacts.state,
            "log": { "embedded": { "dir": "data/log" } },
            "lakes": { "local": {
                "catalog": { "sql": "sqlite://data/catalog.db" },
                "warehouse": "data/warehouse"
            } },
            "plugins": {
                "binance": artifacts.plugin("binance-source"),
                "iceberg": { "file": artifacts.plugin("iceberg-sink"), "memory": "512MiB" }
            },
            "pipelines": { "trades": {
                "delivery": "exactly-once",
                "source": {
                    "plugin": "binance",
                    "settings": {
                        "market": "spot",
                        "symbols": ["BTCUSDT", "ETHUSDT"],
                        "streams": ["trade"],
                        "start-at": both(),
                        "silence-after": "1s",
                        "endpoints": { "websocket": ws, "rest": rest }
                    },
                    "allow": { "websocket": [ws], "http": [rest] }
                },
                "topics": {
                    "trade": { "name": "binance.spot.trade", "partitions": 4 },
                    "gap": { "name": "binance.spot.gap" }
                },
                "sinks": { "lake": trades_sink() }
            } }
        });
        let folder = tempfile::Builder::new()
            .prefix("jackfield-system-")
            .tempdir()
            .unwrap();
        let site = Site {
            folder,
            config,
            _permit: permit,
        };
        site.write();
        site
    }

    /// Changes the file: `pointer` as in RFC 6901, such as `/pipelines/trades/delivery`. The
    /// parents must be there; null takes a key out.
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Site {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer begins with /");
        let parent = self
            .config
            .pointer_mut(parent)
            .and_then(Value::as_object_mut);
        let parent = parent.unwrap_or_else(|| panic!("{pointer} has no parent"));
        if value.is_null() {
            parent.remove(key);
        } else {
            parent.insert(key.to_owned(), value);
        }
        self.write();
        self
    }

    fn write(&self) {
        let text = serde_json::to_string_pretty(&self.config).unwrap();
        std::fs::write(self.file(), text).unwrap();
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The pipeline file.
    pub fn file(&self) -> PathBuf {
        self.path().join("pipeline.yaml")
    }

    /// The catalog's file.
    pub fn catalog(&self) -> PathBuf {
        self.path().join("data/catalog.db")
    }

    /// The warehouse's folder.
    pub fn warehouse(&self) -> PathBuf {
        self.path().join("data/warehouse")
    }
}
