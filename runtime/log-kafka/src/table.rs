//! A compacted topic as a map in memory, read to its end whenever it is asked.
//!
//! No thread reads it meanwhile: librdkafka fetches ahead, within bounds, and whoever asks takes
//! what is there. A question is answered only once everything was read that the topic held when it
//! was asked, committed or not, so that it sees all that anyone was told before.

use crate::config::KafkaConfig;
use crate::consequence;
use crate::context::Context;
use crate::native::{self, Message, Queue, Room};
use crate::oauth::Given;
use crate::shared::{REQUEST_TIMEOUT, Shared};
use jackfield_log::{LogError, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a question may take: as long as a transaction that nobody ends is kept open, which
/// holds up all that was written after it.
const READ_MAX: Duration = Duration::from_secs(60);
/// Records taken at once.
const TAKEN_AT_ONCE: usize = 1000;
/// How long a taking waits for a record.
const TAKE_WAIT: Duration = Duration::from_millis(100);

/// What a table is made into.
pub(crate) trait Rows: Default + Send + 'static {
    /// A record, later than those of its key before it. `None` deletes the key.
    fn apply(&mut self, key: &[u8], value: Option<&[u8]>);
}

impl ConsumerContext for Context {}

pub(crate) struct Table<R> {
    shared: Arc<Shared>,
    topic: String,
    name: CString,
    reading: Mutex<Option<Reading<R>>>,
}

struct Reading<R> {
    queue: Queue<Context>,
    room: Room,
    /// Taken and not looked at yet; empty in between.
    taken: Vec<Message>,
    /// It can't be gone on with: librdkafka may stand behind what was not read.
    spent: bool,
    token: Given,
    /// Up to where each partition was read.
    positions: Vec<i64>,
    rows: R,
}

impl<R: Rows> Table<R> {
    /// The table of a topic that exists.
    pub(crate) fn new(shared: Arc<Shared>, topic: &str) -> Result<Arc<Self>, LogError> {
        let name = CString::new(topic)
            .map_err(|_| LogError::Rejected("a topic's name holds a zero".into()))?;
        Ok(Arc::new(Self {
            shared,
            topic: topic.to_owned(),
            name,
            reading: Mutex::default(),
        }))
    }

