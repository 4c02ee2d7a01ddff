//! The thread that polls for a reader: rebalances, seeks, fetches.
//!
//! librdkafka hands a rebalance over and waits until it is answered. An assignment is answered at
//! once, and told to the reader when it is known where its partitions stand; a revocation is
//! answered when the reader has released what it was told of, or when its time is over. Meanwhile
//! the group's heartbeats and the other partitions go on.

use crate::consequence::{self, Consequence};
use crate::context::Context;
use crate::cursor::{Cursor, Look};
use crate::membership::Both;
use crate::native::{self, Described, Raw};
use crate::shared::{REQUEST_TIMEOUT, Shared};
use jackfield_log::{Assignment, LogError, TopicPartition};
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the thread sleeps when nothing wakes it.
const IDLE: Duration = Duration::from_millis(100);
/// Before something is tried again that did not work at once.
const AGAIN: Duration = Duration::from_millis(10);
/// Before a question to the cluster is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Events of the group that are served before partitions are looked at.
const EVENTS_AT_ONCE: usize = 16;
/// How long leaving a group may take: the brokers notice the absence of a member anyway.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// What librdkafka told of the group, until the thread looks at it.
pub(crate) struct ReaderContext {
    context: Context,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// Nobody looks at rebalances any more: they are answered at once.
    leaving: AtomicBool,
}

enum Rebalance {
    Assign(Vec<TopicPartition>),
    Revoke(Vec<TopicPartition>),
}

impl ReaderContext {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            context,
            rebalances: Mutex::default(),
            leaving: AtomicBool::new(false),
        }
    }

    fn take(&self) -> VecDeque<Rebalance> {
        let mut held = self
            .rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut held)
    }
}

impl ClientContext for ReaderContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        self.context.log(level, fac, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.context.generate_oauth_token(config)
    }
}

impl ConsumerContext for ReaderContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let assign = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.leaving.load(Ordering::Acquire) {
            let answered = if assign {
                consumer.incremental_assign(list)
            } else {
                consumer.incremental_unassign(list)
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "a rebalance while leaving");
            }
            return;
        }
        let partitions = partitions(list);
        let mut held = self
            .rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        held.push_back(if assign {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke(partitions)
        });
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    let all = elements
        .iter()
        .map(|it| TopicPartition::new(it.topic(), it.partition()));
    all.collect()
}

fn native_list(partitions: &[TopicPartition], offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for at in partitions {
        // Only an offset that is none is refused.
        list.add_partition_offset(&at.topic, at.partition, offset)
            .ok();
    }
    list
}

/// What a question to the cluster brought.
pub(crate) enum Answer {
    /// Where partitions stand that were assigned, each with its assignment's number.
    Stand(
        Vec<(TopicPartition, u64)>,
        Result<Vec<Assignment>, LogError>,
    ),
    Topics(Result<Vec<(String, Option<Described>)>, LogError>),
}

/// Partitions that another member wants.
struct Revocation {
    /// All that librdkafka wants back.
    partitions: Vec<TopicPartition>,
    /// Those that the reader has to release.
    open: BTreeSet<TopicPartition>,
    deadline: Instant,
}

