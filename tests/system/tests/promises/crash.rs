//! `kill -9`, again and again, while trades come in.

use std::time::Duration;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Jackfield, Site};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use crate::{assert_landed, exchange, run_until_idle};

const KILLS: u32 = 30;

/// Shortest and longest life, ms: from before the first record to several commits.
const LIFE_MS: std::ops::Range<u64> = 200..3400;

/// The replay takes 69 s: longer than all those lives.
const TRADES_PER_SECOND: f64 = 230.0;

#[tokio::test(flavor = "multi_thread")]
async fn thirty_kills_lose_nothing_and_double_nothing() {
    let seed: u64 = match std::env::var("JACKFIELD_SEED") {
        Ok(text) => text.parse().expect("JACKFIELD_SEED is a number"),
        Err(_) => rand::rng().random(),
    };
    println!("JACKFIELD_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |o| o.seed = seed).await;
    let site = Site::new(&exchange).await;
    let total = exchange.status().total;
    let mut inside = 0;
    for _ in 0..KILLS {
        let life = Duration::from_millis(random.random_range(LIFE_MS));
        let mut jackfield = Jackfield::run(&site, &[]);
        sleep(life).await;
        assert!(jackfield.is_running(), "it ended by itself");
        inside += u32::from(exchange.status().position < total);
        jackfield.kill().await;
    }
    println!("{inside} of {KILLS} kills were inside the stream");
    assert!(
        inside >= KILLS * 9 / 10,
        "the replay was over too early: {inside}"
    );
    run_until_idle(&site, "5s").await;
    exchange.finished().await;
    let table = assert_landed(&site.path().join("data"), &exchange.trades()).await;
    println!("{} snapshots", table.about.snapshots.len());
    assert!(
        table.about.snapshots.len() > 5,
        "some lives were long enough to commit"
    );
}
