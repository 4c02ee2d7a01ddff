//! Coordinators and leaders that move to other brokers while records are written and read: each
//! record is there once, in order. The mock's brokers move them when they are told, and after each
//! move the broker that has it is slow, which shows: what does not move lies on another one.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/mock.rs"]
mod cluster;
mod common;

use cluster::Cluster;
use common::{
    again, append, at, content, identity, last, numbered, numbers, open, spec, texts, unique,
    within,
};
use jackfield_log::{Log, Reader, ReaderEvent};
use jackfield_log_kafka::KafkaLog;
use rdkafka::mocking::MockCoordinator;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Things move between the first two brokers; the third has what does not move.
const MOVED_BETWEEN: u64 = 2;
const STAYS: i32 = 3;
const MOVES: u64 = 6;
const APPENDS_EACH: u64 = 20;
/// Appends on their way at once, so that a move meets some.
const IN_FLIGHT: usize = 8;
/// How much later a slow broker answers.
const SLOW: Duration = Duration::from_millis(200);

/// Whose turn a move is.
fn broker(turn: u64) -> i32 {
    i32::try_from(turn % MOVED_BETWEEN).unwrap() + 1
}

fn lead(cluster: &Cluster, topic: &str, partitions: i32, broker: i32) {
    let topic = topic.to_owned();
    cluster.with(move |it| {
        for partition in 0..partitions {
            it.partition_leader(&topic, partition, Some(broker))
                .unwrap();
        }
    });
}

fn coordinate(cluster: &Cluster, what: MockCoordinator, broker: i32) {
    cluster.with(move |it| it.coordinator(what, broker).unwrap());
}

/// Of all brokers this one alone is slow.
fn slow(cluster: &Cluster, broker: i32) {
    all_quick(cluster);
    cluster.with(move |it| it.broker_round_trip_time(broker, SLOW).unwrap());
}

fn all_quick(cluster: &Cluster) {
    const ALL: i32 = -1;
    cluster.with(|it| it.broker_round_trip_time(ALL, Duration::ZERO).unwrap());
}

/// What moves while records are written.
#[derive(Debug, Clone, Copy)]
enum Moving {
    /// The coordinator of the writer's transactions.
    Coordinator,
    /// The leaders of the topic.
    Leaders,
}

/// Partitions of the topic that is written to.
const PARTITIONS: i32 = 2;

impl Moving {
    fn to(self, cluster: &Cluster, topic: &str, broker: i32) {
        match self {
            // As `open::transactional_id` names the writer of `identity`.
            Moving::Coordinator => {
                let writer = MockCoordinator::Transaction("faults/connector/0".into());
                coordinate(cluster, writer, broker);
            }
            Moving::Leaders => lead(cluster, topic, PARTITIONS, broker),
        }
    }

    fn other(self) -> Self {
        match self {
            Moving::Coordinator => Moving::Leaders,
            Moving::Leaders => Moving::Coordinator,
        }
    }
}

