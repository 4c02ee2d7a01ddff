//! A member of a group, reading.

use crate::config::Membership;
use crate::consequence::{self, Consequence};
use crate::membership::{Both, Going};
use crate::poller::Poller;
use crate::rebalance::{ReaderContext, Rebalances};
use crate::shared::Shared;
use async_trait::async_trait;
use jackfield_log::{LogError, Reader, ReaderEvent, ReaderSpec, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a commit is tried again while the group changes.
const COMMIT_MAX: Duration = Duration::from_secs(15);
/// Before it is tried again.
const COMMIT_AGAIN: Duration = Duration::from_millis(50);

pub(crate) struct KafkaReader {
    shared: Arc<Shared>,
    pub(crate) both: Arc<Both>,
    /// `None` once it was closed: its end blocks, so it is not left to whoever drops this.
    consumer: Option<Arc<BaseConsumer<ReaderContext>>>,
    thread: Option<JoinHandle<()>>,
}

impl KafkaReader {
    pub(crate) async fn join(shared: &Arc<Shared>, spec: &ReaderSpec) -> Result<Self, LogError> {
        let topics: BTreeSet<String> = spec.topics.iter().cloned().collect();
        let topics: Vec<String> = topics.into_iter().collect();
        let names = topics.clone();
        let described = shared.blocking(move |it| it.describe_now(&names)).await?;
        if let Some((name, _)) = topics.iter().zip(&described).find(|(_, it)| it.is_none()) {
            return Err(LogError::Rejected(format!("there is no topic {name}")));
        }
        let both = Arc::new(Both::default());
        let consumer = consumer(shared, spec, &both)?;
        let names: Vec<&str> = topics.iter().map(|name| &**name).collect();
        consumer.subscribe(&names).map_err(|e| {
            consequence::kafka(&format!("the group {} can't be joined", spec.group), &e)
        })?;
        let poller = Poller::new(
            Arc::clone(shared),
            Arc::clone(&both),
            Arc::clone(&consumer),
            topics,
        );
        let thread = std::thread::Builder::new()
            .name("log-reader".into())
            .spawn(move || poller.run())
            .map_err(|e| LogError::Retriable(format!("a reader's thread can't be started: {e}")))?;
        both.polled_by(thread.thread().clone());
        both.wake_poller();
        Ok(Self {
            shared: Arc::clone(shared),
            both,
            consumer: Some(consumer),
            thread: Some(thread),
        })
    }

    fn leave(&self) {
        self.both.state().leaving = true;
        self.both.wake_poller();
    }

    /// Whether all of these are this member's to commit.
    fn check_held(&self, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        let state = self.both.state();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        for (at, _) in offsets {
            let held = state.held.get(at);
            if !held.is_some_and(|it| it.announced && it.going != Going::Lost) {
                return Err(LogError::Fenced(format!("{at} is not this member's")));
            }
        }
        Ok(())
    }
}

pub(crate) fn consumer(
    shared: &Shared,
    spec: &ReaderSpec,
    both: &Arc<Both>,
) -> Result<Arc<BaseConsumer<ReaderContext>>, LogError> {
    let config = &shared.config;
    let mut native = config.consumer(&config.group(&spec.group));
    native.set("partition.assignment.strategy", "cooperative-sticky");
    let session = config.session_timeout.as_millis();
    native.set("session.timeout.ms", session.to_string());
    native.set("heartbeat.interval.ms", (session / 10).max(1).to_string());
    // The thread polls whatever the sink does; this bounds how long the brokers wait for a member
    // that has to release partitions.
    let poll = (config.revoke_max + Duration::from_secs(60)).as_millis();
    native.set("max.poll.interval.ms", poll.max(session).to_string());
    if let Membership::Static { worker } = &config.membership {
        native.set("group.instance.id", instance_id(worker, &spec.member));
    }
    let context = ReaderContext::new(shared.context(), Rebalances::default());
    let mut consumer = BaseConsumer::from_config_and_context(&native, context)
        .map_err(|e| consequence::kafka("a Kafka consumer can't be made", &e))?;
    let woken = Arc::clone(both);
    consumer.set_nonempty_callback(move || woken.wake_poller());
    Ok(Arc::new(consumer))
}

/// A member's name, in the letters that brokers take.
fn instance_id(worker: &str, member: &str) -> String {
    let mut id = String::new();
    for c in format!("{worker}-{member}").chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => id.push(c),
            other => id.push_str(&format!("_{:x}_", u32::from(other))),
        }
    }
    id
}

