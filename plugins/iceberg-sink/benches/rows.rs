//! Rows a second of one core: Avro → Arrow → partitions → Parquet zstd-1 → commit, natively, on a
//! lake in memory.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use iceberg_sink::{IcebergSink, Settings};
use jackfield_sdk::batch::{Batch, BatchWriter, Headers, Limits, Record, SchemaIds};
use jackfield_sdk::sink::testing::FakeLake;
use jackfield_sdk::sink::{Sink, Span};
use jackfield_sdk::{Context, Delivery, Role};

#[path = "../src/tests/format.rs"]
mod format;

const TRADE: &str = r#"{"type":"record","name":"Trade","namespace":"binance.spot","fields":[
    {"name":"symbol","type":"string"},
    {"name":"trade_id","type":"long"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"quantity","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":8}},
    {"name":"trade_time","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"event_time","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
    {"name":"is_buyer_maker","type":"boolean"},
    {"name":"received_at","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#;
const MIDNIGHT: i64 = 1_723_075_200_000_000;
const BATCH: i64 = 1000;

fn long(value: i64, to: &mut Vec<u8>) {
    let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while bits >= 0x80 {
        to.push((bits & 0x7f) as u8 | 0x80);
        bits >>= 7;
    }
    to.push(bits as u8);
}

fn decimal(value: i64, to: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let skip = bytes.iter().take_while(|it| **it == 0).count().min(7);
    let skip = if bytes[skip] & 0x80 == 0 {
        skip
    } else {
        skip - 1
    };
    long((8 - skip) as i64, to);
    to.extend_from_slice(&bytes[skip..]);
}

/// A trade much like Binance's: prices wander, quantities are small multiples, times rise.
fn trade(id: i64, symbol: &str) -> Vec<u8> {
    let noise = (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let mut to = Vec::new();
    long(symbol.len() as i64, &mut to);
    to.extend_from_slice(symbol.as_bytes());
    long(3_735_683_259 + id, &mut to);
    decimal(
        5_512_000_000_000 + (noise % 5000) as i64 * 1_000_000,
        &mut to,
    );
    decimal((noise % 977) as i64 * 1000, &mut to);
    let at = MIDNIGHT + id * 700 + (noise % 500) as i64;
    long(at, &mut to);
    long(1, &mut to);
    long(at + 300, &mut to);
    to.push((noise & 1) as u8);
    long(at + 30_000 + (noise % 3000) as i64, &mut to);
    to
}

fn batches(rows: i64, symbols: i64, schema: u32) -> Vec<Vec<u8>> {
    (0..rows)
        .step_by(BATCH as usize)
        .map(|first| {
            let mut writer = BatchWriter::new();
            for id in first..first + BATCH {
                let value = trade(id, &format!("SYM{}USDT", (id * 7) % symbols));
                writer
                    .push_at(
                        id,
                        &Record {
                            timestamp_ms: 0,
                            key: None,
                            value: Some(&value),
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
        })
        .collect()
}

fn span(first_offset: i64, next_offset: i64) -> Span {
    Span {
        topic: "trades".to_owned(),
        topic_id: "t".to_owned(),
        partition: 0,
        first_offset,
        next_offset,
    }
}

fn open(lake: &FakeLake, role: Role) -> IcebergSink {
    let settings: Settings = jackfield_sdk::parse_settings(
        r#"{"table":"market.trades","partition-by":["day(trade_time)","symbol"]}"#,
    )
    .unwrap();
    let context = Context {
        connector: "bench".to_owned(),
        delivery: Delivery::ExactlyOnce,
        role,
        tasks: 1,
    };
    IcebergSink::open(lake.ports(), context, settings, None).unwrap()
}

fn land(lake: &FakeLake, batches: &[Vec<u8>]) {
    let mut task = open(lake, Role::Task(0));
    let mut first = 0;
    for batch in batches {
        let batch = Batch::parse(batch, &Limits::default()).unwrap();
        black_box(task.put(&span(first, first + BATCH), &batch).unwrap());
        first += BATCH;
    }
    let pieces = task.stage().unwrap();
    open(lake, Role::Committer)
        .commit("market.trades", &pieces, &[span(0, first)], "c")
        .unwrap();
}

fn rows(c: &mut Criterion) {
    let mut group = c.benchmark_group("land");
    group.sample_size(10);
    for (rows, symbols) in [(100_000, 1), (100_000, 2), (100_000, 50), (1_000_000, 2)] {
        group.throughput(Throughput::Elements(rows as u64));
        let batches = batches(rows, symbols, 1);
        group.bench_function(format!("{rows} rows, {symbols} symbols"), |b| {
            b.iter_batched(
                || {
                    let lake = FakeLake::new(format::Iceberg);
                    lake.schemas.avro(TRADE);
                    lake
                },
                |lake| {
                    land(&lake, &batches);
                    lake
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
