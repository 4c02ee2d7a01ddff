//! What the thread looks at and when, on a mock cluster.

#[path = "../../tests/common/mock.rs"]
mod cluster;

mod answers;
mod errors;
mod wakes;

use super::IDLE;
use crate::config::KafkaConfig;
use crate::reader::KafkaReader;
use crate::shared::Shared;
use cluster::Cluster;
use jackfield_log::{Reader, ReaderEvent, ReaderSpec, Start, TopicPartition};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TOPIC: &str = "busy";
const PARTITIONS: u32 = 100;
const BATCHES: u64 = 100;
/// Looks at the partition that has a batch: when it is told of, once more since it gave something,
/// and when the reader has taken that.
const LOOKS_EACH: u64 = 10;
/// Longest wait for one thing, on a machine that is busy with other tests.
const WAIT_MAX: Duration = Duration::from_secs(120);

fn spec() -> ReaderSpec {
    ReaderSpec {
        group: "group".into(),
        member: "member".into(),
        topics: vec![TOPIC.into()],
        start: Start::Earliest,
    }
}

/// A cluster, and how to reach it so that a fetch is answered soon: the mock answers one that finds
/// nothing only when its time is over.
fn started() -> (Cluster, KafkaConfig) {
    let (cluster, mut config) = Cluster::start();
    let soon = ("fetch.wait.max.ms".to_owned(), "5".to_owned());
    config.properties.extend([soon]);
    // With it a member waits for a little more than a minute, less than a test does, for the answer
    // to its wish to join.
    config.revoke_max = Duration::from_secs(1);
    (cluster, config)
}

/// A member that stands at the beginning of each partition of an empty topic, and who writes there.
async fn joined(partitions: u32) -> (Cluster, KafkaReader, FutureProducer) {
    let (cluster, config) = started();
    cluster.make(TOPIC, i32::try_from(partitions).unwrap());
    let servers = config.properties["bootstrap.servers"].clone();
    let shared = Shared::new(config).unwrap();
    let mut reader = KafkaReader::join(&shared, &spec()).await.unwrap();
    let mut held = 0;
    while held < partitions as usize {
        let ReaderEvent::Assigned(assigned) = next(&mut reader).await else {
            panic!("nothing was written yet");
        };
        held += assigned.len();
        for it in &assigned {
            reader.seek(&it.at, 0).unwrap();
        }
    }
    let producer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .create()
        .unwrap();
    (cluster, reader, producer)
}

fn first() -> TopicPartition {
    TopicPartition::new(TOPIC, 0)
}

/// Writes a record to the first partition.
async fn write(producer: &FutureProducer, value: &str) {
    let record = FutureRecord::<(), _>::to(TOPIC).partition(0).payload(value);
    producer.send(record, WAIT_MAX).await.unwrap();
}

/// Waits until a count has passed this.
async fn passes(count: &AtomicU64, before: u64) {
    let begin = Instant::now();
    while count.load(Ordering::Relaxed) <= before {
        assert!(begin.elapsed() < WAIT_MAX, "it stays at {before}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn next(reader: &mut KafkaReader) -> ReaderEvent {
    let event = tokio::time::timeout(WAIT_MAX, reader.next()).await;
    event.expect("an event").unwrap()
}

/// The thread looks at partitions that have something, and at every one only as often as it looks
/// there anyway.
#[tokio::test(flavor = "multi_thread")]
async fn one_busy_partition_has_no_others_looked_at() {
    let (_cluster, mut reader, producer) = joined(PARTITIONS).await;
    let mut before = 0;
    let mut begin = Instant::now();
    for number in 0..=BATCHES {
        write(&producer, "x").await;
        let event = next(&mut reader).await;
        assert!(matches!(event, ReaderEvent::Batch(_)), "{event:?}");
        if number == 0 {
            // All seeks were carried out, or are in the look that is going on.
            before = reader.both.looks.load(Ordering::Relaxed);
            begin = Instant::now();
        }
    }
    let looks = reader.both.looks.load(Ordering::Relaxed) - before;
    let rounds = u64::try_from(begin.elapsed().as_millis() / IDLE.as_millis()).unwrap();
    let looks_max = (rounds + 2) * u64::from(PARTITIONS) + BATCHES * LOOKS_EACH;
    assert!(
        looks <= looks_max,
        "{looks} looks for {BATCHES} batches, where {looks_max} are enough"
    );
    Box::new(reader).close().await.unwrap();
}
