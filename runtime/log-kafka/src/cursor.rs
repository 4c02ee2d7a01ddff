//! Where the polling thread stands in a partition, and the batches that it makes of it.

use crate::config::Format;
use crate::membership::{Both, Going, READY_MAX, Ready};
use crate::native::{self, Message, Queue};
use crate::pack::{self, Pushed, Unreadable};
use crate::rebalance::ReaderContext;
use jackfield_batch::BatchWriter;
use jackfield_log::{LogError, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;
use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

/// Messages taken at once: about a batch.
const TAKEN_AT_ONCE: usize = 1000;
/// How long librdkafka's own threads may take to note a seek.
const SEEK_MAX: Duration = Duration::from_secs(1);

/// A partition that librdkafka has assigned.
pub(crate) struct Cursor {
    pub(crate) at: TopicPartition,
    name: CString,
    format: Format,
    queue: Queue<ReaderContext>,
    /// The reader's seek that was carried out last.
    sought: u64,
    /// The offset from which the next batch begins.
    next: i64,
    /// Taken from the queue and in no batch yet.
    carry: VecDeque<Message>,
    /// Which assignment of the partition this is.
    pub(crate) number: u64,
}

/// What a look at a partition brought.
pub(crate) enum Look {
    /// Nothing, and nothing is to be done.
    Idle,
    /// There may be more.
    More,
    /// Something must be tried again soon.
    Again,
    /// Where the reader stands there is nothing any more.
    Gone(RDKafkaErrorCode),
}

impl Cursor {
    pub(crate) fn new(
        consumer: &Arc<BaseConsumer<ReaderContext>>,
        both: &Arc<Both>,
        at: TopicPartition,
        format: Format,
        number: u64,
    ) -> Option<Self> {
        let name = CString::new(&*at.topic).ok()?;
        let both = Arc::clone(both);
        let wake = move || both.wake_poller();
        let queue = Queue::of_partition(consumer, &name, at.partition, wake)?;
        Some(Self {
            at,
            name,
            format,
            queue,
            sought: 0,
            next: 0,
            carry: VecDeque::new(),
            number,
        })
    }

    /// Makes a batch ready, if the reader wants any and there is room and something to read.
    ///
    /// `batch` is empty before and after: it only lends its buffers.
    pub(crate) fn look(
        &mut self,
        consumer: &BaseConsumer<ReaderContext>,
        both: &Both,
        batch: &mut BatchWriter,
    ) -> Result<Look, LogError> {
        debug_assert!(batch.is_empty(), "a look finishes what it has begun");
        let Some((seeks, position)) = self.wanted(both) else {
            return Ok(Look::Idle);
        };
        if self.sought != seeks {
            if !self.seek(consumer, position) {
                return Ok(Look::Again);
            }
            self.sought = seeks;
        }
        let mut last = None;
        let mut gone = None;
        while gone.is_none() {
            if self.carry.is_empty() {
                let taken = self.queue.take(TAKEN_AT_ONCE, Duration::ZERO);
                self.carry.extend(taken);
            }
            let Some(message) = self.carry.pop_front() else {
                break;
            };
            if let Some(code) = message.error() {
                gone = self.told(code, last.is_some(), message)?;
                if last.is_some() {
                    break;
                }
                continue;
            }
            if message.offset() < self.next {
                continue;
            }
            match pack::push(batch, &message, self.format) {
                Ok(Pushed::Taken) => last = Some(message.offset()),
                Ok(Pushed::Full) => {
                    self.carry.push_front(message);
                    break;
                }
                // What was read before it is delivered first.
                Err(_) if last.is_some() => {
                    self.carry.push_front(message);
                    break;
                }
                Err(e) => {
                    self.stuck(both, message.offset(), &e);
                    return Ok(Look::Idle);
                }
            }
        }
        if let Some(code) = gone {
            return Ok(Look::Gone(code));
        }
        let Some(last) = last else {
            return Ok(Look::Idle);
        };
        self.next = self.after(last);
        self.deliver(both, batch.finish());
        Ok(Look::More)
    }

    /// The reader's newest seek and where it went, if a batch is wanted.
    fn wanted(&self, both: &Both) -> Option<(u64, i64)> {
        let state = both.state();
        let held = state.held.get(&self.at)?;
        let position = held.position?;
        let wants = held.announced && !held.paused && held.going == Going::Stays;
        let room = held.ready.len() < READY_MAX && held.stuck.is_none();
        (wants && room).then_some((held.seeks, position))
    }

    /// A record that no sink can be given: what lies before it is delivered, then this is told.
    fn stuck(&self, both: &Both, offset: i64, why: &Unreadable) {
        let text = format!(
            "the record at offset {offset} of {} can't be read: {why}",
            self.at
        );
        let mut state = both.state();
        if let Some(held) = state
            .held
            .get_mut(&self.at)
            .filter(|it| it.seeks == self.sought)
        {
            held.stuck = Some(LogError::Rejected(text));
        }
        drop(state);
        both.wake_reader();
    }

    fn seek(&mut self, consumer: &BaseConsumer<ReaderContext>, offset: i64) -> bool {
        self.carry.clear();
        let mut list = TopicPartitionList::new();
        if list
            .add_partition_offset(&self.at.topic, self.at.partition, Offset::Offset(offset))
            .is_err()
        {
            return false;
        }
        // Paused since it was assigned, so that nothing was fetched in vain.
        let sought = consumer.seek_partitions(list, SEEK_MAX).is_ok_and(|list| {
            let elements = list.elements();
            elements.iter().all(|it| it.error().is_ok()) && consumer.resume(&list).is_ok()
        });
        if sought {
            self.next = offset;
        }
        sought
    }

    /// An error in place of a record; gives it when the reader can't go on from where it stands.
    fn told(
        &mut self,
        code: RDKafkaErrorCode,
        behind_records: bool,
        message: Message,
    ) -> Result<Option<RDKafkaErrorCode>, LogError> {
        match code {
            // The next look begins with it.
            RDKafkaErrorCode::AutoOffsetReset
            | RDKafkaErrorCode::OffsetOutOfRange
            | RDKafkaErrorCode::TopicAuthorizationFailed
                if behind_records =>
            {
                self.carry.push_front(message);
                Ok(None)
            }
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                Ok(Some(code))
            }
            RDKafkaErrorCode::TopicAuthorizationFailed => Err(LogError::Rejected(format!(
                "{} may not be read by this user",
                self.at
            ))),
            _ => {
                tracing::debug!(at = %self.at, %code, "reading goes on");
                Ok(None)
            }
        }
    }

    /// Where the reader stands after the record at `last`: before the next record, or past the
    /// control records that follow.
    fn after(&self, last: i64) -> i64 {
        match self.carry.front() {
            Some(next) if next.error().is_none() => next.offset().max(last + 1),
            Some(_) => last + 1,
            None => native::position(self.queue.client(), &self.name, self.at.partition)
                .map_or(last + 1, |position| position.max(last + 1)),
        }
    }

    fn deliver(&self, both: &Both, batch: Vec<u8>) {
        let ends = native::known_ends(self.queue.client(), &self.name, self.at.partition);
        let end = ends.map_or(self.next, |(_, end)| end.max(self.next));
        let mut state = both.state();
        let Some(held) = state.held.get_mut(&self.at) else {
            return;
        };
        if held.seeks != self.sought || held.going != Going::Stays {
            return;
        }
        held.ready.push_back(Ready {
            batch: batch.into(),
            next_offset: self.next,
            end,
        });
        drop(state);
        both.wake_reader();
    }
}
