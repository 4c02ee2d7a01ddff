//! The thread that polls for a reader: rebalances, seeks, fetches.
//!
//! librdkafka hands a rebalance over and waits until it is answered. An assignment is answered at
//! once, and told to the reader when it is known where its partitions stand; a revocation is
//! answered when the reader has released what it was told of, or when its time is over. Meanwhile
//! the group's heartbeats and the other partitions go on.

use crate::consequence::{self, Consequence};
use crate::cursor::{Cursor, Lent, Look};
use crate::membership::Both;
use crate::rebalance::{ReaderContext, Rebalance, native_list};
use crate::revocation::Revocation;
use crate::shared::Shared;
use crate::stand::Answer;
use jackfield_log::{LogError, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// How long the thread sleeps when nothing wakes it, and how often it looks at every partition
/// though nothing was told of it.
const IDLE: Duration = Duration::from_millis(100);
/// Before something is tried again that did not work at once.
const AGAIN: Duration = Duration::from_millis(10);
/// Events of the group that are served before partitions are looked at.
const EVENTS_AT_ONCE: usize = 16;

/// A reader's thread.
pub(crate) struct Poller {
    pub(crate) shared: Arc<Shared>,
    pub(crate) both: Arc<Both>,
    pub(crate) consumer: Arc<BaseConsumer<ReaderContext>>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) topics: Vec<String>,
    pub(crate) answer: Sender<Answer>,
    pub(crate) answers: Receiver<Answer>,
    pub(crate) cursors: BTreeMap<TopicPartition, Cursor>,
    lent: Lent,
    /// When every partition was looked at.
    looked_at: Instant,
    /// Of whom it is being asked where they stand.
    pub(crate) asked: BTreeSet<TopicPartition>,
    pub(crate) ask_again: Option<Instant>,
    assignments: u64,
    pub(crate) revocation: Option<Revocation>,
    pub(crate) check_at: Instant,
    pub(crate) checking: bool,
    /// Topics that were not found the last time.
    pub(crate) missing: BTreeSet<String>,
    pub(crate) deletions: u64,
}

impl Poller {
    pub(crate) fn new(
        shared: Arc<Shared>,
        both: Arc<Both>,
        consumer: Arc<BaseConsumer<ReaderContext>>,
        topics: Vec<String>,
    ) -> Self {
        let (answer, answers) = std::sync::mpsc::channel();
        let deletions = shared.deletions();
        let check_at = Instant::now() + shared.config.topic_check_every;
        Self {
            shared,
            both,
            consumer,
            runtime: tokio::runtime::Handle::current(),
            topics,
            answer,
            answers,
            cursors: BTreeMap::new(),
            lent: Lent::default(),
            looked_at: Instant::now(),
            asked: BTreeSet::new(),
            ask_again: None,
            assignments: 0,
            revocation: None,
            check_at,
            checking: false,
            missing: BTreeSet::new(),
            deletions,
        }
    }

    /// Polls until the reader leaves.
    pub(crate) fn run(mut self) {
        while !self.both.state().leaving {
            self.poll();
            self.rebalance();
            self.hear();
            self.settle_revocation();
            self.check_topics();
            let rest = self.look();
            if let Some(rest) = rest {
                std::thread::park_timeout(rest);
            }
        }
        self.leave();
    }

    fn poll(&mut self) {
        for _ in 0..EVENTS_AT_ONCE {
            match self.consumer.poll(Duration::ZERO) {
                // Fetched before the partition had a queue of its own, and before any seek.
                Some(Ok(_)) => {}
                Some(Err(KafkaError::MessageConsumptionFatal(_))) => {}
                Some(Err(KafkaError::MessageConsumption(code))) => self.told(code),
                Some(Err(error)) => tracing::debug!(%error, "a consumer"),
                None => break,
            }
        }
        if let Some((code, text)) = self.consumer.client().fatal_error() {
            self.both.fail(consequence::error(code, text));
        }
    }

