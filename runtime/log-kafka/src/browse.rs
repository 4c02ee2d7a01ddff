//! Records for people, without a group.

use crate::config::{Format, KafkaConfig};
use crate::consequence;
use crate::context::Context;
use crate::native::{self, Message, Queue, Raw, Room};
use crate::oauth::Given;
use crate::pack::{self, Pushed};
use crate::shared::{REQUEST_TIMEOUT, Shared};
use async_trait::async_trait;
use jackfield_batch::BatchWriter;
use jackfield_log::{BROWSE_WAIT, Browser, Fetched, LogError, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::sync::Arc;
use uuid::Uuid;

/// Messages taken at once: about a batch.
const TAKEN_AT_ONCE: usize = 1000;
/// What is fetched ahead for all partitions together, KiB: people read slowly.
const AHEAD_KIB: &str = "1024";

/// A consumer that is assigned its partitions by hand.
pub(crate) struct KafkaBrowser {
    shared: Arc<Shared>,
    /// Given to a blocking thread for the length of a look; a look that was cut off takes it along.
    reading: Option<Reading>,
}

struct Reading {
    topic: Arc<str>,
    name: CString,
    topic_id: Uuid,
    format: Format,
    queue: Queue<Context>,
    room: Room,
    token: Given,
    carry: VecDeque<Message>,
    /// Where it stands, by partition.
    positions: BTreeMap<i32, i64>,
}

/// Where a consumer stands after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// Where it stood.
    Where,
    /// Where the positions say, with all partitions: nothing that was taken before counts.
    Anew,
}

fn consumer(shared: &Shared, what: &str) -> Result<BaseConsumer<Context>, LogError> {
    let config = &shared.config;
    // Never joined.
    let mut native = config.consumer(&format!("{}-browsers", config.cluster));
    native.set("queued.max.messages.kbytes", AHEAD_KIB);
    let native = KafkaConfig::silent(native);
    BaseConsumer::from_config_and_context(&native, shared.context())
        .map_err(|e| consequence::kafka(what, &e))
}

/// The first offset of a partition whose record has this time or a later one; its end where none
/// has. Blocks.
pub(crate) fn offset_at(
    shared: &Shared,
    topic: &str,
    partition: i32,
    time_ms: i64,
) -> Result<i64, LogError> {
    let what = format!("{topic}-{partition} can't be searched by time");
    let failed = |e| consequence::kafka(&what, &e);
    let consumer = consumer(shared, &what)?;
    let file = shared.config.oauth_token_file.as_ref();
    Given::default().refresh(Raw::of(consumer.client()), file)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(time_ms))
        .map_err(failed)?;
    let found = consumer
        .offsets_for_times(list, REQUEST_TIMEOUT)
        .map_err(failed)?;
    match found.find_partition(topic, partition).map(|it| it.offset()) {
        Some(Offset::Offset(offset)) => Ok(offset),
        Some(
            Offset::End
            | Offset::Beginning
            | Offset::Stored
            | Offset::Invalid
            | Offset::OffsetTail(_),
        )
        | None => shared.ends_now(topic, partition).map(|ends| ends.end),
    }
}

impl KafkaBrowser {
    pub(crate) async fn open(
        shared: &Arc<Shared>,
        topic: &str,
        from: &[(i32, i64)],
    ) -> Result<Self, LogError> {
        let (name, from) = (topic.to_owned(), from.to_vec());
        let reading = shared
            .blocking(move |shared| Reading::begin(shared, &name, &from))
            .await?;
        Ok(Self {
            shared: Arc::clone(shared),
            reading: Some(reading),
        })
    }
}

impl Reading {
    fn begin(shared: &Shared, topic: &str, from: &[(i32, i64)]) -> Result<Self, LogError> {
        let described = shared.describe_now(&[topic.to_owned()])?;
        let Some(described) = described.into_iter().next().flatten() else {
            return Err(LogError::Rejected(format!("there is no topic {topic}")));
        };
        let what = format!("the topic {topic} can't be read");
        let consumer = Arc::new(consumer(shared, &what)?);
        let mut positions = BTreeMap::new();
        for (partition, offset) in from {
            if !(0..described.partitions).contains(partition) {
                let none = format!("there is no partition {partition} of {topic}");
                return Err(LogError::Rejected(none));
            }
            let ends = shared.ends_now(topic, *partition)?;
            positions.insert(*partition, (*offset).clamp(ends.start, ends.end));
        }
        let reading = Self {
            topic: topic.into(),
            name: CString::new(topic)
                .map_err(|_| LogError::Rejected("a topic's name holds a zero".to_owned()))?,
            topic_id: described.id,
            format: shared.config.format_of(topic),
            queue: Queue::of_consumer(&consumer)
                .ok_or_else(|| LogError::Retriable(format!("{what}: there is no queue")))?,
            room: Room::for_messages(TAKEN_AT_ONCE),
            token: Given::default(),
            carry: VecDeque::new(),
            positions,
        };
        reading.assign()?;
        Ok(reading)
    }

