//! What is promised when brokers die and connections are cut.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{again, append, content, identity, last, numbered, numbers, open, unique, within};
use jackfield_log::{Identity, Log, LogError, TopicSpec, Writer};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use jackfield_test_kafka::{Broker, Proxy};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Appends of one writer on their way at once.
const IN_FLIGHT: usize = 32;

/// Brokers that are killed and come back, again and again, in the middle of appends: what was
/// acknowledged is there, everything once and in order. At least once some is there again, and
/// nothing is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_and_doubles_nothing() {
    const KILLS: usize = 3;
    let mut broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let log: Arc<dyn Log> = KafkaLog::open(KafkaConfig::new(&broker.address())).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for delivery in [Delivery::ExactlyOnce, Delivery::AtLeastOnce] {
        let topic = unique("topic");
        let spec = TopicSpec::new(&topic, 2);
        again("a topic", || log.create_topic(&spec)).await;
        let acknowledged = Arc::new(AtomicU64::new(0));
        let writing = tokio::spawn(write(
            Arc::clone(&log),
            delivery,
            topic.clone(),
            Arc::clone(&acknowledged),
            Arc::clone(&stop),
        ));
        writers.push((delivery, topic, acknowledged, writing));
    }
    for kill in 0..=KILLS {
        // Only once they go on does the next kill meet anything.
        for (delivery, _, acknowledged, _) in &writers {
            let before = acknowledged.load(Ordering::Acquire);
            println!("before kill {kill}, {delivery:?}: {before} acknowledged");
            more_than(acknowledged, before + 200).await;
        }
        if kill < KILLS {
            broker = tokio::task::spawn_blocking(move || {
                broker.kill();
                broker.restart();
                broker
            })
            .await
            .unwrap();
        }
    }
    stop.store(true, Ordering::Release);
    for (delivery, topic, _, writing) in writers {
        let wrote = within("a writer ends", writing).await.unwrap();
        let stored = last(&log, &delivery.identity()).await;
        assert_eq!(stored, wrote, "{delivery:?}");
        for partition in content(&log, &topic, 2).await {
            match delivery {
                Delivery::ExactlyOnce => assert_eq!(partition, numbers(wrote)),
                Delivery::AtLeastOnce => assert_eq!(first_times(partition), numbers(wrote)),
            }
        }
    }
    drop(broker);
}

#[derive(Debug, Clone, Copy)]
enum Delivery {
    ExactlyOnce,
    AtLeastOnce,
}

impl Delivery {
    fn identity(self) -> Identity {
        identity(&format!("{self:?}"))
    }

    async fn open(self, log: &Arc<dyn Log>) -> Box<dyn Writer> {
        let identity = self.identity();
        match self {
            Delivery::ExactlyOnce => open(log, &identity).await,
            Delivery::AtLeastOnce => {
                let open = || log.writer_at_least_once(&identity);
                again("a writer opens", open).await
            }
        }
    }
}

/// Without what is there again.
fn first_times(texts: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let texts = texts.into_iter();
    texts.filter(|text| seen.insert(text.clone())).collect()
}

async fn more_than(count: &AtomicU64, n: u64) {
    within("appends go on", async {
        while count.load(Ordering::Acquire) <= n {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Appends numbers, and after a failure goes on from what is stored, as a source does. Gives the
/// last one.
async fn write(
    log: Arc<dyn Log>,
    delivery: Delivery,
    topic: String,
    acknowledged: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> u64 {
    let identity = delivery.identity();
    loop {
        let mut writer = delivery.open(&log).await;
        let mut n = last(&log, &identity).await;
        assert!(n >= acknowledged.load(Ordering::Acquire), "lost");
        let mut in_flight = VecDeque::new();
        let failed = loop {
            if stop.load(Ordering::Acquire) && in_flight.is_empty() {
                return n;
            }
            if in_flight.len() < IN_FLIGHT && !stop.load(Ordering::Acquire) {
                let queued = within("queued", writer.append(numbered(&topic, 2, n + 1))).await;
                match queued {
                    Ok(pending) => in_flight.push_back((n + 1, pending)),
                    Err(error) => break error,
                }
                n += 1;
                continue;
            }
            let Some((number, pending)) = in_flight.pop_front() else {
                continue;
            };
            match within("an outcome", pending).await {
                Ok(_) => acknowledged.store(number, Ordering::Release),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(
                failed,
                LogError::Retriable(_) | LogError::Unknown(_) | LogError::Fenced(_)
            ),
            "{failed:?}"
        );
        println!("opened anew: {failed}");
    }
}

/// A connection that is cut for longer than the delivery timeout: the append fails, and what is
/// stored tells afterwards whether it landed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_cut_connection_what_is_stored_is_the_truth() {
    let start = || {
        let proxy = Proxy::listen();
        let broker = Broker::behind(&proxy);
        (broker, proxy)
    };
    let (broker, proxy) = tokio::task::spawn_blocking(start).await.unwrap();
    let config = KafkaConfig {
        delivery_timeout: Duration::from_secs(3),
        ..KafkaConfig::new(&format!("127.0.0.1:{}", proxy.port()))
    };
    let log: Arc<dyn Log> = KafkaLog::open(config).unwrap();
    let topic = unique("topic");
    let spec = TopicSpec::new(&topic, 1);
    again("a topic", || log.create_topic(&spec)).await;
    let identity = identity("cut");
    let mut expected = 0;
    // Cut at other moments of an append: before it, and while it is on its way.
    for wait_ms in [0, 6] {
        let mut writer = open(&log, &identity).await;
        expected += 1;
        append(&mut writer, numbered(&topic, 1, expected))
            .await
            .unwrap();
        let queued = if wait_ms == 0 {
            proxy.cut();
            writer.append(numbered(&topic, 1, expected + 1)).await
        } else {
            let queued = writer.append(numbered(&topic, 1, expected + 1)).await;
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            proxy.cut();
            queued
        };
        let outcome = match queued {
            Ok(pending) => within("an outcome", pending).await,
            Err(error) => Err(error),
        };
        println!("cut after {wait_ms} ms: {outcome:?}");
        proxy.mend();
        let _newer = open(&log, &identity).await;
        let stored = last(&log, &identity).await;
        match outcome {
            Ok(_) => assert_eq!(stored, expected + 1),
            Err(LogError::Unknown(_)) => assert!((expected..=expected + 1).contains(&stored)),
            Err(LogError::Retriable(_)) => assert_eq!(stored, expected),
            Err(error) => panic!("{error:?}"),
        }
        expected = stored;
    }
    let landed = content(&log, &topic, 1).await;
    assert_eq!(landed[0], numbers(expected));
    drop(broker);
}
