//! What a sink that takes nothing costs. In a binary of its own: what other tests hold meanwhile
//! would count as the sink's.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{again, identity, open, unique, within};
use jackfield_batch::{Batch, BatchWriter, Limits, Record};
use jackfield_log::{Append, Log, Output, ReaderEvent, ReaderSpec, Start, TopicSpec};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use jackfield_test_kafka::Broker;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Appends on their way at once.
const IN_FLIGHT: usize = 32;
/// `/proc` counts in these.
const KIB_BYTES: usize = 1024;

/// Resident memory of this process, bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let kib = line.and_then(|it| it.split_whitespace().next());
    kib.unwrap().parse::<usize>().unwrap() * KIB_BYTES
}

/// A sink that takes nothing for longer than its session keeps its partitions, and what is fetched
/// for it meanwhile is bounded, whatever lies in the topic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_takes_nothing_keeps_its_partitions_and_costs_little_memory() {
    const BATCH: usize = 200_000;
    const BATCHES: usize = 1000;
    const GROWTH_MAX: usize = 64 << 20;
    const SESSION: Duration = Duration::from_secs(6);
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let mut config = KafkaConfig::new(&broker.address());
    config.session_timeout = SESSION;
    let log: Arc<dyn Log> = KafkaLog::open(config).unwrap();
    let topic = unique("topic");
    let spec = TopicSpec::new(&topic, 4);
    again("a topic", || log.create_topic(&spec)).await;
    let mut writer = open(&log, &identity("writer")).await;
    let mut pendings = VecDeque::new();
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    for number in 0..BATCHES {
        // Nothing that compression could make small.
        let value: Vec<u8> = (0..BATCH / 8)
            .flat_map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random.to_le_bytes()
            })
            .map(|byte| byte | 1)
            .collect();
        let mut batch = BatchWriter::new();
        let record = Record {
            value: Some(&value),
            ..Record::default()
        };
        batch.push(&record).unwrap();
        let output = Output {
            topic: topic.as_str().into(),
            partition: i32::try_from(number % 4).unwrap(),
            batch: batch.finish().into(),
        };
        let outputs = vec![output];
        let append = Append {
            outputs,
            ..Append::default()
        };
        pendings.push_back(writer.append(append).await.unwrap());
        while pendings.len() > IN_FLIGHT {
            pendings.pop_front().unwrap().await.unwrap();
        }
    }
    for pending in pendings {
        pending.await.unwrap();
    }
    let spec = ReaderSpec {
        group: unique("group"),
        member: "member".into(),
        topics: vec![topic.clone()],
        start: Start::Earliest,
    };
    let mut reader = log.reader(&spec).await.unwrap();
    let mut taken = 0;
    let mut before = None;
    while taken < BATCHES {
        match within("an event", reader.next()).await.unwrap() {
            ReaderEvent::Assigned(all) => {
                assert!(before.is_none(), "assigned once");
                before = Some(resident());
                for it in all {
                    reader.seek(&it.at, 0).unwrap();
                }
                let until = tokio::time::Instant::now() + SESSION * 2;
                while tokio::time::Instant::now() < until {
                    let growth = resident().saturating_sub(before.unwrap());
                    assert!(growth < GROWTH_MAX, "{growth} bytes for a sink that stands");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            ReaderEvent::Batch(fetched) => {
                let batch = Batch::parse(&fetched.batch, &Limits::default()).unwrap();
                taken += batch.len() as usize;
            }
            ReaderEvent::Revoking(at) | ReaderEvent::Lost(at) => panic!("{at:?} went away"),
        }
    }
}
