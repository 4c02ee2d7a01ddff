//! Where the polling thread stands in a partition, and the batches that it makes of it.

use crate::config::Format;
use crate::consequence;
use crate::doubt::Doubt;
use crate::membership::{Both, Going, READY_MAX, Ready};
use crate::native::{self, Message, Queue, Room};
use crate::pack::{self, Pushed};
use crate::rebalance::ReaderContext;
use crate::silence::Silence;
use jackfield_batch::BatchWriter;
use jackfield_log::{LogError, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;
use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Messages taken at once. librdkafka keeps 304 bytes of each, and writes there when it is taken:
/// so few still lie in a core's own cache when they are packed.
const TAKEN_AT_ONCE: usize = 128;
/// How long librdkafka's own threads may take to note a seek.
const SEEK_MAX: Duration = Duration::from_secs(1);

/// A partition that librdkafka has assigned.
pub(crate) struct Cursor {
    pub(crate) at: TopicPartition,
    name: CString,
    format: Format,
    queue: Queue<ReaderContext>,
    /// Set by librdkafka when there is something in the queue after there was nothing.
    woken: Arc<AtomicBool>,
    /// The last look was not the last word: there may be more, or something must be tried again.
    pub(crate) unfinished: bool,
    /// The reader's seek that was carried out last.
    sought: u64,
    /// The offset from which the next batch begins.
    next: i64,
    doubt: Doubt,
    silence: Silence,
    /// Taken from the queue and in no batch yet.
    carry: VecDeque<Message>,
    /// Which assignment of the partition this is.
    pub(crate) number: u64,
}

/// Lent to each look, so that none allocates what it needs only for its own length: one for all
/// partitions, of which most may be idle.
pub(crate) struct Lent {
    /// Empty between looks.
    batch: BatchWriter,
    room: Room,
}

impl Default for Lent {
    fn default() -> Self {
        Self {
            batch: BatchWriter::new(),
            room: Room::for_messages(TAKEN_AT_ONCE),
        }
    }
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

/// What became of a seek.
enum Sought {
    Done,
    /// It may be tried again.
    NotYet,
    /// librdkafka has stopped the partition, and takes none.
    Stopped,
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
        let (both, woken) = (Arc::clone(both), Arc::new(AtomicBool::new(true)));
        let told = Arc::clone(&woken);
        let wake = move || {
            told.store(true, Ordering::Release);
            both.wake_poller();
        };
        let queue = Queue::of_partition(consumer, &name, at.partition, wake)?;
        Some(Self {
            at,
            name,
            format,
            queue,
            woken,
            unfinished: false,
            sought: 0,
            next: 0,
            doubt: Doubt::default(),
            silence: Silence::default(),
            carry: VecDeque::new(),
            number,
        })
    }

    /// Whether a look may bring something though the reader has done nothing. Whoever is told so
    /// looks: librdkafka tells no more of a queue until it was emptied.
    pub(crate) fn is_due(&mut self) -> bool {
        let woken = self.woken.swap(false, Ordering::AcqRel);
        std::mem::take(&mut self.unfinished) || woken
    }

    /// The group has changed: librdkafka throws away what it has fetched, and goes on from where it
    /// takes the reader to stand.
    pub(crate) fn rebalanced(&mut self) {
        let error_waits = self.carry.iter().any(|message| message.error().is_some());
        self.unfinished |= self.doubt.rebalanced(error_waits);
    }

    /// Makes a batch ready, if the reader wants any and there is room and something to read.
    pub(crate) fn look(
        &mut self,
        consumer: &BaseConsumer<ReaderContext>,
        both: &Both,
        lent: &mut Lent,
    ) -> Result<Look, LogError> {
        let Lent { batch, room } = lent;
        debug_assert!(batch.is_empty(), "a look finishes what it has begun");
        #[cfg(test)]
        both.looks.fetch_add(1, Ordering::Relaxed);
        let Some((seeks, position)) = self.wanted(both) else {
            self.silence.broken();
            return Ok(Look::Idle);
        };
        let to = if self.sought != seeks {
            Some(position)
        } else {
            self.doubt.needs_seek().then_some(self.next)
        };
        if let Some(to) = to {
            match self.seek(consumer, to) {
                Sought::Done => self.sought = seeks,
                // One that was assigned just now may not have been started yet.
                Sought::Stopped if self.sought != 0 => {
                    return Ok(Look::Gone(RDKafkaErrorCode::State));
                }
                Sought::Stopped | Sought::NotYet => return Ok(Look::Again),
            }
        }
        let mut last = None;
        loop {
            if self.carry.is_empty() {
                self.queue.take(room, Duration::ZERO, &mut self.carry);
            }
            let Some(message) = self.carry.pop_front() else {
                break;
            };
            if let Some(code) = message.error() {
                self.doubt.error(message.offset(), Instant::now());
                #[cfg(test)]
                both.errors.fetch_add(1, Ordering::Relaxed);
                let unreadable = consequence::unreadable(code, &message, &self.at);
                if unreadable.is_none() && !stops(code) {
                    tracing::debug!(at = %self.at, %code, "reading goes on");
                    continue;
                }
                // What was read before it is delivered first, and the next look begins with it.
                if last.is_some() {
                    self.carry.push_front(message);
                    break;
                }
                return match unreadable {
                    Some(error) => {
                        self.stuck(both, error);
                        Ok(Look::Idle)
                    }
                    None => self.stopped(code),
                };
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
                Err(why) => {
                    let error = LogError::Rejected(format!(
                        "the record at offset {} of {} can't be read: {why}",
                        message.offset(),
                        self.at
                    ));
                    self.stuck(both, error);
                    return Ok(Look::Idle);
                }
            }
        }
        if let Some(last) = last {
            self.next = self.after(last);
            self.deliver(both, batch);
            return Ok(Look::More);
        }
        let position = self.position();
        if let Some(position) = position.filter(|it| *it > self.next) {
            if !self.doubt.covers(position) {
                // All that was taken has no record: of transactions that were aborted, and their
                // marks.
                self.next = position;
                self.deliver(both, batch);
                return Ok(Look::Idle);
            }
            if self.doubt.settles(Instant::now()) {
                return Ok(Look::Again);
            }
        }
        if self.note_silence() {
            // The error that would tell of a partition that is stopped goes when the group changes.
            self.doubt.lasts();
            return Ok(Look::Again);
        }
        Ok(Look::Idle)
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

    /// What no sink can be given: what lies before it is delivered, then this is told.
    fn stuck(&self, both: &Both, error: LogError) {
        let mut state = both.state();
        if let Some(held) = state
            .held
            .get_mut(&self.at)
            .filter(|it| it.seeks == self.sought)
        {
            held.stuck = Some(error);
        }
        drop(state);
        both.wake_reader();
    }

    fn seek(&mut self, consumer: &BaseConsumer<ReaderContext>, offset: i64) -> Sought {
        self.carry.clear();
        let mut list = TopicPartitionList::new();
        if list
            .add_partition_offset(&self.at.topic, self.at.partition, Offset::Offset(offset))
            .is_err()
        {
            return Sought::NotYet;
        }
        let Ok(list) = consumer.seek_partitions(list, SEEK_MAX) else {
            return Sought::NotYet;
        };
        let failed = list.elements().iter().find_map(|it| it.error().err());
        if let Some(error) = failed {
            return match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::State) => Sought::Stopped,
                _ => Sought::NotYet,
            };
        }
        // Paused since it was assigned, so that nothing was fetched in vain.
        if consumer.resume(&list).is_err() {
            return Sought::NotYet;
        }
        self.next = offset;
        // librdkafka has forgotten where it stood.
        self.doubt = Doubt::default();
        self.silence.broken();
        Sought::Done
    }

    /// An error that stops reading, with nothing before it.
    fn stopped(&self, code: RDKafkaErrorCode) -> Result<Look, LogError> {
        if code == RDKafkaErrorCode::TopicAuthorizationFailed {
            let text = format!("{} may not be read by this user", self.at);
            return Err(LogError::Rejected(text));
        }
        Ok(Look::Gone(code))
    }

    /// Where librdkafka stands when nothing that it gave is left: past records and control records,
    /// or where errors have moved it.
    fn position(&self) -> Option<i64> {
        native::position(self.queue.client(), &self.name, self.at.partition)
    }

    /// Where the partition ends, as the last fetch told, with what is not committed.
    fn end(&self) -> Option<i64> {
        let ends = native::known_ends(self.queue.client(), &self.name, self.at.partition);
        ends.map(|(_, end)| end)
    }

    /// Nothing came, and the reader wants something. Whether that lasts, which is told now and then.
    fn note_silence(&mut self) -> bool {
        let Some(end) = self.end().filter(|end| *end > self.next) else {
            self.silence.broken();
            return false;
        };
        let lasts = self.silence.lasts(Instant::now());
        if lasts {
            tracing::warn!(
                at = %self.at, offset = self.next, end,
                "nothing is read though the log goes on: what lies there can't be read, a transaction stays open, or the leader is away"
            );
        }
        lasts
    }

    /// Where the reader stands after the record at `last`: before the next record, or past the
    /// control records that follow.
    fn after(&self, last: i64) -> i64 {
        match self.carry.front() {
            Some(next) if next.error().is_none() => next.offset().max(last + 1),
            Some(_) => last + 1,
            None => self
                .position()
                .filter(|position| !self.doubt.covers(*position))
                .map_or(last + 1, |position| position.max(last + 1)),
        }
    }

    /// Makes ready what was read up to where the reader stands then, be it no record.
    fn deliver(&mut self, both: &Both, batch: &mut BatchWriter) {
        self.silence.broken();
        let passes = batch.is_empty();
        let batch = batch.finish();
        let end = self.end().map_or(self.next, |end| end.max(self.next));
        let mut state = both.state();
        let Some(held) = state.held.get_mut(&self.at) else {
            return;
        };
        if held.seeks != self.sought || held.going != Going::Stays {
            return;
        }
        match held.ready.back_mut().filter(|_| passes) {
            // It is passed with the records before it.
            Some(before) => {
                before.next_offset = self.next;
                before.end = end;
            }
            None => held.ready.push_back(Ready {
                batch: batch.into(),
                next_offset: self.next,
                end,
            }),
        }
        drop(state);
        both.wake_reader();
    }
}

/// Whether nothing more comes after an error in place of a record.
fn stops(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::AutoOffsetReset
            | RDKafkaErrorCode::OffsetOutOfRange
            | RDKafkaErrorCode::TopicAuthorizationFailed
    )
}