#[async_trait]
impl Reader for KafkaReader {
    async fn next(&mut self) -> Result<ReaderEvent, LogError> {
        loop {
            let next = self.both.state().next();
            if let Some(event) = next {
                // There may be room for another batch.
                self.both.wake_poller();
                return event;
            }
            self.both.woken().await;
        }
    }

    fn seek(&mut self, at: &TopicPartition, offset: i64) -> Result<(), LogError> {
        let mut state = self.both.state();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        let Some(held) = state.held.get(at).filter(|it| it.is_readers()) else {
            return Err(LogError::Rejected(format!("{at} is not this member's")));
        };
        let ends = held.assignment.ends;
        let topic = held.assignment.topic_id;
        let learned = self.shared.learned_end(topic, at.partition);
        let end = ends.end.max(learned);
        if !(ends.start..=end).contains(&offset) {
            return Err(LogError::Rejected(format!(
                "the offset {offset} of {at} lies outside the log, which holds {} to {end}",
                ends.start
            )));
        }
        state.seek(at, offset);
        drop(state);
        self.both.wake_poller();
        Ok(())
    }

    fn pause(&mut self, at: &[TopicPartition]) {
        let mut state = self.both.state();
        for at in at {
            if let Some(held) = state.held.get_mut(at) {
                held.paused = true;
            }
        }
    }

    fn resume(&mut self, at: &[TopicPartition]) {
        self.both.state().resume(at);
        // Batches may lie ready for whoever waits in `next`.
        self.both.wake_reader();
        self.both.wake_poller();
    }

    async fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        if offsets.is_empty() {
            // librdkafka calls that an error, which looks as if the group were changing.
            return Ok(());
        }
        let deadline = Instant::now() + COMMIT_MAX;
        loop {
            self.check_held(offsets)?;
            let mut list = TopicPartitionList::new();
            for (at, offset) in offsets {
                let offset = Offset::Offset(*offset);
                list.add_partition_offset(&at.topic, at.partition, offset)
                    .map_err(|e| consequence::kafka("an offset can't be committed", &e))?;
            }
            let Some(consumer) = self.consumer.clone() else {
                return Err(LogError::Fenced("the reader is closed".into()));
            };
            let commit = move || consumer.commit(&list, CommitMode::Sync);
            // librdkafka itself waits for the group's broker without a limit.
            let committed = tokio::task::spawn_blocking(commit);
            let error = match tokio::time::timeout(COMMIT_MAX, committed).await {
                Ok(Ok(Ok(()))) => return Ok(()),
                Ok(Ok(Err(error))) => error,
                Ok(Err(e)) => return Err(LogError::Unknown(format!("a commit was cut off: {e}"))),
                Err(_) => {
                    return Err(LogError::Unknown(format!(
                        "offsets were not committed within {COMMIT_MAX:?}"
                    )));
                }
            };
            if !changing(&error) || Instant::now() >= deadline {
                return Err(consequence::kafka("offsets can't be committed", &error));
            }
            tokio::time::sleep(COMMIT_AGAIN).await;
        }
    }

    async fn release(&mut self, at: &[TopicPartition]) -> Result<(), LogError> {
        let mut state = self.both.state();
        for at in at {
            if state.held.remove(at).is_some() {
                state.released.insert(at.clone());
            }
        }
        drop(state);
        self.both.wake_poller();
        Ok(())
    }

    async fn close(mut self: Box<Self>) -> Result<(), LogError> {
        self.leave();
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let consumer = self.consumer.take();
        let left = tokio::task::spawn_blocking(move || {
            let left = thread.join();
            drop(consumer);
            left
        })
        .await;
        match left {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(LogError::Retriable("a reader's thread failed".into())),
        }
    }
}

/// Whether a commit may succeed once the group has changed, if the partitions are still ours then.
fn changing(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| {
        let fenced = matches!(
            code,
            RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::RebalanceInProgress
        );
        fenced || consequence::of(code) == Consequence::Retriable
    })
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_names_that_brokers_take() {
        assert_eq!(instance_id("w", "trades-lake-0"), "w-trades-lake-0");
        assert_eq!(instance_id("w", "a/b"), "w-a_2f_b");
    }
}
