//! Coordinators and leaders that move to other brokers while records are written and read: each
//! record is there once, in order. The mock's three brokers move them when they are told.
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

const BROKERS: i32 = 3;
/// Each broker has its turn twice.
const MOVES: u64 = 6;
const APPENDS_EACH: u64 = 20;
/// Appends on their way at once, so that a move meets some.
const IN_FLIGHT: usize = 8;

/// Whose turn a move is.
fn broker(turn: u64) -> i32 {
    i32::try_from(turn).unwrap() % BROKERS + 1
}

/// Appends numbers while `turn` moves something from broker to broker, and looks whether each of
/// them is there once, in order, with its position.
async fn append_while(exactly_once: bool, turn: impl Fn(&Cluster, &str, i32)) {
    let (cluster, config) = Cluster::start();
    let topic = unique("topic");
    cluster.make(&topic, 2);
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
    for n in 1..=MOVES * APPENDS_EACH {
        let append = numbered(&topic, 2, n);
        let pending = within("an append is queued", writer.append(append)).await;
        in_flight.push_back(pending.unwrap());
        if n % APPENDS_EACH == 0 {
            turn(&cluster, &topic, broker(n / APPENDS_EACH));
        }
        while in_flight.len() > IN_FLIGHT
            && let Some(pending) = in_flight.pop_front()
        {
            within("an outcome", pending).await.unwrap();
        }
    }
    for pending in in_flight {
        within("an outcome", pending).await.unwrap();
    }
    let all = MOVES * APPENDS_EACH;
    assert_eq!(last(&log, &identity).await, all);
    for partition in content(&log, &topic, 2).await {
        assert_eq!(partition, numbers(all));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_of_transactions_that_moves_costs_nothing() {
    append_while(true, |cluster, _, broker| {
        cluster.with(move |it| {
            // As `open::transactional_id` names the writer of `identity`.
            let writer = MockCoordinator::Transaction("faults/connector/0".into());
            it.coordinator(writer, broker).unwrap();
        });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_that_move_cost_nothing() {
    for exactly_once in [true, false] {
        append_while(exactly_once, |cluster, topic, broker| {
            let topic = topic.to_owned();
            cluster.with(move |it| {
                for partition in 0..2 {
                    it.partition_leader(&topic, partition, Some(broker))
                        .unwrap();
                }
            });
        })
        .await;
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
    let group = unique("group");
    // As the log names it in the cluster.
    let native = format!("{}-{group}", config.cluster);
    let log: Arc<dyn Log> = KafkaLog::open(config).unwrap();
    let mut writer = open(&log, &identity("connector")).await;
    let spec = spec(&group, &topic);
    let mut member = Member {
        reader: again("a member joins", || log.reader(&spec)).await,
        read: Vec::new(),
        committed: 0,
    };
    let mut written = 0;
    for turn in 0..MOVES {
        for _ in 0..APPENDS_EACH {
            written += 1;
            append(&mut writer, numbered(&topic, 1, written))
                .await
                .unwrap();
        }
        member.read(usize::try_from(written).unwrap()).await;
        let group = native.clone();
        cluster.with(move |it| {
            let group = MockCoordinator::Group(group);
            it.coordinator(group, broker(turn)).unwrap();
        });
    }
    written += 1;
    append(&mut writer, numbered(&topic, 1, written))
        .await
        .unwrap();
    member.read(usize::try_from(written).unwrap()).await;
    assert_eq!(member.read, numbers(written));
    let offsets = log.group_offsets(&group, std::slice::from_ref(&topic));
    let offsets = within("the group's offsets", offsets).await.unwrap();
    let end = again("the end", || log.ends(&topic, 0)).await.end;
    assert_eq!(offsets, [(at(&topic, 0), end)]);
    member.reader.close().await.unwrap();
}