pub(crate) struct Poller {
    pub(crate) shared: Arc<Shared>,
    pub(crate) both: Arc<Both>,
    pub(crate) consumer: Arc<BaseConsumer<ReaderContext>>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) topics: Vec<String>,
    pub(crate) answer: Sender<Answer>,
    pub(crate) answers: Receiver<Answer>,
    cursors: BTreeMap<TopicPartition, Cursor>,
    /// Of whom it is being asked where they stand.
    asked: BTreeSet<TopicPartition>,
    ask_again: Option<Instant>,
    assignments: u64,
    revocation: Option<Revocation>,
    check_at: Instant,
    checking: bool,
    /// Topics that were not found the last time.
    missing: BTreeSet<String>,
    deletions: u64,
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
            match rebalance {
                Rebalance::Assign(partitions) => self.assign(&partitions),
                Rebalance::Revoke(partitions) => self.revoke(partitions),
            }
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
        // At the end nothing is fetched in vain; a seek says where to read.
        let list = native_list(partitions, Offset::End);
        if let Err(error) = self.consumer.incremental_assign(&list) {
            tracing::warn!(%error, "an assignment could not be answered");
        }
        self.ask(partitions.to_vec());
    }

    /// Asks where partitions stand.
    fn ask(&mut self, partitions: Vec<TopicPartition>) {
        let numbered: Vec<(TopicPartition, u64)> = partitions
            .into_iter()
            .filter_map(|at| {
                let number = self.cursors.get(&at)?.number;
                Some((at, number))
            })
            .collect();
        if numbered.is_empty() {
            return;
        }
        self.asked.extend(numbered.iter().map(|(at, _)| at.clone()));
        let (shared, consumer) = (Arc::clone(&self.shared), Arc::clone(&self.consumer));
        let (answer, both) = (self.answer.clone(), Arc::clone(&self.both));
        self.runtime.spawn_blocking(move || {
            let stand = stand(&shared, &consumer, &numbered);
            // Nobody waits when the reader has left.
            answer.send(Answer::Stand(numbered, stand)).ok();
            both.wake_poller();
        });
    }

    fn revoke(&mut self, partitions: Vec<TopicPartition>) {
        // A topic that is gone needs no release: whoever reads it can't commit it any more.
        let gone = self.gone_topics(&partitions);
        let lost = self.consumer.assignment_lost();
        let mut state = self.both.state();
        let gone: Vec<TopicPartition> = partitions
            .iter()
            .filter(|at| lost || gone.contains(&*at.topic))
            .cloned()
            .collect();
        state.lose(&gone);
        let kept: Vec<TopicPartition> = partitions
            .iter()
            .filter(|at| !gone.contains(at))
            .cloned()
            .collect();
        let open = state.revoke(&kept);
        drop(state);
        self.both.wake_reader();
        let deadline = Instant::now() + self.shared.config.revoke_max;
        match &mut self.revocation {
            // Everything is taken away while some is being released.
            Some(earlier) => {
                earlier.partitions.extend(partitions);
                earlier.open.extend(open);
            }
            None => {
                self.revocation = Some(Revocation {
                    partitions,
                    open,
                    deadline,
                });
            }
        }
    }

    fn gone_topics(&self, partitions: &[TopicPartition]) -> BTreeSet<String> {
        let names: BTreeSet<String> = partitions.iter().map(|at| at.topic.to_string()).collect();
        let names: Vec<String> = names.into_iter().collect();
        let Ok(described) = self.shared.describe_now(&names) else {
            return BTreeSet::new();
        };
        let state = self.both.state();
        let is_gone = |name: &str, now: Option<&Described>| {
            let held = state.held.values();
            let mut held = held.filter(|it| &*it.assignment.at.topic == name);
            held.any(|it| now.is_none_or(|now| now.id != it.assignment.topic_id))
        };
        let gone = names.into_iter().zip(described);
        gone.filter(|(name, now)| is_gone(name, now.as_ref()))
            .map(|(name, _)| name)
            .collect()
    }

    fn settle_revocation(&mut self) {
        let Some(revocation) = &mut self.revocation else {
            self.both.state().released.clear();
            return;
        };
        let mut state = self.both.state();
        for at in std::mem::take(&mut state.released) {
            revocation.open.remove(&at);
        }
        // One that was lost meanwhile needs no release.
        revocation.open.retain(|at| {
            state
                .held
                .get(at)
                .is_some_and(|it| it.going != crate::membership::Going::Lost)
        });
        let over = Instant::now() >= revocation.deadline || self.consumer.assignment_lost();
        if over && !revocation.open.is_empty() {
            let lost: Vec<TopicPartition> = revocation.open.iter().cloned().collect();
            tracing::warn!(?lost, "partitions were not released in time");
            state.lose(&lost);
            revocation.open.clear();
            self.both.wake_reader();
        }
        if !revocation.open.is_empty() {
            return;
        }
        drop(state);
        let partitions = std::mem::take(&mut revocation.partitions);
        self.revocation = None;
        for at in &partitions {
            self.cursors.remove(at);
            self.asked.remove(at);
        }
        let list = native_list(&partitions, Offset::Invalid);
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::warn!(%error, "a revocation could not be answered");
        }
    }

    fn hear(&mut self) {
        while let Ok(answer) = self.answers.try_recv() {
            match answer {
                Answer::Stand(numbered, Ok(assigned)) => {
                    for (at, _) in &numbered {
                        self.asked.remove(at);
                    }
                    let current = |it: &Assignment| {
                        let cursor = self.cursors.get(&it.at);
                        let number = cursor.map(|cursor| cursor.number);
                        numbered
                            .iter()
                            .any(|(at, n)| *at == it.at && Some(*n) == number)
                            && !self.is_revoked(&it.at)
                    };
                    let assigned = assigned.into_iter().filter(current).collect();
                    self.both.state().assign(assigned);
                    self.both.wake_reader();
                }
                Answer::Stand(numbered, Err(error)) => {
                    for (at, _) in &numbered {
                        self.asked.remove(at);
                    }
                    match error {
                        LogError::Retriable(error) | LogError::Unknown(error) => {
                            tracing::warn!(error, "it is asked again where partitions stand");
                            self.ask_again = Some(Instant::now() + ASK_AGAIN);
                        }
                        // A topic that is gone comes with the next look at them.
                        LogError::Rejected(_) => {
                            self.check_at = Instant::now();
                            self.ask_again = Some(Instant::now() + ASK_AGAIN);
                        }
                        // The group changes once more, or the member is fenced, which is told.
                        LogError::Fenced(_) => self.ask_again = Some(Instant::now() + ASK_AGAIN),
                        error @ LogError::Fatal(_) => self.both.fail(error),
                    }
                }
                Answer::Topics(described) => {
                    self.checking = false;
                    match described {
                        Ok(described) => self.compare(described),
                        Err(error) => tracing::debug!(%error, "topics could not be looked at"),
                    }
                }
            }
        }
        if self.ask_again.is_some_and(|at| Instant::now() >= at) {
            self.ask_again = None;
            self.ask_of_unheld();
        }
    }

    fn is_revoked(&self, at: &TopicPartition) -> bool {
        let revocation = self.revocation.as_ref();
        revocation.is_some_and(|it| it.partitions.contains(at))
    }

    /// Asks of the partitions that the reader has not been told of.
    fn ask_of_unheld(&mut self) {
        let state = self.both.state();
        let unheld = self.cursors.keys().filter(|at| {
            !state.held.contains_key(*at) && !self.asked.contains(*at) && !self.is_revoked(at)
        });
        let unheld = unheld.cloned().collect();
        drop(state);
        self.ask(unheld);
    }

    /// Looks now and then, and when one was deleted through this log, whether topics are the same.
    fn check_topics(&mut self) {
        let deletions = self.shared.deletions();
        if self.checking || (deletions == self.deletions && Instant::now() < self.check_at) {
            return;
        }
        if deletions != self.deletions {
            self.deletions = deletions;
            // It was deleted for certain: there is no need to look twice.
            self.missing.extend(self.topics.iter().cloned());
        }
        self.check_at = Instant::now() + self.shared.config.topic_check_every;
        self.checking = true;
        let (shared, answer) = (Arc::clone(&self.shared), self.answer.clone());
        let (topics, both) = (self.topics.clone(), Arc::clone(&self.both));
        self.runtime.spawn_blocking(move || {
            let described = shared.describe_now(&topics);
            let described = described.map(|it| topics.into_iter().zip(it).collect());
            answer.send(Answer::Topics(described)).ok();
            both.wake_poller();
        });
    }

    fn compare(&mut self, described: Vec<(String, Option<Described>)>) {
        let mut gone = Vec::new();
        let mut state = self.both.state();
        let mut missing = BTreeSet::new();
        for (name, now) in described {
            // A broker may not know of a new topic yet, so one look is not enough.
            if now.is_none() && !self.missing.contains(&name) {
                missing.insert(name);
                self.check_at = Instant::now() + ASK_AGAIN;
                continue;
            }
            let other = |id| now.as_ref().is_none_or(|now| now.id != id);
            let held = state.held.iter();
            let of = held.filter(|(at, it)| *at.topic == *name && other(it.assignment.topic_id));
            gone.extend(of.map(|(at, _)| at.clone()));
            if now.is_none() {
                missing.insert(name);
            }
        }
        self.missing = missing;
        if !gone.is_empty() {
            tracing::warn!(?gone, "topics were deleted, or created anew");
            state.lose(&gone);
            self.both.wake_reader();
        }
        drop(state);
        self.ask_of_unheld();
    }

    /// Looks at every partition; how long to rest then.
    fn look(&mut self) -> Option<Duration> {
        let mut rest = Some(IDLE);
        let mut gone = Vec::new();
        for cursor in self.cursors.values_mut() {
            match cursor.look(&self.consumer, &self.both) {
                Ok(Look::Idle) => {}
                Ok(Look::More) => rest = None,
                Ok(Look::Again) => rest = rest.map(|rest| rest.min(AGAIN)),
                Ok(Look::Gone(code)) => {
                    tracing::warn!(at = %cursor.at, %code, "the log holds nothing where a reader stands");
                    gone.push(cursor.at.clone());
                }
                Err(error) => self.both.fail(error),
            }
        }
        if !gone.is_empty() {
            self.both.state().lose(&gone);
            self.both.wake_reader();
            self.check_at = Instant::now();
            self.ask_again = Some(Instant::now() + AGAIN);
        }
        rest
    }

    /// Leaves the group. librdkafka tells the brokers of a member with a name only when it
    /// unsubscribes, not when it closes.
    fn leave(mut self) {
        let context = Arc::clone(self.consumer.context());
        context.leaving.store(true, Ordering::Release);
        self.cursors.clear();
        if self.consumer.client().fatal_error().is_some() {
            return;
        }
        if let Some(revocation) = self.revocation.take() {
            let list = native_list(&revocation.partitions, Offset::Invalid);
            self.consumer.incremental_unassign(&list).ok();
        }
        for rebalance in context.take() {
            match rebalance {
                Rebalance::Assign(at) => {
                    let list = native_list(&at, Offset::End);
                    self.consumer.incremental_assign(&list).ok();
                }
                Rebalance::Revoke(at) => {
                    let list = native_list(&at, Offset::Invalid);
                    self.consumer.incremental_unassign(&list).ok();
                }
            }
        }
        self.consumer.unsubscribe();
        let deadline = Instant::now() + LEAVE_MAX;
        while Instant::now() < deadline {
            if native::member_id(Raw::of(self.consumer.client())).is_empty() {
                return;
            }
            if let Some(Err(error)) = self.consumer.poll(AGAIN) {
                tracing::debug!(%error, "a consumer while leaving");
            }
        }
        tracing::warn!("a member could not leave its group in time");
    }
}

