//! A seek holds, whatever the brokers still have to answer.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/mock.rs"]
mod cluster;
mod common;

use cluster::Cluster;
use common::{WAIT_MAX, again, append, identity, numbered, open, spec, texts, unique, within};
use jackfield_log::{Log, ReaderEvent, TopicSpec};
use jackfield_log_kafka::KafkaLog;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the leader of the topic takes for each answer: longer than a member needs to be told of
/// its partitions.
const SLOW: Duration = Duration::from_millis(700);
const LEADER: i32 = 2;
/// How many of the leader's answers the test goes on for: a member that asked it anything before
/// the seek has had the answer by then, and has asked again.
const ANSWERS: u32 = 12;

/// A member seeks while its connection to a slow leader is being made, so that whatever it asked
/// the leader before is answered after the seek.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_moves_no_reader() {
    let (cluster, config) = Cluster::start();
    let topic = unique("topic");
    {
        let topic = topic.clone();
        cluster.with(move |it| {
            it.create_topic(&topic, 1, 3).unwrap();
            it.partition_leader(&topic, 0, Some(LEADER)).unwrap();
        });
    }
    let log: Arc<dyn Log> = KafkaLog::open(config).unwrap();
    log.create_topic(&TopicSpec::new(&topic, 1)).await.unwrap();
    let mut writer = open(&log, &identity(&unique("connector"))).await;
    append(&mut writer, numbered(&topic, 1, 1)).await.unwrap();
    // The log has its connection to the leader, and the member is yet to make its own.
    again("ends", || log.ends(&topic, 0)).await;
    cluster.with(|it| it.broker_round_trip_time(LEADER, SLOW).unwrap());
    let mut reader = within(
        "a member joins",
        log.reader(&spec(&unique("group"), &topic)),
    )
    .await
    .unwrap();
    let assigned = match within("it is assigned", reader.next()).await.unwrap() {
        ReaderEvent::Assigned(assigned) => assigned,
        other => panic!("{other:?}"),
    };
    reader.seek(&assigned[0].at, 0).unwrap();
    let begin = Instant::now();
    let writing = tokio::spawn(async move {
        let mut n = 1;
        while begin.elapsed() < SLOW * ANSWERS {
            n += 1;
            append(&mut writer, numbered(&topic, 1, n)).await.unwrap();
        }
        n
    });
    let mut read = 0;
    let mut written = None;
    let mut writing = std::pin::pin!(writing);
    while written != Some(read) {
        assert!(
            begin.elapsed() < WAIT_MAX,
            "{read} of {written:?} were read"
        );
        tokio::select! {
            n = &mut writing, if written.is_none() => written = Some(n.unwrap()),
            event = within("an event", reader.next()) => match event.unwrap() {
                ReaderEvent::Batch(fetched) => {
                    for text in texts(&fetched.batch) {
                        read += 1;
                        assert_eq!(text, read.to_string(), "something was passed over");
                    }
                }
                other => panic!("{other:?}"),
            },
        }
    }
    reader.close().await.unwrap();
}
