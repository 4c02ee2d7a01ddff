//! What recording costs beside nothing at all: `cargo bench -p jackfield-telemetry`.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use jackfield_telemetry::{Call, ConnectorLabels, Kind, Telemetry};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

fn recording(criterion: &mut Criterion) {
    let telemetry = Telemetry::new().unwrap();
    let labels = ConnectorLabels {
        pipeline: "p".into(),
        connector: "c".into(),
        kind: Kind::Source,
    };
    let metrics = telemetry.connector(&labels);
    let plain = AtomicU64::new(0);

    let mut group = criterion.benchmark_group("recording");
    group.bench_function("a plain atomic, to compare", |b| {
        b.iter(|| plain.fetch_add(black_box(1), Ordering::Relaxed))
    });
    group.bench_function("records", |b| b.iter(|| metrics.records(black_box(1))));
    group.bench_function("a call's duration", |b| {
        b.iter(|| metrics.call(Call::Poll, black_box(Duration::from_micros(50))));
    });
    group.bench_function("a batch: records, bytes, batches, duration", |b| {
        b.iter(|| {
            metrics.records(black_box(1000));
            metrics.bytes(black_box(100_000));
            metrics.batches(1);
            metrics.call(Call::Poll, black_box(Duration::from_micros(50)));
        });
    });
    let stop = Arc::new(AtomicBool::new(false));
    let scraper = std::thread::spawn({
        let (telemetry, stop) = (telemetry.clone(), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                black_box(telemetry.render().unwrap());
            }
        }
    });
    group.bench_function("records, while scraped without a pause", |b| {
        b.iter(|| metrics.records(black_box(1)))
    });
    stop.store(true, Ordering::Relaxed);
    scraper.join().unwrap();
    group.bench_function("a scrape of one connector", |b| {
        b.iter(|| telemetry.render().unwrap())
    });
    group.finish();
}

criterion_group!(benches, recording);
criterion_main!(benches);
