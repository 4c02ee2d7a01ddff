//! What a process that is killed leaves behind in the cluster.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{content, identity, last, numbered, numbers, open, unique};
use jackfield_log::{Log, Pending, TopicSpec};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use jackfield_test_kafka::Broker;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// Acknowledged appends to wait for before each kill.
const KILLS_AFTER: [usize; 6] = [1, 40, 7, 150, 3, 75];

/// Says to the process that is to be killed where it is to append: servers and topic.
const APPENDING: &str = "JACKFIELD_TEST_APPENDING";
/// Before each number that it prints.
const MARK: &str = "acknowledged ";
/// Its appends on their way at once.
const IN_FLIGHT: usize = 16;

/// Everything acknowledged is there, an append is there as a whole or not at all, with its position,
/// and no number is there twice.
#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_acknowledged_and_tear_no_append() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let log: Arc<dyn Log> = KafkaLog::open(KafkaConfig::new(&broker.address())).unwrap();
    let topic = unique("topic");
    let spec = TopicSpec::new(&topic, 2);
    common::again("a topic", || log.create_topic(&spec)).await;
    for after in KILLS_AFTER {
        let child = start(&broker.address(), &topic);
        let killed = tokio::task::spawn_blocking(move || acknowledged_until_killed(child, after));
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
    }
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

/// Kills the child after so many lines, and gives the last number it printed.
fn acknowledged_until_killed(mut child: Child, after: usize) -> u64 {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let number = |line: String| line.strip_prefix(MARK)?.parse().ok();
    let mut numbers = lines.map_while(Result::ok).filter_map(number);
    let acknowledged = numbers.by_ref().take(after).last();
    child.kill().unwrap();
    child.wait().unwrap();
    // Lines that were in the pipe were acknowledged too; the last of them may be cut off.
    numbers
        .last()
        .max(acknowledged)
        .expect("it printed a number")
}