    fn told(&mut self, code: RDKafkaErrorCode) {
        match consequence::of(code) {
            Consequence::Retriable | Consequence::Fenced => {
                tracing::debug!(%code, "a consumer");
            }
            Consequence::Rejected if code == RDKafkaErrorCode::UnknownTopicOrPartition => {
                self.check_at = Instant::now();
            }
            Consequence::Rejected | Consequence::Fatal => {
                let text = format!("a member can't read: {code}");
                self.both.fail(consequence::error(code, text));
            }
        }
    }

    fn rebalance(&mut self) {
        for rebalance in self.consumer.context().take() {
            // Also one of nothing stops and continues every partition.
            for cursor in self.cursors.values_mut() {
                cursor.rebalanced();
            }
            match rebalance {
                Rebalance::Assign(partitions) => self.assign(&partitions),
                Rebalance::Revoke(partitions) => self.revoke(partitions),
            }
            #[cfg(test)]
            self.both
                .rebalances
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn assign(&mut self, partitions: &[TopicPartition]) {
        for at in partitions {
            self.assignments += 1;
            let format = self.shared.config.format_of(&at.topic);
            let number = self.assignments;
            match Cursor::new(&self.consumer, &self.both, at.clone(), format, number) {
                Some(cursor) => drop(self.cursors.insert(at.clone(), cursor)),
                None => tracing::warn!(%at, "a partition has no queue"),
            }
        }
        self.start(partitions);
        // librdkafka hands each generation's assignment over, also one of nothing. Of what the member
        // has from before the reader is told when it is known where that stands.
        if partitions.is_empty() && self.cursors.is_empty() {
            self.both.state().assign(Vec::new());
            self.both.wake_reader();
        }
        self.ask(partitions.to_vec());
    }

    /// Has librdkafka read partitions, of which it fetches nothing until a seek says where.
    ///
    /// They are paused, and no logical offset is given: librdkafka would ask a broker for it, and
    /// when the answer comes after a seek it asks again and goes to the end, past what the seek was
    /// for.
    fn start(&self, partitions: &[TopicPartition]) {
        let list = native_list(partitions, Offset::Offset(0));
        if let Err(error) = self.consumer.pause(&list) {
            tracing::warn!(%error, "partitions could not be paused");
        }
        if let Err(error) = self.consumer.incremental_assign(&list) {
            tracing::warn!(%error, "an assignment could not be answered");
        }
    }

    /// How long to sleep when nothing wakes the thread, and how often to look at every partition.
    fn idle(&self) -> Duration {
        #[cfg(test)]
        if let Some(every) = self.both.every.get() {
            return *every;
        }
        IDLE
    }

    /// Looks at the partitions that may have something, now and then at every one; how long to rest
    /// then.
    fn look(&mut self) -> Option<Duration> {
        let wanted = std::mem::take(&mut self.both.state().wanted);
        let now = Instant::now();
        let idle = self.idle();
        let every = now.duration_since(self.looked_at) >= idle;
        if every {
            self.looked_at = now;
        }
        let mut rest = Some(idle);
        for (at, cursor) in &mut self.cursors {
            let due = cursor.is_due();
            if !due && !every && !wanted.contains(at) {
                continue;
            }
            match cursor.look(&self.consumer, &self.both, &mut self.lent) {
                Ok(Look::Idle) => {}
                Ok(Look::More) => {
                    cursor.unfinished = true;
                    rest = None;
                }
                Ok(Look::Again) => {
                    cursor.unfinished = true;
                    rest = rest.map(|rest| rest.min(AGAIN));
                }
                // librdkafka has stopped the partition and takes no seek of it. To assign it anew
                // could be taken for the answer to a rebalance that is on its way.
                Ok(Look::Gone(code)) => {
                    let why = format!(
                        "the log holds nothing any more where a reader of {} stands ({code})",
                        cursor.at
                    );
                    self.both.fail(LogError::Retriable(why));
                }
                Err(error) => self.both.fail(error),
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests;
