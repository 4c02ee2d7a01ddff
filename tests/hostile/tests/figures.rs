//! What a call, an instance and a load cost. Printed with `--nocapture`; asserts only that they
//! are of the order that the design counts on, with room for a busy machine.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use jackfield_hostile_tests::{Bench, POLL, component, patient};
use std::time::{Duration, Instant};

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_instances_and_loads_are_cheap() {
    let started = Instant::now();
    let engine = common::engine();
    println!("engine: {:?}", started.elapsed());
    engine.load(component(), None).await.unwrap();
    let again = common::engine();
    let started = Instant::now();
    again.load(component(), None).await.unwrap();
    let load = started.elapsed();
    println!("load of compiled code, with hashing and linking: {load:?}");
    let bench = Bench::new(&engine).await;
    let mut making = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        let instance = bench.instance(&patient()).await.unwrap();
        making.push(started.elapsed());
        drop(instance);
    }
    let making = median(making);
    println!("instance: {making:?}");
    let mut instance = bench.opened("{}", &patient()).await.unwrap();
    let mut polling = Vec::new();
    for _ in 0..5_000 {
        let started = Instant::now();
        instance.poll(POLL).await.unwrap();
        polling.push(started.elapsed());
    }
    let polling = median(polling);
    println!(
        "poll of one record: {polling:?}; usage {:?}",
        bench.usage.snapshot()
    );
    assert!(load < Duration::from_secs(2), "{load:?}");
    assert!(making < Duration::from_millis(10), "{making:?}");
    assert!(polling < Duration::from_millis(1), "{polling:?}");
}
