//! What a killed process leaves behind.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{all_values, identity, open};
use jackfield_log::Log;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const KILLS: usize = 12;

/// Everything acknowledged is there, an append is there as a whole or not at all, and no number
/// is there twice.
#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_acknowledged_and_tear_no_append() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    for kill in 1..=KILLS {
        let mut child = Command::new(env!("CARGO_BIN_EXE_log-embedded-appending"))
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        for _ in 0..random.random_range(1..120) {
            acknowledged = lines.next().unwrap().unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Lines that were in the pipe were acknowledged too.
        for line in lines {
            acknowledged = line.unwrap().parse().unwrap();
        }

        let log = open(dir.path());
        let mut numbers: Vec<u64> = Vec::new();
        for partition in 0..2 {
            let values = all_values(&log, "numbers", partition).await;
            let values: Vec<u64> = values.iter().map(|value| value.parse().unwrap()).collect();
            assert!(values.is_sorted(), "kill {kill}: the order in a partition");
            numbers.extend(values);
        }
        numbers.sort_unstable();
        let last = numbers.len() as u64;
        assert_eq!(
            numbers,
            (1..=last).collect::<Vec<_>>(),
            "kill {kill}: none missing, none twice"
        );
        assert!(
            last >= acknowledged,
            "kill {kill}: {acknowledged} was acknowledged, {last} are there"
        );
        let stored = log.stored(&identity("numbers-source")).await.unwrap();
        let position = stored.positions[0].offset.as_deref().unwrap();
        assert_eq!(
            position,
            last.to_string(),
            "kill {kill}: the position lands with its records"
        );
    }
}
