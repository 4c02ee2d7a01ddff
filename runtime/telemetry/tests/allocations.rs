//! Recording allocates nothing once a series is bound, and neither does a batch that is not traced.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_telemetry::{
    Call, ConnectorLabels, ConnectorMetrics, Kind, Otlp, Part, Protocol, Step, Telemetry,
};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const ROUNDS: i64 = 10_000;
/// Records of a batch.
const RECORDS: i64 = 1000;

fn connector(telemetry: &Telemetry) -> ConnectorMetrics {
    telemetry.connector(&ConnectorLabels {
        pipeline: "p".into(),
        connector: "c".into(),
        kind: Kind::Sink,
    })
}

/// A batch goes by, as the pipelines record it.
fn batch(metrics: &ConnectorMetrics, number: i64) {
    let now = Instant::now();
    metrics.records(1000);
    metrics.bytes(100_000);
    metrics.batches(1);
    metrics.call(Call::Put, Duration::from_micros(10));
    let part = Part {
        topic: "t",
        topic_id: 7,
        partition: 0,
        first: 1 + number * RECORDS,
        next: 1 + (number + 1) * RECORDS,
    };
    for step in [
        Step::Poll,
        Step::Append,
        Step::Read,
        Step::Put,
        Step::Stage,
        Step::Commit,
    ] {
        assert!(!metrics.is_traced(&part));
        metrics.trace(step, &part, now, now);
    }
}

fn allocations(metrics: &ConnectorMetrics) -> u64 {
    // The first one binds the series.
    batch(metrics, 0);
    let counted = allocation_counter::measure(|| {
        for number in 0..ROUNDS {
            batch(metrics, number);
        }
    });
    counted.count_total
}

#[test]
fn a_batch_costs_no_allocation_without_traces() {
    let telemetry = Telemetry::new().unwrap();
    assert_eq!(allocations(&connector(&telemetry)), 0);
}

/// The receiver is not there, and no batch holds a record that is followed.
#[test]
fn a_batch_that_is_not_traced_costs_no_allocation_with_traces() {
    let telemetry = Telemetry::pushing(&Otlp {
        endpoint: "http://127.0.0.1:9".into(),
        protocol: Protocol::HttpProtobuf,
        headers: Vec::new(),
        interval: Duration::from_secs(3600),
        sample: NonZeroU32::new(1_000_000_000),
    })
    .unwrap();
    let metrics = connector(&telemetry);
    assert!(metrics.traces());
    assert_eq!(allocations(&metrics), 0);
}
