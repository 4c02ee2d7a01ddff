//! Coordinators and leaders that move to other brokers while records are written and read: each
//! record is there once, in order. The mock's brokers move them when they are told. That a client
//! has followed shows in one of two ways, since what does not move lies on a broker of its own:
//! only the new broker is slow, and an answer takes that long; or the old one is down, and all goes
//! on.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/mock.rs"]
mod cluster;
mod common;
#[path = "elections/group.rs"]
mod group;

use cluster::Cluster;
use common::{again, content, identity, last, numbered, numbers, open, unique, within};
use group::Group;
use jackfield_log::Log;
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
/// How long an append is tried: so long that none fails because the machine is slow.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(90);

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

/// Cuts the connections to a broker, which takes no new ones.
fn down(cluster: &Cluster, broker: i32) {
    cluster.with(move |it| it.broker_down(broker).unwrap());
}

fn up(cluster: &Cluster, broker: i32) {
    cluster.with(move |it| it.broker_up(broker).unwrap());
}

/// What moves while records are written.
#[derive(Debug, Clone, Copy)]
enum Moving {
    /// The coordinator of the writer's transactions.
    Coordinator,
    /// The leaders of the topic.
    Leaders,
}

/// What becomes of the broker that something has moved away from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Old {
    /// It answers, and says that it is no longer the one.
    Answers,
    /// It is down until records have landed without it. Not for leaders: outside of transactions
    /// the mock takes a batch that is sent again for another one.
    Down,
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
async fn append_while(moving: Moving, old: Old, exactly_once: bool) {
    let (cluster, mut config) = Cluster::start();
    config.delivery_timeout = DELIVERY_TIMEOUT;
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
        if old == Old::Down {
            down(&cluster, broker(turn - 1));
        }
        for pending in in_flight.drain(..) {
            within("an outcome", pending).await.unwrap();
        }
        if old == Old::Answers {
            slow(&cluster, broker(turn));
        }
        let begin = Instant::now();
        all += 1;
        let append = numbered(&topic, PARTITIONS, all);
        common::append(&mut writer, append).await.unwrap();
        let took = begin.elapsed();
        match old {
            Old::Answers => {
                assert!(took >= SLOW, "{moving:?} did not move: {took:?}");
                all_quick(&cluster);
            }
            Old::Down => up(&cluster, broker(turn - 1)),
        }
    }
    assert_eq!(last(&log, &identity).await, all);
    for partition in content(&log, &topic, PARTITIONS).await {
        assert_eq!(partition, numbers(all));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_of_transactions_that_moves_costs_nothing() {
    append_while(Moving::Coordinator, Old::Answers, true).await;
}

/// An append is begun and committed while the broker that was the coordinator can't be reached, and
/// the mock's brokers open and commit a transaction only where its coordinator is: the writer has
/// found the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_goes_on_when_its_coordinator_moves_and_the_old_one_is_down() {
    append_while(Moving::Coordinator, Old::Down, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_that_move_cost_nothing() {
    for exactly_once in [true, false] {
        append_while(Moving::Leaders, Old::Answers, exactly_once).await;
    }
}

/// The broker that was the coordinator goes on taking commits, as any broker of the mock does; only
/// the member's heartbeats are told that it is no longer the one. The new one alone is slow: a
/// commit that takes that long has gone there.
#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_of_a_group_that_moves_costs_nothing() {
    let mut group = Group::start(broker(0)).await;
    for turn in 1..=MOVES {
        group.go_on(APPENDS_EACH).await;
        group.move_to(broker(turn));
        slow(&group.cluster, broker(turn));
        let follows = async {
            loop {
                group.go_on(1).await;
                if group.commit_took >= SLOW {
                    break;
                }
            }
        };
        within("a commit goes to the new coordinator", follows).await;
        all_quick(&group.cluster);
    }
    group.end().await;
}

/// The broker that was the coordinator can't be reached from before the records are appended until
/// after they are committed: the member, which sends commits to no one but the coordinator it knows
/// of, has found the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_goes_on_when_its_coordinator_moves_and_the_old_one_is_down() {
    let mut group = Group::start(broker(0)).await;
    for turn in 1..=MOVES {
        group.go_on(APPENDS_EACH).await;
        group.move_to(broker(turn));
        down(&group.cluster, broker(turn - 1));
        group.go_on(APPENDS_EACH).await;
        up(&group.cluster, broker(turn - 1));
    }
    group.end().await;
}

/// The broker that was the coordinator can't be reached from before the heartbeat that is refused
/// until the member has its partition again, and the mock's brokers let no one join a group but at
/// its coordinator: the member has joined at the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_joins_again_where_its_coordinator_is_when_the_old_one_is_down() {
    let mut group = Group::start(broker(0)).await;
    group.go_on(APPENDS_EACH).await;
    group.move_to(broker(1));
    down(&group.cluster, broker(0));
    group.join_again().await;
    group.go_on(APPENDS_EACH).await;
    up(&group.cluster, broker(0));
    group.end().await;
}
