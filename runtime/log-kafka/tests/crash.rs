//! What a process that is killed leaves behind in the cluster.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{content, identity, last, numbered, numbers, open, unique};
use jackfield_log::{Log, Pending, TopicSpec};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use jackfield_test_kafka::Broker;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Acknowledged appends to wait for before each kill.
const KILLS_AFTER: [usize; 6] = [1, 40, 7, 150, 3, 75];
/// As many kills at most, if none of those before has left a transaction open.
const KILLS_MAX: usize = 60;
/// How much later each kill comes than the one before, so that they meet a transaction at any
/// moment of its few ms; it begins anew after [`PAUSES`] of them.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSES: u32 = 8;

/// Says to the process that is to be killed where it is to append: servers and topic.
const APPENDING: &str = "JACKFIELD_TEST_APPENDING";
/// Before each number that it prints.
const MARK: &str = "acknowledged ";
/// Its appends on their way at once.
const IN_FLIGHT: usize = 16;

/// Everything acknowledged is there, an append is there as a whole or not at all, with its position,
/// and no number is there twice, though transactions that were cut off lie in the topic too.
#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_acknowledged_and_tear_no_append() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let log: Arc<dyn Log> = KafkaLog::open(KafkaConfig::new(&broker.address())).unwrap();
    let topic = unique("topic");
    let spec = TopicSpec::new(&topic, 2);
    common::again("a topic", || log.create_topic(&spec)).await;
    let mut cut_off = 0;
    for (kill, after) in (0..).zip(KILLS_AFTER.into_iter().cycle().take(KILLS_MAX)) {
        if kill >= KILLS_AFTER.len() && cut_off > 0 {
            break;
        }
        let child = start(&broker.address(), &topic);
        let pause = PAUSE * (u32::try_from(kill).unwrap() % PAUSES);
        let killed =
            tokio::task::spawn_blocking(move || acknowledged_until_killed(child, after, pause));
        let acknowledged = killed.await.unwrap();
        // Opening a writer ends what the killed one had begun.
        let identity = identity("appending");
        drop(open(&log, &identity).await);
        let stored = last(&log, &identity).await;
        assert!(
            acknowledged <= stored,
            "{acknowledged} acknowledged, {stored} stored"
        );
        for partition in content(&log, &topic, 2).await {
            assert_eq!(partition, numbers(stored));
        }
        let (servers, all) = (broker.address(), topic.clone());
        let all = tokio::task::spawn_blocking(move || uncommitted(&servers, &all));
        // Those that the looks at its content appended are committed too.
        let looks = kill + 1;
        let committed = (usize::try_from(stored).unwrap() + looks) * 2;
        cut_off = all.await.unwrap() - committed;
    }
    println!("{cut_off} records of transactions that were cut off");
    assert!(cut_off > 0, "no kill met a transaction");
}

/// How many records lie in a topic, those of aborted transactions among them.
fn uncommitted(servers: &str, topic: &str) -> usize {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", unique("uncommitted"))
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..2 {
        all.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&all).unwrap();
    let (mut records, mut ended) = (0, BTreeSet::new());
    let begin = Instant::now();
    while ended.len() < 2 {
        assert!(begin.elapsed() < common::WAIT_MAX, "{records} records");
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(_)) => records += 1,
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            Some(Err(error)) => println!("{error}"),
            None => {}
        }
    }
    records
}

/// This binary again, running the other one of its tests.
fn start(servers: &str, topic: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["appends_until_it_is_killed", "--exact", "--nocapture"]);
    command.env(APPENDING, format!("{servers} {topic}"));
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// The process to kill: appends numbers, from what is stored on, and prints each that is
/// acknowledged. Does nothing when it is not started by the test above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_until_it_is_killed() {
    let Ok(to) = std::env::var(APPENDING) else {
        return;
    };
    let (servers, topic) = to.split_once(' ').unwrap();
    let log: Arc<dyn Log> = KafkaLog::open(KafkaConfig::new(servers)).unwrap();
    let identity = identity("appending");
    let mut writer = open(&log, &identity).await;
    let mut n = last(&log, &identity).await;
    let mut in_flight = VecDeque::new();
    loop {
        if in_flight.len() == IN_FLIGHT
            && let Some((number, pending)) = in_flight.pop_front()
        {
            let pending: Pending = pending;
            pending.await.unwrap();
            println!("{MARK}{number}");
        }
        n += 1;
        let pending = writer.append(numbered(topic, 2, n)).await.unwrap();
        in_flight.push_back((n, pending));
    }
}

/// Kills the child so long after so many lines, and gives the last number it printed.
fn acknowledged_until_killed(mut child: Child, after: usize, pause: Duration) -> u64 {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let number = |line: String| line.strip_prefix(MARK)?.parse().ok();
    let mut numbers = lines.map_while(Result::ok).filter_map(number);
    let acknowledged = numbers.by_ref().take(after).last();
    // Not to be right: whenever it is killed, what was acknowledged is there.
    std::thread::park_timeout(pause);
    child.kill().unwrap();
    child.wait().unwrap();
    // Lines that were in the pipe were acknowledged too; the last of them may be cut off.
    numbers
        .last()
        .max(acknowledged)
        .expect("it printed a number")
}