    /// Looks at the newest rows.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&R) -> T + Send + 'static,
    ) -> Result<T, LogError> {
        let table = Arc::clone(self);
        self.shared.blocking(move |_| table.read_now(look)).await
    }

    fn read_now<T>(&self, look: impl FnOnce(&R) -> T) -> Result<T, LogError> {
        let mut held = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        // What can't be gone on with, since the topic was cut or made anew or a broker told of an
        // error in it, is begun anew once.
        for _ in 0..2 {
            if held.as_ref().is_none_or(|reading| reading.spent) {
                *held = Some(self.begin()?);
            }
            let Some(reading) = held.as_mut() else { break };
            match self.catch_up(reading) {
                Ok(true) => return Ok(look(&reading.rows)),
                Ok(false) => *held = None,
                Err(error) => return Err(error),
            }
        }
        Err(LogError::Retriable(format!(
            "the topic {} changes, or its broker fails, while it is read",
            self.topic
        )))
    }

    fn begin(&self) -> Result<Reading<R>, LogError> {
        let described = self
            .shared
            .describe_now(std::slice::from_ref(&self.topic))?;
        let Some(described) = described.into_iter().next().flatten() else {
            return Err(LogError::Rejected(format!(
                "there is no topic {}",
                self.topic
            )));
        };
        let config = &self.shared.config;
        // Never joined: partitions are assigned by hand.
        let native = config.consumer(&format!("{}-tables", config.cluster));
        let native = KafkaConfig::silent(native);
        let what = format!("the topic {} can't be read", self.topic);
        let consumer = BaseConsumer::from_config_and_context(&native, self.shared.context())
            .map_err(|e| consequence::kafka(&what, &e))?;
        let consumer = Arc::new(consumer);
        let mut list = TopicPartitionList::new();
        for partition in 0..described.partitions {
            list.add_partition_offset(&self.topic, partition, Offset::Beginning)
                .map_err(|e| consequence::kafka(&what, &e))?;
        }
        consumer
            .assign(&list)
            .map_err(|e| consequence::kafka(&what, &e))?;
        let queue = Queue::of_consumer(&consumer)
            .ok_or_else(|| LogError::Retriable(format!("{what}: there is no queue")))?;
        let partitions = usize::try_from(described.partitions).unwrap_or(0);
        Ok(Reading {
            queue,
            room: Room::for_messages(TAKEN_AT_ONCE),
            taken: Vec::new(),
            spent: false,
            token: Given::default(),
            positions: vec![0; partitions],
            rows: R::default(),
        })
    }

    /// Reads up to where the topic ends now; false: it can't be gone on with.
    fn catch_up(&self, reading: &mut Reading<R>) -> Result<bool, LogError> {
        let file = self.shared.config.oauth_token_file.as_ref();
        reading.token.refresh(reading.queue.client(), file)?;
        let mut ends = Vec::with_capacity(reading.positions.len());
        for partition in (0..).take(reading.positions.len()) {
            let now = self.shared.ends_now(&self.topic, partition)?;
            // An end before what was read is another topic's.
            if now.end < reading.positions[ends.len()] {
                return Ok(false);
            }
            // A partition without a record is read.
            ends.push(if now.start == now.end { 0 } else { now.end });
        }
        let deadline = Instant::now() + READ_MAX.max(2 * REQUEST_TIMEOUT);
        let behind = |positions: &[i64]| {
            let all = positions.iter().zip(&ends);
            all.enumerate()
                .find(|(_, (at, end))| at < end)
                .map(|(partition, (at, end))| (partition, *at, *end))
        };
        while let Some((partition, at, end)) = behind(&reading.positions) {
            if Instant::now() >= deadline {
                return Err(LogError::Retriable(format!(
                    "partition {partition} of {} could not be read from {at} to its end, {end}, \
                     within {READ_MAX:?}: is a transaction open there, or its broker down?",
                    self.topic
                )));
            }
            if !self.take(reading)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take(&self, reading: &mut Reading<R>) -> Result<bool, LogError> {
        let mut taken = std::mem::take(&mut reading.taken);
        reading.queue.take(&mut reading.room, TAKE_WAIT, &mut taken);
        for message in taken.drain(..) {
            match message.error() {
                None => reading
                    .rows
                    .apply(message.key().unwrap_or_default(), message.value()),
                Some(code) => {
                    let told = self.told(code, &message);
                    let cut = code == RDKafkaErrorCode::AutoOffsetReset;
                    // What was taken behind it is lost with an error.
                    reading.spent |= told.is_err() || cut || message.has_place();
                    told?;
                }
            }
        }
        reading.taken = taken;
        if reading.spent {
            return Ok(false);
        }
        for (partition, at) in (0..).zip(&mut reading.positions) {
            if let Some(position) = native::position(reading.queue.client(), &self.name, partition)
            {
                *at = position.max(*at);
            }
        }
        Ok(true)
    }

    /// An error in place of a record.
    fn told(&self, code: RDKafkaErrorCode, message: &Message) -> Result<(), LogError> {
        let at = TopicPartition::new(self.topic.as_str(), message.partition());
        if let Some(error) = consequence::unreadable(code, message, at) {
            return Err(error);
        }
        match consequence::of(code) {
            consequence::Consequence::Retriable => {
                tracing::debug!(topic = %self.topic, %code, "reading goes on");
                Ok(())
            }
            consequence::Consequence::Fenced
            | consequence::Consequence::Rejected
            | consequence::Consequence::Fatal => {
                let text = format!("the topic {} can't be read: {code}", self.topic);
                Err(consequence::error(code, text))
            }
        }
    }
}
