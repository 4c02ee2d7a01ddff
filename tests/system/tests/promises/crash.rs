//! `kill -9`, again and again, while trades come in.

use std::time::Duration;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Jackfield, Site};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use crate::{COMMITTED, assert_landed, exchange, run_until_idle, seed};

const KILLS: u32 = 30;

/// One of so many lives comes to a commit, however slow the machine is.
const COMMITS_EVERY: usize = 5;

/// Slow enough for a life to come up and commit between two kills, on a busy machine too.
const TRADES_PER_SECOND: f64 = 130.0;

/// A life may end as soon as the process is there, before it has done anything.
const EARLY_MS: std::ops::Range<u64> = 0..400;

#[tokio::test(flavor = "multi_thread")]
async fn thirty_kills_lose_nothing_and_double_nothing() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |o| o.seed = seed).await;
    let site = Site::new(&exchange).await;
    let total = exchange.status().total;
    // Where the stream stands at each kill: all of them lie inside it.
    let mut moments: Vec<u64> = (0..KILLS)
        .map(|_| random.random_range(1..total * 19 / 20))
        .collect();
    moments.sort_unstable();
    for (life, moment) in moments.into_iter().enumerate() {
        let mut jackfield = Jackfield::run(&site, &[]);
        // Once nothing comes any more, there may be nothing to commit.
        if life.is_multiple_of(COMMITS_EVERY) && exchange.status().position < total {
            jackfield.line(COMMITTED).await;
        }
        if exchange.status().position < moment {
            exchange.reached(moment).await;
        } else {
            // The life before took longer to end than the stream to get here.
            sleep(Duration::from_millis(random.random_range(EARLY_MS))).await;
        }
        assert!(jackfield.is_running(), "it ended by itself");
        jackfield.kill().await;
    }
    let position = exchange.status().position;
    println!("the last kill at trade {position} of {total}");
    run_until_idle(&site, "5s").await;
    exchange.finished().await;
    let table = assert_landed(&site.path().join("data"), &exchange.trades()).await;
    println!("{} snapshots", table.about.snapshots.len());
    assert!(
        table.about.snapshots.len() > 5,
        "some lives were long enough to commit"
    );
}
