//! A group with one member, whose coordinator moves, and a writer that gives it something to read.
//! All but the group's coordinator lies on the broker that stays.

use crate::cluster::Cluster;
use crate::common::{
    again, append, at, identity, numbered, numbers, open, spec, texts, unique, within,
};
use crate::{Moving, STAYS, coordinate, lead};
use jackfield_log::{Log, LogError, Reader, ReaderEvent, TopicPartition, Writer};
use jackfield_log_kafka::KafkaLog;
use rdkafka::mocking::MockCoordinator;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The log tries a commit for 15 seconds while the group changes. One that fails sooner was not
/// tried again; one that fails later met a machine that is slow, and is asked for again.
const COMMIT_TRIED: Duration = Duration::from_secs(10);
/// With it the member waits a little more than a minute for an answer to its wish to join, and asks
/// again. The mock forgets that answer if it stands still for a second at the wrong moment.
const REVOKE_MAX: Duration = Duration::from_secs(1);

pub(crate) struct Group {
    pub(crate) cluster: Cluster,
    log: Arc<dyn Log>,
    name: String,
    /// As the log names it in the cluster.
    native: String,
    topic: String,
    writer: Box<dyn Writer>,
    reader: Box<dyn Reader>,
    written: u64,
    read: Vec<String>,
    /// Records, which is the offset too: the mock writes no control records.
    committed: u64,
    /// How long the last commit took.
    pub(crate) commit_took: Duration,
    /// How often the member was told that it has its partition.
    joined: u64,
}

impl Group {
    /// A group that this broker coordinates.
    pub(crate) async fn start(coordinator: i32) -> Self {
        let (cluster, mut config) = Cluster::start();
        config.revoke_max = REVOKE_MAX;
        let topic = unique("topic");
        cluster.make(&topic, 1);
        lead(&cluster, &topic, 1, STAYS);
        let positions = config.positions_topic();
        lead(&cluster, &positions, config.positions_partitions, STAYS);
        Moving::Coordinator.to(&cluster, &topic, STAYS);
        let name = unique("group");
        let native = format!("{}-{name}", config.cluster);
        let group = MockCoordinator::Group(native.clone());
        coordinate(&cluster, group, coordinator);
        let log: Arc<dyn Log> = KafkaLog::open(config).unwrap();
        let writer = open(&log, &identity("connector")).await;
        let spec = spec(&name, &topic);
        let reader = again("a member joins", || log.reader(&spec)).await;
        Self {
            cluster,
            log,
            name,
            native,
            topic,
            writer,
            reader,
            written: 0,
            read: Vec::new(),
            committed: 0,
            commit_took: Duration::ZERO,
            joined: 0,
        }
    }

    /// Another broker coordinates the group.
    pub(crate) fn move_to(&self, broker: i32) {
        let group = MockCoordinator::Group(self.native.clone());
        coordinate(&self.cluster, group, broker);
    }

    /// Appends so many records; the member reads and commits all there are.
    pub(crate) async fn go_on(&mut self, records: u64) {
        for _ in 0..records {
            self.written += 1;
            let next = numbered(&self.topic, 1, self.written);
            append(&mut self.writer, next).await.unwrap();
        }
        while self.committed < self.written {
            self.step().await;
        }
    }

    /// The next heartbeat is answered that the group has gone on without the member. It loses its
    /// partition, joins, and has it again when this returns.
    pub(crate) async fn join_again(&mut self) {
        self.cluster.with(|it| {
            let code = Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION;
            it.request_errors(Api::Heartbeat, &[code]);
        });
        let joined = self.joined;
        while self.joined == joined {
            self.step().await;
        }
        self.cluster
            .with(|it| it.clear_request_errors(Api::Heartbeat));
    }

    async fn step(&mut self) {
        match within("an event", self.reader.next()).await.unwrap() {
            ReaderEvent::Assigned(assigned) => {
                let it = &assigned[0];
                let offset = it.committed.unwrap_or(it.ends.start);
                // What was not committed before is read again.
                self.read.truncate(usize::try_from(offset).unwrap());
                self.committed = u64::try_from(offset).unwrap();
                self.reader.seek(&it.at, offset).unwrap();
                self.joined += 1;
            }
            ReaderEvent::Batch(fetched) => {
                self.read.extend(texts(&fetched.batch));
                let offset = fetched.next_offset;
                let stands = [(fetched.at, offset)];
                if within("what was read is committed", self.commit(&stands)).await {
                    self.committed = u64::try_from(offset).unwrap();
                }
            }
            ReaderEvent::Revoking(all) => self.reader.release(&all).await.unwrap(),
            ReaderEvent::Lost(_) => {}
        }
    }

    /// False: the partition was lost meanwhile, which the member is about to be told.
    async fn commit(&mut self, stands: &[(TopicPartition, i64)]) -> bool {
        loop {
            let begin = Instant::now();
            let committed = self.reader.commit(stands).await;
            let took = begin.elapsed();
            self.commit_took = took;
            match committed {
                Ok(()) => return true,
                Err(LogError::Fenced(_)) => return false,
                Err(LogError::Retriable(why) | LogError::Unknown(why)) => {
                    assert!(took >= COMMIT_TRIED, "failed after {took:?}: {why}");
                }
                Err(error @ (LogError::Rejected(_) | LogError::Fatal(_))) => {
                    panic!("a commit failed: {error:?}")
                }
            }
        }
    }

    /// Every record was read once, in order, and is committed.
    pub(crate) async fn end(self) {
        let Self {
            log,
            name,
            topic,
            reader,
            written,
            read,
            ..
        } = self;
        assert_eq!(read, numbers(written));
        let topics = std::slice::from_ref(&topic);
        let offsets = again("the group's offsets", || log.group_offsets(&name, topics)).await;
        let end = again("the end", || log.ends(&topic, 0)).await.end;
        assert_eq!(offsets, [(at(&topic, 0), end)]);
        reader.close().await.unwrap();
    }
}
