//! A component that calls the host without pause is held back, and what it did is counted.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use jackfield_hostile_tests::{Bench, POLL, SinkBench, batch, patient, span, told, values};
use jackfield_plugin::Usage;
use std::time::{Duration, Instant};

/// As docs/SECURITY.md has them.
const CALLS_PER_SECOND: f64 = 50_000.0;
const CALLS_BURST: f64 = 100_000.0;
/// How often the component is called; each time it calls the host more often than it may.
const FLOODS: u64 = 3;

/// No more calls than the rate allows for, but for those of the last flood, which are paid for by
/// the next call. `weight`: what one counts.
fn assert_held_back(usage: &Usage, took: Duration, weight: f64, flood: f64) {
    let used = usage.snapshot();
    let calls = used.host_calls as f64 * weight;
    println!("{} calls in {took:?}, {used:?}", used.host_calls);
    let earned = CALLS_BURST + CALLS_PER_SECOND * took.as_secs_f64();
    assert!(calls <= earned + flood, "{calls} calls, {earned} earned");
    // A machine that is too slow to be over the rate has nothing to pay for.
    let slow = calls / took.as_secs_f64() < CALLS_PER_SECOND;
    assert!(used.held_back > Duration::ZERO || slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_floods_the_host_rests_and_goes_on() {
    let bench = Bench::new(&common::engine()).await;
    let flood = told("poll", "call-the-host-often");
    let mut instance = bench.opened(&flood, &patient()).await.unwrap();
    let started = Instant::now();
    for poll in 1..=FLOODS {
        let polled = instance.poll(POLL).await.unwrap();
        assert_eq!(values(&polled), [poll.to_string()], "only slower");
    }
    assert_held_back(&bench.usage, started.elapsed(), 1.0, 200_000.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_out_of_the_process_count_for_more() {
    let bench = SinkBench::new(&common::engine()).await;
    let flood = told("put", "call-the-host-often");
    let mut sink = bench.opened(&flood, &patient()).await.unwrap();
    let started = Instant::now();
    for _ in 0..FLOODS {
        sink.discard().await.unwrap();
        sink.put(span(3), batch(3).into()).await.unwrap();
    }
    assert_held_back(&bench.usage, started.elapsed(), 10.0, 100_000.0);
    bench.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decent_instances_are_never_held_back() {
    let bench = Bench::new(&common::engine()).await;
    let mut instance = bench.opened("{}", &patient()).await.unwrap();
    for _ in 0..1000 {
        instance.poll(POLL).await.unwrap();
    }
    assert_eq!(bench.usage.snapshot().held_back, Duration::ZERO);
}
