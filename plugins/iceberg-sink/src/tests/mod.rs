//! The sink on a lake in memory, through its public trait.

mod bad_records;
mod bounds;
mod by_requirements;
mod commits;
mod crash;
mod evolution;
mod exactly_once;
mod filters;
mod format;
mod gathering;
mod many_topics;
mod merging;
mod metadata_size;
mod odd_times;
mod partition_refusals;
mod partition_values;
mod partitions;
mod pieces;
mod round_trip;
mod routing;
mod shared_folders;
mod slow_store;
mod tables;
mod taken_back;
mod upkeep;
mod values;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use apache_avro::types::Value;
use arrow_array::RecordBatch;
use futures::TryStreamExt;
use iceberg::spec::{DataFile, TableMetadata};
use iceberg::table::Table;
use jackfield_sdk::batch::{Batch, BatchWriter, Headers, Limits, Record, SchemaIds};
use jackfield_sdk::sink::testing::{FakeLake, Guard};
use jackfield_sdk::sink::{Committed, Holding, Piece, Ports, Sink, Span, Taken};
use jackfield_sdk::{Context, Delivery, Failure, Role};

use crate::storage::HostStorage;
use crate::tables::Tables;
use crate::{IcebergSink, Settings};

/// What the catalog of these tests goes by; `by_requirements.rs` has some of them by the other.
const GUARD: Guard = Guard::Location;
const TABLE: &str = "market.trades";
const TOPIC: &str = "binance.spot.trade";
const TOPIC_ID: &str = "11111111-1111-4111-8111-111111111111";
/// 2024-08-08T00:00:00Z in µs.
const MIDNIGHT: i64 = 1_723_075_200_000_000;
const DAY: i64 = 86_400_000_000;
/// As far from 1970 as a time may be.
const MICROS_MAX: i64 = 89_000_000 * DAY;

const TRADE: &str = r#"{"type":"record","name":"Trade","namespace":"binance.spot","fields":[
    {"name":"symbol","type":"string","doc":"The pair."},
    {"name":"trade_id","type":"long","doc":"Rises by one within a symbol."},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"quantity","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"trade_time","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"event_time","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
    {"name":"is_buyer_maker","type":"boolean"},
    {"name":"received_at","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#;

/// A trade whose id is its offset, so that rows say where they come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Trade {
    symbol: String,
    trade_id: i64,
    price: i128,
    trade_time: i64,
    event_time: Option<i64>,
}

impl Trade {
    fn new(symbol: &str, trade_id: i64) -> Self {
        Self {
            symbol: symbol.to_owned(),
            trade_id,
            price: 5_512_345_678_900 + i128::from(trade_id),
            trade_time: MIDNIGHT + trade_id * 1000,
            event_time: (trade_id % 3 != 0).then_some(MIDNIGHT + trade_id * 1000 + 7),
        }
    }

    fn datum(&self) -> Vec<u8> {
        let mut to = Vec::new();
        long(self.symbol.len() as i64, &mut to);
        to.extend_from_slice(self.symbol.as_bytes());
        long(self.trade_id, &mut to);
        decimal(self.price, &mut to);
        decimal(-self.price, &mut to);
        long(self.trade_time, &mut to);
        match self.event_time {
            None => long(0, &mut to),
            Some(at) => {
                long(1, &mut to);
                long(at, &mut to);
            }
        }
        to.push(u8::from(self.trade_id % 2 == 0));
        long(self.trade_time + 11, &mut to);
        to
    }
}

fn long(value: i64, to: &mut Vec<u8>) {
    let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while bits >= 0x80 {
        to.push((bits & 0x7f) as u8 | 0x80);
        bits >>= 7;
    }
    to.push(bits as u8);
}

fn decimal(value: i128, to: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let mut skip = bytes.iter().take_while(|it| **it == sign).count().min(15);
    if skip > 0 && (bytes[skip] & 0x80) != (sign & 0x80) {
        skip -= 1;
    }
    long((16 - skip) as i64, to);
    to.extend_from_slice(&bytes[skip..]);
}

/// A datum of any schema, by Avro's own library.
fn datum(schema: &str, value: impl Into<Value>) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(schema).unwrap();
    apache_avro::to_avro_datum(&schema, value.into()).unwrap()
}

/// A batch of values at these offsets.
fn batch_of(schema: u32, records: &[(i64, Option<Vec<u8>>)]) -> Vec<u8> {
    let mut writer = BatchWriter::new();
    for (offset, value) in records {
        writer
            .push_at(
                *offset,
                &Record {
                    timestamp_ms: 1_723_075_200_000 + offset,
                    key: None,
                    value: value.as_deref(),
                    schemas: SchemaIds {
                        value: schema,
                        key: 0,
                    },
                    headers: Headers::default(),
                },
            )
            .unwrap();
    }
    writer.finish()
}

fn trades(schema: u32, trades: &[Trade]) -> Vec<u8> {
    let records: Vec<_> = trades
        .iter()
        .map(|it| (it.trade_id, Some(it.datum())))
        .collect();
    batch_of(schema, &records)
}

fn span(partition: i32, first_offset: i64, next_offset: i64) -> Span {
    Span {
        topic: TOPIC.to_owned(),
        topic_id: TOPIC_ID.to_owned(),
        partition,
        first_offset,
        next_offset,
    }
}

fn settings(json: &str) -> Settings {
    jackfield_sdk::parse_settings(json).unwrap()
}