/// Where partitions stand: their topics' ids, what the group committed, where they begin and end.
fn stand(
    shared: &Shared,
    consumer: &BaseConsumer<ReaderContext>,
    numbered: &[(TopicPartition, u64)],
) -> Result<Vec<Assignment>, LogError> {
    let partitions: Vec<TopicPartition> = numbered.iter().map(|(at, _)| at.clone()).collect();
    let names: BTreeSet<String> = partitions.iter().map(|at| at.topic.to_string()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let described: BTreeMap<String, Option<Described>> = names
        .iter()
        .cloned()
        .zip(shared.describe_now(&names)?)
        .collect();
    let list = native_list(&partitions, Offset::Invalid);
    let committed = consumer
        .committed_offsets(list, REQUEST_TIMEOUT)
        .map_err(|e| consequence::kafka("the group's offsets are not known", &e))?;
    let mut all = Vec::with_capacity(partitions.len());
    for at in partitions {
        let Some(Some(topic)) = described.get(&*at.topic) else {
            return Err(LogError::Rejected(format!(
                "there is no topic {}",
                at.topic
            )));
        };
        let kept = committed.find_partition(&at.topic, at.partition);
        let committed = match kept.map(|it| it.offset()) {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        };
        let ends = shared.ends_now(&at.topic, at.partition)?;
        all.push(Assignment {
            at,
            topic_id: topic.id,
            committed,
            ends,
        });
    }
    Ok(all)
}
