//! The component beside the same code natively, in one process and one run: rows per CPU second, put,
//! staged and committed. The component is what `JACKFIELD_PLUGINS_TEST_DIR` has; its lake is a
//! folder, the native one's is memory.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use iceberg_sink::{IcebergSink, Settings};
use jackfield_plugin::lake::{CatalogConfig, Lake, LakeConfig, StoreOptions};
use jackfield_plugin::{
    CallLimits, Context, Deadlines, Delivery, Engine, EngineConfig, HttpGrants, Interrupt, Network,
    Plugin, Role, SinkHost, SinkInstance, Span, Usage,
};
use jackfield_schema::{Registry, Schema, SchemaError, SchemaKind};
use jackfield_sdk::batch::{Batch, Limits};
use jackfield_sdk::sink::testing::FakeLake;
use jackfield_sdk::sink::{self, Sink};
use trades::{BATCH, TRADE, batches};

#[path = "../src/tests/format.rs"]
mod format;
mod trades;

const TABLE: &str = "market.trades";
const SETTINGS: &str = r#"{"table":"market.trades","partition-by":["day(trade_time)","symbol"]}"#;
/// The better of so many runs of each counts.
const RUNS: usize = 3;
/// As the example gives the sink.
const MEMORY_BYTES_MAX: usize = 512 << 20;
/// For a call on any machine.
const PATIENT: Duration = Duration::from_secs(600);

/// Knows the trades' schema.
struct Schemas;

#[async_trait]
impl Registry for Schemas {
    async fn register(&self, _: &str, _: &Schema) -> Result<u32, SchemaError> {
        Err(SchemaError::Transient("it is read only".to_owned()))
    }

    async fn get(&self, _: u32) -> Result<Schema, SchemaError> {
        Ok(Schema {
            kind: SchemaKind::Avro,
            text: TRADE.to_owned(),
        })
    }

    async fn latest(&self, _: &str) -> Result<Option<(u32, Schema)>, SchemaError> {
        Ok(None)
    }
}

/// User and system seconds of this process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // In clock ticks, 100 a second on Linux.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn main() {
    // The sink blocks on a runtime of its own, which it may not do within another one.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = std::env::var_os("JACKFIELD_PLUGINS_TEST_DIR");
    let dir = dir.expect("JACKFIELD_PLUGINS_TEST_DIR names the folder of iceberg-sink.wasm");
    let cache = tempfile::tempdir().unwrap();
    let config = EngineConfig {
        cache_dir: cache.path().to_owned(),
        compiled: None,
    };
    let engine = Engine::new(&config).unwrap();
    let file = Path::new(&dir).join("iceberg-sink.wasm");
    let plugin = runtime.block_on(engine.load(&file, None)).unwrap();
    for (rows, symbols) in [
        (1_000_000, 1),
        (1_000_000, 2),
        (1_000_000, 50),
        (1_000_000, 2000),
    ] {
        let batches = batches(rows, symbols, 1);
        let mut best = (0.0_f64, 0.0_f64);
        for _ in 0..RUNS {
            let before = cpu();
            natively(&batches);
            best.0 = best.0.max(rows as f64 / (cpu() - before));
            let before = cpu();
            runtime.block_on(in_wasm(&plugin, &batches));
            best.1 = best.1.max(rows as f64 / (cpu() - before));
        }
        println!(
            "{rows} rows, {symbols} symbols: native {:.0} rows per CPU second, component {:.0}: {:.2} of it",
            best.0,
            best.1,
            best.1 / best.0
        );
    }
}

fn natively(batches: &[Vec<u8>]) {
    let lake = FakeLake::new(format::Iceberg);
    lake.schemas.avro(TRADE);
    let open = |role| {
        let settings: Settings = jackfield_sdk::parse_settings(SETTINGS).unwrap();
        let context = jackfield_sdk::Context {
            connector: "bench".to_owned(),
            delivery: jackfield_sdk::Delivery::ExactlyOnce,
            role,
            tasks: 1,
        };
        IcebergSink::open(lake.ports(), context, settings, None).unwrap()
    };
    let span = |first_offset, next_offset| sink::Span {
        topic: "trades".to_owned(),
        topic_id: "t".to_owned(),
        partition: 0,
        first_offset,
        next_offset,
    };
    let mut task = open(jackfield_sdk::Role::Task(0));
    let mut first = 0;
    for batch in batches {
        let batch = Batch::parse(batch, &Limits::default()).unwrap();
        task.put(&span(first, first + BATCH), &batch).unwrap();
        first += BATCH;
    }
    let pieces = task.stage().unwrap();
    open(jackfield_sdk::Role::Committer)
        .commit(TABLE, &pieces, &[span(0, first)], "c")
        .unwrap();
}

async fn in_wasm(plugin: &Plugin, batches: &[Vec<u8>]) {
    let dir = tempfile::tempdir().unwrap();
    let config = LakeConfig {
        name: "local".to_owned(),
        catalog: CatalogConfig::Sql {
            uri: format!("sqlite://{}", dir.path().join("catalog.db").display()).into(),
        },
        warehouse: Some(url::Url::from_file_path(dir.path().join("w")).unwrap()),
        store: StoreOptions::default(),
    };
    let lake = Lake::open(config).await.unwrap();
    let limits = CallLimits {
        deadlines: Deadlines::all(PATIENT),
        memory_bytes_max: MEMORY_BYTES_MAX,
    };
    let open = async |role| {
        let host = SinkHost {
            connector: "bench".to_owned(),
            lake: Some(lake.clone()),
            schemas: Arc::new(Schemas),
            http: HttpGrants::new(Vec::new(), &Network::new().unwrap()),
            interrupt: Interrupt::default(),
            usage: Arc::new(Usage::default()),
        };
        let mut instance = SinkInstance::new(plugin, host, &limits).await.unwrap();
        let context = Context {
            connector: "bench".to_owned(),
            delivery: Delivery::ExactlyOnce,
            role,
            tasks: 1,
        };
        let opened = instance.open(context, SETTINGS.to_owned(), None).await;
        opened.unwrap();
        instance
    };
    let span = |first_offset, next_offset| Span {
        topic: "trades".to_owned(),
        topic_id: "t".to_owned(),
        partition: 0,
        first_offset,
        next_offset,
    };
    let mut task = open(Role::Task(0)).await;
    task.assigned(Vec::new()).await.unwrap();
    let mut first = 0;
    for batch in batches {
        let batch = Bytes::from(batch.clone());
        task.put(span(first, first + BATCH), batch).await.unwrap();
        first += BATCH;
    }
    let pieces = task.stage().await.unwrap();
    let mut committer = open(Role::Committer).await;
    let spans = vec![span(0, first)];
    let committed = committer.commit(TABLE.to_owned(), pieces, spans, "c".to_owned());
    committed.await.unwrap();
}
