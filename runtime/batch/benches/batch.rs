//! What packing and looking costs a record: `cargo bench -p jackfield-batch`.
//!
//! Batches of 1000 with a key and a header and a value of 200 bytes, as in the figures that the
//! format was chosen by, and of 100-byte values without headers, which a trade comes near to.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jackfield_batch::event::{Event, EventWriter, Events, Kind};
use jackfield_batch::{Batch, BatchWriter, Headers, Limits, Record};
use std::hint::black_box;

const RECORDS: u32 = 1000;

fn write(writer: &mut BatchWriter, record: &Record<'_>) -> Vec<u8> {
    for _ in 0..RECORDS {
        writer.push(black_box(record)).unwrap();
    }
    writer.finish()
}

fn read(bytes: &[u8]) -> usize {
    let batch = Batch::parse(bytes, &Limits::default()).unwrap();
    batch
        .iter()
        .map(|record| record.value.map_or(0, <[u8]>::len) + record.key.map_or(0, <[u8]>::len))
        .sum()
}

fn batches(criterion: &mut Criterion) {
    shape(
        criterion,
        "200 bytes and a header",
        200,
        Headers::of(&[("trace", Some(b"0123456789abcdef"))]),
    );
    shape(criterion, "100 bytes", 100, Headers::default());
}

fn shape(criterion: &mut Criterion, name: &str, bytes: usize, headers: Headers<'_>) {
    let mut group = criterion.benchmark_group("batch of 1000");
    group.throughput(Throughput::Elements(u64::from(RECORDS)));
    let value = vec![7; bytes];
    let record = Record {
        key: Some(b"BTCUSDT"),
        value: Some(&value),
        headers,
        ..Record::default()
    };
    let mut writer = BatchWriter::new();
    let packed = write(&mut writer, &record);
    group.bench_function(BenchmarkId::new("write", name), |b| {
        b.iter(|| write(&mut writer, &record))
    });
    group.bench_function(BenchmarkId::new("parse", name), |b| {
        b.iter(|| {
            Batch::parse(black_box(&packed), &Limits::default())
                .unwrap()
                .len()
        });
    });
    group.bench_function(BenchmarkId::new("parse and read", name), |b| {
        b.iter(|| read(black_box(&packed)))
    });
    group.finish();
}

fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1000 events");
    group.throughput(Throughput::Elements(u64::from(RECORDS)));
    let body = [7; 150];
    let mut writer = EventWriter::new();
    let mut write = || {
        for number in 1..=u64::from(RECORDS) {
            writer.push(black_box(&Event {
                number,
                kind: Kind::Text,
                id: 1,
                received_ns: 0,
                body: &body,
            }));
        }
        writer.finish()
    };
    let packed = write();
    group.bench_function("write", |b| b.iter(&mut write));
    group.bench_function("parse and read", |b| {
        b.iter(|| {
            Events::parse(black_box(&packed))
                .unwrap()
                .iter()
                .map(|event| event.body.len())
                .sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, batches, events);
criterion_main!(benches);
