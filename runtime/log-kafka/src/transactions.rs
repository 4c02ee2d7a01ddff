//! The thread of a writer: several appends become one transaction, again and again.
//!
//! What is appended while a transaction's records are handed over shares it, up to a number of
//! appends; so the more is appended, the more does one commit serve. The bound leaves as many appends
//! to the next transaction, which fill up while this one is committed. The outcome of each append is
//! its transaction's.
//!
//! Exactly once, records and positions are one transaction:
//!
//! | what happened | outcome |
//! |---|---|
//! | committed | landed |
//! | records of an earlier append are still open, and what is told of them would be taken for these | retriable, nothing is sent |
//! | a record was refused by the brokers | aborted; if the transaction was shared, each append is tried in one of its own, so that only the one that is wrong is told so |
//! | a record was not acknowledged in time, or the transaction can't be gone on with | aborted: retriable, nothing of it lands |
//! | a newer writer has taken over, noticed before the commit was sent | fenced, nothing of it lands |
//! | the commit was sent and its answer is missing, or says that a newer writer has taken over | unknown |
//!
//! At least once, positions follow in a transaction of their own:
//!
//! | what happened | outcome |
//! |---|---|
//! | all records are acknowledged, and the transaction is committed | landed |
//! | records, or positions, of an earlier append are still open | unknown: earlier ones may land yet |
//! | a record was refused by the brokers | rejected, its other records may have landed; if others were sent with it, each append is sent again by itself |
//! | a record was not acknowledged, or not heard of in time | unknown: some may have landed, the positions stay |
//! | all records are acknowledged, and the transaction fails | as exactly once, but the records have landed |
//!
//! After the first failure the writer has ended, and what is queued behind it is fenced (after an
//! unknown outcome likewise: nothing of it was sent). Of appends that were sent together the first
//! is told what happened, the others that they are fenced, or unknown like it.

use crate::consequence;
use crate::context::Telling;
use crate::deliveries::{Deliveries, UNASKED, Unacknowledged};
use crate::encoding;
use crate::group::{Bounds, Group};
use crate::prepare::Prepared;
use crate::shared::Shared;
use jackfield_batch::{Batch, Limits};
use jackfield_log::{LogError, Resolver};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use std::cell::Cell;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// How much longer than its records a commit may take.
pub(crate) const COMMIT_MORE: Duration = Duration::from_secs(10);
/// Why nothing is sent while records of an earlier append are not heard of.
const EARLIER_OPEN: &str = "records of an earlier append are still on their way";
/// How long to wait for room in librdkafka's queue before trying again.
const ROOM_WAIT: Duration = Duration::from_millis(5);

/// Appends in a transaction from which on brokers are busy.
const BUSY_APPENDS: usize = 8;
/// How long brokers that are busy take to write a transaction's last records after its commit was
/// answered. Whoever begins the next one sooner is told so, and librdkafka then waits for 20 ms.
const MARKERS_TAKE: Duration = Duration::from_millis(2);

pub(crate) enum Command {
    Append(Queued),
    Close(oneshot::Sender<()>),
}

/// An append on its way.
pub(crate) struct Queued {
    pub(crate) prepared: Prepared,
    pub(crate) resolver: Resolver,
    /// Given back when the outcome is told.
    pub(crate) permit: OwnedSemaphorePermit,
}

pub(crate) type WriterProducer = ThreadedProducer<Telling<Deliveries>>;

/// What a writer's thread has.
pub(crate) struct Transactions {
    pub(crate) shared: Arc<Shared>,
    pub(crate) positions_topic: String,
    /// The producer that fences.
    pub(crate) transactional: WriterProducer,
    /// At least once: the producer of the records.
    pub(crate) records: Option<WriterProducer>,
    pub(crate) commands: Receiver<Command>,
    pub(crate) ended: Arc<OnceLock<String>>,
    /// Before then the next transaction is not begun.
    pub(crate) rest_until: Cell<Option<Instant>>,
}

/// Why nothing of a group of appends was acknowledged.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) LogError);

impl Transactions {
    /// Serves commands until the writer is closed or dropped.
    pub(crate) fn run(self) {
        let mut closing = None;
        while closing.is_none() {
            match self.commands.recv() {
                Ok(Command::Append(first)) => closing = self.serve(Group::of(first)),
                Ok(Command::Close(reply)) => closing = Some(reply),
                Err(_) => break,
            }
        }
        // Closing a producer that is open can take a while; what was asked is done by now.
        if let Some(reply) = closing {
            reply.send(()).ok();
        }
    }

    /// Sees a group through, and gives whoever asked for the writer's end meanwhile.
    fn serve(&self, mut group: Group) -> Option<oneshot::Sender<()>> {
        if let Some(why) = self.ended.get() {
            group.fenced(why);
            return None;
        }
        let landed = match &self.records {
            None => self.exactly_once(&mut group),
            Some(records) => self.at_least_once(records, &mut group),
        };
        let closing = group.closing.take();
        match landed {
            Ok(firsts) => group.landed(firsts),
            Err(Failed(LogError::Rejected(_))) if group.len() > 1 => {
                for append in group.into_appends() {
                    self.serve(Group::alone(append));
                }
            }
            Err(Failed(error)) => {
                tracing::warn!(%error, "a writer has ended");
                self.ended.set(error.to_string()).ok();
                group.failed(error);
            }
        }
        closing
    }