/// Appends numbers while something moves from broker to broker, and looks whether each of them is
/// there once, in order, with its position.
async fn append_while(moving: Moving, exactly_once: bool) {
    let (cluster, config) = Cluster::start();
    let topic = unique("topic");
    cluster.make(&topic, PARTITIONS);
    let positions = config.positions_topic();
    lead(&cluster, &positions, config.positions_partitions, STAYS);
    moving.other().to(&cluster, &topic, STAYS);
    moving.to(&cluster, &topic, broker(0));
    let log: Arc<dyn Log> = KafkaLog::open(config).unwrap();
    let identity = identity("connector");
    let mut writer = match exactly_once {
        true => open(&log, &identity).await,
        false => {
            let open = || log.writer_at_least_once(&identity);
            again("a writer opens", open).await
        }
    };
    let mut in_flight = VecDeque::new();
    let mut all = 0;
    for turn in 1..=MOVES {
        for _ in 0..APPENDS_EACH {
            all += 1;
            let append = numbered(&topic, PARTITIONS, all);
            let pending = within("an append is queued", writer.append(append)).await;
            in_flight.push_back(pending.unwrap());
            while in_flight.len() > IN_FLIGHT
                && let Some(pending) = in_flight.pop_front()
            {
                within("an outcome", pending).await.unwrap();
            }
        }
        moving.to(&cluster, &topic, broker(turn));
        for pending in in_flight.drain(..) {
            within("an outcome", pending).await.unwrap();
        }
        slow(&cluster, broker(turn));
        let begin = Instant::now();
        all += 1;
        let append = numbered(&topic, PARTITIONS, all);
        common::append(&mut writer, append).await.unwrap();
        let took = begin.elapsed();
        assert!(took >= SLOW, "{moving:?} did not move: {took:?}");
        all_quick(&cluster);
    }
    assert_eq!(last(&log, &identity).await, all);
    for partition in content(&log, &topic, PARTITIONS).await {
        assert_eq!(partition, numbers(all));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_of_transactions_that_moves_costs_nothing() {
    append_while(Moving::Coordinator, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_that_move_cost_nothing() {
    for exactly_once in [true, false] {
        append_while(Moving::Leaders, exactly_once).await;
    }
}

/// A member, with what it read and how much of that is committed.
struct Member {
    reader: Box<dyn Reader>,
    read: Vec<String>,
    committed: usize,
}

impl Member {
    /// Reads so many records in all and commits them.
    async fn read(&mut self, records: usize) {
        while self.committed < records {
            match within("an event", self.reader.next()).await.unwrap() {
                ReaderEvent::Assigned(assigned) => {
                    let it = &assigned[0];
                    // What was not committed before is read again.
                    self.read.truncate(self.committed);
                    let offset = it.committed.unwrap_or(it.ends.start);
                    self.reader.seek(&it.at, offset).unwrap();
                }
                ReaderEvent::Batch(fetched) => {
                    self.read.extend(texts(&fetched.batch));
                    let stands = [(fetched.at, fetched.next_offset)];
                    self.reader.commit(&stands).await.unwrap();
                    self.committed = self.read.len();
                }
                ReaderEvent::Revoking(all) => self.reader.release(&all).await.unwrap(),
                ReaderEvent::Lost(_) => {}
            }
        }
    }
}

/// A member commits to wherever its group's coordinator is by now, and reads on.
#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_of_a_group_that_moves_costs_nothing() {
    let (cluster, config) = Cluster::start();
    let topic = unique("topic");
    cluster.make(&topic, 1);
    lead(&cluster, &topic, 1, STAYS);
    let group = unique("group");
    // As the log names it in the cluster.
    let native = format!("{}-{group}", config.cluster);
    let move_to = |broker| {
        coordinate(&cluster, MockCoordinator::Group(native.clone()), broker);
    };
    move_to(broker(0));
    let log: Arc<dyn Log> = KafkaLog::open(config).unwrap();
    let mut writer = open(&log, &identity("connector")).await;
    let spec = spec(&group, &topic);
    let mut member = Member {
        reader: again("a member joins", || log.reader(&spec)).await,
        read: Vec::new(),
        committed: 0,
    };
    let mut written = 0;
    for turn in 1..=MOVES {
        for _ in 0..APPENDS_EACH {
            written += 1;
            append(&mut writer, numbered(&topic, 1, written))
                .await
                .unwrap();
        }
        member.read(usize::try_from(written).unwrap()).await;
        move_to(broker(turn));
        written += 1;
        append(&mut writer, numbered(&topic, 1, written))
            .await
            .unwrap();
        slow(&cluster, broker(turn));
        member.read(usize::try_from(written).unwrap()).await;
        all_quick(&cluster);
    }
    assert_eq!(member.read, numbers(written));
    let offsets = log.group_offsets(&group, std::slice::from_ref(&topic));
    let offsets = within("the group's offsets", offsets).await.unwrap();
    let end = again("the end", || log.ends(&topic, 0)).await.end;
    assert_eq!(offsets, [(at(&topic, 0), end)]);
    member.reader.close().await.unwrap();
}
