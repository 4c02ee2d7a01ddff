//! Rows a second of one core: Avro → Arrow → partitions → Parquet zstd-1 → commit, natively, on a
//! lake in memory.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use iceberg_sink::{IcebergSink, Settings};
use jackfield_sdk::batch::{Batch, Limits};
use jackfield_sdk::sink::testing::FakeLake;
use jackfield_sdk::sink::{Sink, Span};
use jackfield_sdk::{Context, Delivery, Role};
use trades::{BATCH, TRADE, batches};

#[path = "../src/tests/format.rs"]
mod format;
mod trades;

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
    for (rows, symbols) in [
        (100_000, 1),
        (100_000, 2),
        (100_000, 50),
        (1_000_000, 1),
        (1_000_000, 2),
        (1_000_000, 2000),
    ] {
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
