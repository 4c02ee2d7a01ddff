//! librdkafka alone reads a topic and does no more than count, in a process of its own: so all CPU
//! seconds of that process are librdkafka's.

use std::process::Stdio;

use jackfield_system_tests::{Cluster, Moment, PATIENCE, Rates};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::process::Command;

use crate::PARTITIONS;

/// The word that makes the bench's program this process.
pub(crate) const COUNT: &str = "count";

/// How `runtime/log-kafka` fetches. What it lets each of the four partitions have ahead in its own
/// queue, 1 MiB, is here the bound of the one queue of all.
pub(crate) const AS_THE_SINK: &[&str] = &[
    "queued.max.messages.kbytes=4096",
    "fetch.message.max.bytes=524288",
    "fetch.queue.backoff.ms=10",
];
/// librdkafka's own bounds, 64 MiB or 100,000 records ahead. Only that it rests for a second when
/// there are so many is left out: they last a fraction of that.
pub(crate) const FAR_AHEAD: &[&str] = &["fetch.queue.backoff.ms=10"];

/// How fast all records of a topic are read, from the first to the last.
pub(crate) async fn counted(
    cluster: &Cluster,
    topic: &str,
    records: u64,
    settings: &[&str],
) -> Rates {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([COUNT, &cluster.servers, topic, &records.to_string()])
        .args(settings)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "counting failed: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (wall, cpu) = text.trim().split_once(' ').unwrap();
    Rates {
        wall: wall.parse().unwrap(),
        cpu: cpu.parse().unwrap(),
    }
}

/// The process: bootstrap servers, topic, number of records, settings.
pub(crate) fn run(words: &[String]) {
    let [servers, topic, records, settings @ ..] = words else {
        panic!("{COUNT}: what, of which cluster?");
    };
    let records: u64 = records.parse().unwrap();
    let me = std::process::id();
    let consumer = consumer(servers, topic, settings);
    next(&consumer);
    let from = Moment::of(me);
    for _ in 1..records {
        next(&consumer);
    }
    let Rates { wall, cpu } = Rates::between(from, Moment::of(me), records - 1);
    println!("{wall} {cpu}");
}

/// Reads a topic from its beginning.
pub(crate) fn consumer<S: AsRef<str>>(servers: &str, topic: &str, settings: &[S]) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("group.id", topic)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    for setting in settings {
        let (name, value) = setting.as_ref().split_once('=').unwrap();
        config.set(name, value);
    }
    let consumer: BaseConsumer = config.create().unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&all).unwrap();
    consumer
}

/// The next record, of whichever partition.
pub(crate) fn next(consumer: &BaseConsumer) -> BorrowedMessage<'_> {
    let message = consumer.poll(PATIENCE);
    message.expect("there are more records").unwrap()
}