    /// The offset of each output's first record.
    fn exactly_once(&self, group: &mut Group) -> Result<Vec<Option<i64>>, Failed> {
        let producer = &self.transactional;
        let deliveries = producer.client().context();
        if !deliveries.begin() {
            return Err(Failed(LogError::Retriable(EARLIER_OPEN.into())));
        }
        if let Some(rest) = self.rest_until.take() {
            // Nobody wakes it, and too soon is only slower.
            std::thread::park_timeout(rest.saturating_duration_since(Instant::now()));
        }
        self.begin()?;
        let sent = self
            .send_all(producer, group)
            .and_then(|()| self.send_positions(group));
        self.commit(sent)?;
        if group.len() >= BUSY_APPENDS {
            self.rest_until.set(Some(Instant::now() + MARKERS_TAKE));
        }
        // The last outcome may be told a moment after the commit.
        deliveries.wait(COMMIT_MORE);
        deliveries
            .acknowledged()
            .map_err(|why| Failed(LogError::Unknown(why.to_string())))
    }

    /// The offset of each output's first record.
    fn at_least_once(
        &self,
        producer: &WriterProducer,
        group: &mut Group,
    ) -> Result<Vec<Option<i64>>, Failed> {
        let deliveries = producer.client().context();
        if !deliveries.begin() {
            return Err(Failed(LogError::Unknown(EARLIER_OPEN.into())));
        }
        self.send_all(producer, group)
            .map_err(|e| Failed(unsure(consequence::kafka("an append failed", &e))))?;
        // librdkafka gives a record up after the delivery timeout, but may tell of one that is on its
        // way only when its request ends.
        deliveries.wait(self.shared.config.delivery_timeout + COMMIT_MORE);
        let firsts = deliveries.acknowledged().map_err(|why| {
            let text = why.to_string();
            Failed(match why {
                Unacknowledged::Unheard => LogError::Unknown(text),
                Unacknowledged::NotDelivered(code) => unsure(consequence::error(code, text)),
            })
        })?;
        if !group.puts().is_empty() {
            if !self.transactional.client().context().begin() {
                return Err(Failed(LogError::Unknown(EARLIER_OPEN.into())));
            }
            self.begin()?;
            let sent = self.send_positions(group);
            self.commit(sent)?;
        }
        Ok(firsts)
    }

    /// Hands over the records of a group, and of what joins it meanwhile.
    fn send_all(&self, producer: &WriterProducer, group: &mut Group) -> Result<(), KafkaError> {
        let began = Instant::now();
        let config = &self.shared.config;
        let bounds = Bounds {
            linger: config.linger,
            records_max: config.transaction_records_max,
            appends_max: config.transaction_appends_max,
        };
        for append in group.appends() {
            self.send_records(producer, append)?;
        }
        while let Some(append) = group.grow(&self.commands, began, bounds) {
            self.send_records(producer, append)?;
        }
        Ok(())
    }

    fn send_records(&self, producer: &WriterProducer, append: &Queued) -> Result<(), KafkaError> {
        let deliveries = producer.client().context();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for output in &append.prepared.outputs {
            let mut asked = deliveries.ask();
            let batch = Batch::parse(&output.batch, &Limits::default())
                .expect("a batch was parsed before it was queued");
            for record in batch.iter() {
                let mut message: BaseRecord<'_, [u8], [u8], usize> =
                    BaseRecord::with_opaque_to(&output.topic, asked)
                        .partition(output.partition)
                        .timestamp(record.timestamp_ms);
                message.key = encoding::encoded(record.key, record.schemas.key, &mut key);
                message.payload = encoding::encoded(record.value, record.schemas.value, &mut value);
                if !record.headers.is_empty() {
                    let headers = record.headers.iter();
                    message.headers =
                        Some(headers.fold(OwnedHeaders::new(), |all, (key, value)| {
                            all.insert(Header { key, value })
                        }));
                }
                self.send(producer, message)?;
                asked = UNASKED;
            }
        }
        Ok(())
    }

    fn send_positions(&self, group: &Group) -> Result<(), KafkaError> {
        for (key, value) in group.puts() {
            let mut message: BaseRecord<'_, [u8], [u8], usize> =
                BaseRecord::with_opaque_to(&self.positions_topic, UNASKED).key(key.as_bytes());
            message.payload = value.map(str::as_bytes);
            self.send(&self.transactional, message)?;
        }
        Ok(())
    }

    /// Hands a record to librdkafka, which copies it; waits while its queue is full.
    fn send(
        &self,
        producer: &WriterProducer,
        mut message: BaseRecord<'_, [u8], [u8], usize>,
    ) -> Result<(), KafkaError> {
        let deliveries = producer.client().context();
        let deadline = Instant::now() + self.shared.config.delivery_timeout;
        loop {
            deliveries.sending();
            let Err((error, back)) = producer.send(message) else {
                return Ok(());
            };
            deliveries.not_sent();
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            if error != full || Instant::now() >= deadline {
                return Err(error);
            }
            message = back;
            deliveries.wait(ROOM_WAIT);
        }
    }
}

/// Some of an append may have landed when another part of it failed.
fn unsure(error: LogError) -> LogError {
    match error {
        LogError::Retriable(text) | LogError::Unknown(text) => LogError::Unknown(text),
        error @ (LogError::Fenced(_) | LogError::Rejected(_) | LogError::Fatal(_)) => error,
    }
}
