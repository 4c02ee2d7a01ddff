//! `kill -9` of the worker and of the broker, again and again, while trades come in.

use jackfield_exchange::{Running, Speed};
use jackfield_system_tests::{Cluster, Jackfield, PATIENCE, Site};
use jackfield_test_kafka::Broker;
use jackfield_test_registry::ApicurioRegistry;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::spawn_blocking;
use tokio::time::{Duration, Instant, sleep};

use crate::kafka::assert_topic;
use crate::{COMMITTED, assert_landed, exchange, run_until_idle, seed};

const WORKER_KILLS: usize = 30;
const BROKER_KILLS: usize = 5;

/// Between two looks at the log.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Slow enough for lives to come up and commit between kills, and for the broker to come back.
const TRADES_PER_SECOND: f64 = 130.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Worker,
    Broker,
}

/// No connector gave up: brokers that come back are waited for.
fn none_failed(jackfield: &Jackfield) {
    let log = jackfield.log();
    let failed = log.lines().find(|line| line.contains("FAILED"));
    assert_eq!(failed, None);
}

/// Waits until the sink has committed once more, now that the broker is back.
async fn commits_again(jackfield: &mut Jackfield, exchange: &Running) {
    let commits = |jackfield: &Jackfield| jackfield.log().matches(COMMITTED).count();
    let (before, begin) = (commits(jackfield), Instant::now());
    let status = exchange.status();
    if status.position >= status.total {
        // Nothing has to come any more.
        return;
    }
    while commits(jackfield) == before {
        assert!(jackfield.is_running(), "it ended by itself");
        assert!(begin.elapsed() < PATIENCE, "no commit on the new broker");
        sleep(LOOK_EVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_worker_and_broker_lose_nothing_and_double_nothing() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    // A broker that is fenced for a moment, as by a short session on a busy machine, may leave a
    // transaction open for ever (KAFKA-20734).
    let session = [("broker.session.timeout.ms", "9000")];
    let start = move || (Broker::with(&session), ApicurioRegistry::start());
    let (mut broker, registry) = spawn_blocking(start).await.unwrap();
    let cluster = Cluster {
        servers: broker.address(),
        registry: registry.url(),
    };
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |o| o.seed = seed).await;
    let mut site = Site::new(&exchange).await;
    site.on_kafka(&cluster);
    let total = exchange.status().total;
    // Where the stream stands at each kill: all of them lie inside it.
    let victims = [Victim::Worker; WORKER_KILLS].into_iter();
    let victims = victims.chain([Victim::Broker; BROKER_KILLS]);
    let mut kills: Vec<(u64, Victim)> = victims
        .map(|victim| (random.random_range(1..total * 19 / 20), victim))
        .collect();
    kills.sort_unstable_by_key(|(moment, _)| *moment);
    let mut jackfield = Jackfield::run(&site, &[]);
    for (moment, victim) in kills {
        exchange.reached(moment).await;
        assert!(jackfield.is_running(), "it ended by itself");
        match victim {
            Victim::Worker => {
                none_failed(&jackfield);
                jackfield.kill().await;
                jackfield = Jackfield::run(&site, &[]);
            }
            Victim::Broker => {
                broker = spawn_blocking(move || {
                    broker.kill();
                    broker.restart();
                    broker
                })
                .await
                .unwrap();
                commits_again(&mut jackfield, &exchange).await;
            }
        }
    }
    none_failed(&jackfield);
    jackfield.kill().await;
    let position = exchange.status().position;
    println!("the last kill at trade {position} of {total}");
    run_until_idle(&site, "5s").await;
    exchange.finished().await;
    let sent = exchange.trades();
    let table = assert_landed(&site.path().join("data"), &sent).await;
    println!("{} snapshots", table.about.snapshots.len());
    assert!(
        table.about.snapshots.len() > 5,
        "some lives were long enough to commit"
    );
    assert_topic(&cluster, &site, &sent, "avro").await;
}
