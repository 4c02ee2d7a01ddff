//! A neighbour of evil plugins goes on working while they die.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use jackfield_hostile_tests::{Bench, POLL, brisk, patient, told, values};
use jackfield_plugin::{CallLimits, Polled};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const DEEDS: [&str; 12] = [
    "panic",
    "divide",
    "recurse",
    "wild",
    "exit",
    "eat",
    "loop",
    "sleep",
    "call-the-host",
    "giant-list",
    "forged-list",
    "malformed",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_loses_nothing_while_others_die() {
    let engine = common::engine();
    let decent = Bench::new(&engine).await;
    let stop = Arc::new(AtomicBool::new(false));
    let polls = Arc::new(AtomicU64::new(0));
    let neighbour = tokio::spawn({
        let (stop, polls) = (Arc::clone(&stop), Arc::clone(&polls));
        async move {
            let mut instance = decent.opened("{}", &patient()).await.unwrap();
            let mut slowest = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                let started = Instant::now();
                let polled: Polled = instance.poll(POLL).await.unwrap();
                slowest = slowest.max(started.elapsed());
                let number = polls.fetch_add(1, Ordering::Relaxed) + 1;
                assert_eq!(
                    values(&polled),
                    [number.to_string()],
                    "every record, once, in order"
                );
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            slowest
        }
    });
    let evil = Bench::new(&engine).await;
    for deed in DEEDS {
        let before = polls.load(Ordering::Relaxed);
        let limits = match deed {
            "loop" | "sleep" | "call-the-host" => brisk("poll", Duration::from_millis(300)),
            "eat" => CallLimits {
                memory_bytes_max: 32 << 20,
                ..patient()
            },
            _ => patient(),
        };
        let mut instance = evil.opened(&told("poll", deed), &limits).await.unwrap();
        let started = Instant::now();
        instance.poll(POLL).await.expect_err(deed);
        println!("{deed}: detected after {:?}", started.elapsed());
        evil.works().await;
        // The neighbour has gone on, not only survived.
        while polls.load(Ordering::Relaxed) < before + 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(!neighbour.is_finished(), "{deed} ended the neighbour");
        }
    }
    stop.store(true, Ordering::Relaxed);
    println!(
        "{} polls of the neighbour, the slowest took {:?}",
        polls.load(Ordering::Relaxed),
        neighbour.await.unwrap()
    );
}