fn by_day_and_symbol() -> Settings {
    settings(r#"{"table":"market.trades","partition-by":["day(trade_time)","symbol"]}"#)
}

/// What stands around the sink: the lake outlives instances of it.
struct World {
    lake: FakeLake,
    settings: Settings,
    connector: String,
    /// The trades' schema.
    schema: u32,
}

impl World {
    fn new(settings: Settings) -> Self {
        Self::guarded_by(GUARD, settings)
    }

    fn guarded_by(guard: Guard, settings: Settings) -> Self {
        let lake = FakeLake::guarded_by(guard, format::Iceberg);
        let schema = lake.schemas.avro(TRADE);
        Self {
            lake,
            settings,
            connector: "trades-lake".to_owned(),
            schema,
        }
    }

    /// The same lake, seen by another connector.
    fn sibling(&self, connector: &str) -> Self {
        Self {
            lake: self.lake.clone(),
            settings: self.settings.clone(),
            connector: connector.to_owned(),
            schema: self.schema,
        }
    }

    fn open(&self, role: Role) -> Result<IcebergSink, Failure> {
        self.open_with(self.lake.ports(), role)
    }

    fn open_with(&self, ports: Ports, role: Role) -> Result<IcebergSink, Failure> {
        let context = Context {
            connector: self.connector.clone(),
            delivery: Delivery::ExactlyOnce,
            role,
            tasks: 1,
        };
        IcebergSink::open(ports, context, self.settings.clone(), None)
    }

    fn task(&self) -> IcebergSink {
        self.open(Role::Task(0)).unwrap()
    }

    fn committer(&self) -> IcebergSink {
        self.open(Role::Committer).unwrap()
    }

    /// Puts these trades as one batch, and stages.
    fn staged(&self, partition: i32, those: &[Trade]) -> Vec<Piece> {
        let mut task = self.task();
        let (first, last) = (those[0].trade_id, those[those.len() - 1].trade_id);
        put(
            &mut task,
            &span(partition, first, last + 1),
            &trades(self.schema, those),
        )
        .unwrap();
        task.stage().unwrap()
    }

    /// Puts, stages and commits trades `first..next` of one symbol.
    fn land(&self, partition: i32, first: i64, next: i64, id: &str) -> Result<Committed, Failure> {
        let those: Vec<_> = (first..next).map(|it| Trade::new("BTCUSDT", it)).collect();
        let pieces = self.staged(partition, &those);
        self.committer()
            .commit(TABLE, &pieces, &[span(partition, first, next)], id)
    }

    fn held(&self) -> Vec<Holding> {
        self.committer().stored(&[]).unwrap()
    }

    /// Partition → next offset, of what the table holds of this connector.
    fn positions(&self) -> BTreeMap<i32, i64> {
        self.held()
            .into_iter()
            .flat_map(|it| it.positions)
            .map(|at| (at.partition, at.next_offset))
            .collect()
    }

    fn metadata(&self) -> TableMetadata {
        let table = self.lake.catalog.table(TABLE).expect("the table is there");
        serde_json::from_str(&table.metadata).unwrap()
    }

    /// Another writer's commit.
    fn foreign(&self, updates: &str) {
        self.lake.catalog.foreign(TABLE, "[]", updates).unwrap();
    }

    fn snapshots(&self) -> usize {
        self.metadata().snapshots().len()
    }

    fn read<R>(&self, read: impl AsyncFnOnce(&Table) -> R) -> R {
        self.read_table(TABLE, read)
    }

    fn read_table<R>(&self, table: &str, read: impl AsyncFnOnce(&Table) -> R) -> R {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let ports = self.lake.ports();
        let io = HostStorage::new(Arc::clone(&ports.store)).file_io();
        let tables = Tables::new(ports.catalog, io, iceberg::Runtime::new(&runtime));
        let table = tables
            .load(table, None)
            .unwrap()
            .expect("the table is there");
        runtime.block_on(read(&table))
    }

    /// All rows, by Iceberg's own scan.
    fn rows(&self) -> Vec<RecordBatch> {
        self.rows_of(TABLE)
    }

    fn rows_of(&self, table: &str) -> Vec<RecordBatch> {
        self.read_table(table, async |table| {
            let scan = table.scan().select_all().build().unwrap();
            scan.to_arrow().await.unwrap().try_collect().await.unwrap()
        })
    }

    /// The trades' ids in order, doubles too.
    fn trade_ids(&self) -> Vec<i64> {
        let mut ids = self.longs("trade_id");
        ids.sort_unstable();
        ids
    }

    fn longs(&self, column: &str) -> Vec<i64> {
        self.rows()
            .iter()
            .flat_map(|rows| {
                let column = rows.column_by_name(column).unwrap();
                let column = column.as_any().downcast_ref::<arrow_array::Int64Array>();
                column.unwrap().values().to_vec()
            })
            .collect()
    }

    /// The data files of the table as it is.
    fn files(&self) -> Vec<DataFile> {
        self.read(async |table| {
            let Some(snapshot) = table.metadata().current_snapshot() else {
                return Vec::new();
            };
            let list = table.manifest_list_reader(snapshot).load().await.unwrap();
            let mut files = Vec::new();
            for manifest in list.entries() {
                let manifest = manifest.load_manifest(table.file_io()).await.unwrap();
                files.extend(manifest.entries().iter().map(|it| it.data_file().clone()));
            }
            files
        })
    }
}

fn put(task: &mut IcebergSink, at: &Span, batch: &[u8]) -> Result<Taken, Failure> {
    task.put(at, &Batch::parse(batch, &Limits::default()).unwrap())
}

/// Whether a call asks for a stage, and for no wait.
fn asks_for_a_stage<R>(told: &Result<R, Failure>) -> bool {
    matches!(told, Err(Failure::Retry { after_ms: 0, .. }))
}