    /// Stands where the positions say.
    fn assign(&self) -> Result<(), LogError> {
        let what = format!("the topic {} can't be read", self.topic);
        let failed = |e| consequence::kafka(&what, &e);
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &self.positions {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .map_err(failed)?;
        }
        self.queue.consumer().assign(&list).map_err(failed)
    }

    fn look(&mut self, shared: &Shared) -> Result<Option<Fetched>, LogError> {
        let file = shared.config.oauth_token_file.as_ref();
        self.token.refresh(self.queue.client(), file)?;
        if self.carry.is_empty() {
            self.queue
                .take(&mut self.room, BROWSE_WAIT, &mut self.carry);
        }
        let Some(first) = self.carry.front() else {
            return Ok(None);
        };
        let partition = first.partition();
        let mut batch = BatchWriter::new();
        let mut others = VecDeque::with_capacity(self.carry.len());
        let mut last = None;
        let mut full = false;
        let position = self.positions.get(&partition).copied().unwrap_or(0);
        while let Some(message) = self.carry.pop_front() {
            if full || message.partition() != partition {
                others.push_back(message);
                continue;
            }
            if let Some(code) = message.error() {
                if last.is_some() {
                    // What came before it is given first: where it stands then is told by that.
                    full = true;
                    others.push_back(message);
                    continue;
                }
                match self.told(shared, &message, code) {
                    Ok(Stands::Where) => continue,
                    // What was taken ahead, of the others too, is fetched again.
                    Ok(Stands::Anew) => return Ok(None),
                    Err(error) => {
                        // Neither it nor what was taken with it is lost to the next look.
                        others.push_back(message);
                        others.append(&mut self.carry);
                        self.carry = others;
                        return Err(error);
                    }
                }
            }
            match pack::push(&mut batch, &message, self.format) {
                Ok(Pushed::Taken) => last = Some(message.offset()),
                Ok(Pushed::Full) => {
                    full = true;
                    others.push_back(message);
                }
                // Others can still be shown; this one has its place in the log of the process.
                Err(why) => {
                    tracing::warn!(topic = %self.topic, partition, offset = message.offset(), %why, "a record can't be shown");
                }
            }
        }
        self.carry = others;
        let Some(last) = last else { return Ok(None) };
        let next_offset = self.after(partition, last);
        self.positions.insert(partition, next_offset);
        Ok(Some(Fetched {
            at: TopicPartition::new(Arc::clone(&self.topic), partition),
            topic_id: self.topic_id,
            position,
            next_offset,
            batch: batch.finish().into(),
            end: shared
                .learned_end(self.topic_id, partition)
                .max(next_offset),
        }))
    }

    /// Where it stands after the record at `last`: past the control records that follow, if no
    /// record does.
    fn after(&self, partition: i32, last: i64) -> i64 {
        let more = self.carry.iter().find(|it| it.partition() == partition);
        let position = match more {
            Some(message) if message.error().is_none() => Some(message.offset()),
            Some(_) => None,
            None => native::position(self.queue.client(), &self.name, partition),
        };
        position.map_or(last + 1, |position| position.max(last + 1))
    }

    /// An error in place of a record.
    fn told(
        &mut self,
        shared: &Shared,
        message: &Message,
        code: RDKafkaErrorCode,
    ) -> Result<Stands, LogError> {
        let partition = message.partition();
        let at = TopicPartition::new(Arc::clone(&self.topic), partition);
        if let Some(error) = consequence::unreadable(code, message, at) {
            return Err(error);
        }
        match code {
            // What it stood at was deleted: it goes on at the beginning.
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                let ends = shared.ends_now(&self.topic, partition)?;
                self.positions.insert(partition, ends.start);
                self.assign()?;
                self.carry.clear();
                Ok(Stands::Anew)
            }
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition => Err(LogError::Rejected(format!(
                "{}-{partition} can't be read: {code}",
                self.topic
            ))),
            _ => {
                tracing::debug!(topic = %self.topic, partition, %code, "reading goes on");
                Ok(Stands::Where)
            }
        }
    }
}

#[async_trait]
impl Browser for KafkaBrowser {
    async fn next(&mut self) -> Result<Option<Fetched>, LogError> {
        let Some(mut reading) = self.reading.take() else {
            let cut = "a look at the topic was cut off: open it again";
            return Err(LogError::Fatal(cut.to_owned()));
        };
        let look = move |shared: &Shared| {
            let looked = reading.look(shared);
            Ok((reading, looked))
        };
        let (reading, looked) = self.shared.blocking(look).await?;
        self.reading = Some(reading);
        looked
    }

    fn reached(&self, partition: i32) -> Option<i64> {
        let reading = self.reading.as_ref()?;
        let waits = reading.carry.iter().any(|it| it.partition() == partition);
        // The client's own position goes past the marks of transactions too.
        match waits {
            true => None,
            false => native::position(reading.queue.client(), &reading.name, partition),
        }
    }
}

impl Drop for KafkaBrowser {
    fn drop(&mut self) {
        // Closing a consumer waits for its threads.
        if let Some(reading) = self.reading.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            drop(runtime.spawn_blocking(move || drop(reading)));
        }
    }
}
