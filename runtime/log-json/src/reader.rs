//! Reading: JSON becomes Avro datums again.

use crate::log::Shared;
use crate::read::DatumReader;
use crate::schemas::Newest;
use async_trait::async_trait;
use bytes::Bytes;
use jackfield_batch::{Batch, BatchWriter, Full, Headers, Limits, Record, SchemaIds};
use jackfield_log::{Fetched, LogError, Reader, ReaderEvent, TopicPartition};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// The header of a record that could not be read, with the reason.
pub const REASON: &str = "jackfield.json.unreadable";

/// Names of unknown fields that are remembered for a topic, so that the registry is not asked for
/// each record: more than any schema will have.
const UNKNOWN_MAX: usize = 10_000;

pub(crate) struct JsonReader {
    inner: Box<dyn Reader>,
    shared: Arc<Shared>,
    topics: HashMap<Arc<str>, Known>,
    /// Fetched and not turned yet: kept when whoever waits stops waiting.
    raw: Option<Fetched>,
    /// Turned, in parts where it has grown too large for one batch.
    ready: VecDeque<Fetched>,
}

/// What is known of a topic.
struct Known {
    newest: Newest,
    /// Fields that its newest schema does not have.
    unknown: BTreeSet<String>,
}

/// A batch as Avro.
struct Turned {
    batches: Vec<(Bytes, i64)>,
    /// Some records could not be read.
    failed: bool,
    unknown: BTreeSet<String>,
}

#[async_trait]
impl Reader for JsonReader {
    async fn next(&mut self) -> Result<ReaderEvent, LogError> {
        loop {
            if let Some(fetched) = self.ready.pop_front() {
                return Ok(ReaderEvent::Batch(fetched));
            }
            if self.raw.is_some() {
                self.turn().await?;
                continue;
            }
            match self.inner.next().await? {
                ReaderEvent::Batch(fetched)
                    if self.shared.topics.contains(&fetched.at.topic) && !fetched.is_empty() =>
                {
                    self.raw = Some(fetched);
                }
                event @ (ReaderEvent::Assigned(_) | ReaderEvent::Batch(_)) => return Ok(event),
                ReaderEvent::Revoking(at) => {
                    self.forget(&at);
                    return Ok(ReaderEvent::Revoking(at));
                }
                ReaderEvent::Lost(at) => {
                    self.forget(&at);
                    return Ok(ReaderEvent::Lost(at));
                }
            }
        }
    }

    fn seek(&mut self, at: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.inner.seek(at, offset)?;
        self.forget(std::slice::from_ref(at));
        Ok(())
    }

    fn pause(&mut self, at: &[TopicPartition]) {
        self.inner.pause(at);
    }

    fn resume(&mut self, at: &[TopicPartition]) {
        self.inner.resume(at);
    }

    async fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.inner.commit(offsets).await
    }

    async fn release(&mut self, at: &[TopicPartition]) -> Result<(), LogError> {
        self.inner.release(at).await
    }

    async fn close(self: Box<Self>) -> Result<(), LogError> {
        self.inner.close().await
    }
}

impl JsonReader {
    pub(crate) fn new(inner: Box<dyn Reader>, shared: Arc<Shared>) -> Self {
        Self {
            inner,
            shared,
            topics: HashMap::new(),
            raw: None,
            ready: VecDeque::new(),
        }
    }

    /// What was fetched of these partitions is of no use any more.
    fn forget(&mut self, at: &[TopicPartition]) {
        self.ready.retain(|fetched| !at.contains(&fetched.at));
        self.raw = self.raw.take().filter(|it| !at.contains(&it.at));
    }

    async fn turn(&mut self) -> Result<(), LogError> {
        let Some(raw) = &self.raw else {
            return Ok(());
        };
        let topic = &raw.at.topic;
        if !self.topics.contains_key(topic) {
            let newest = self.shared.schemas.newest(topic).await?;
            let unknown = BTreeSet::new();
            let known = Known { newest, unknown };
            self.topics.insert(Arc::clone(topic), known);
        }
        let Some(known) = self.topics.get_mut(topic) else {
            return Ok(());
        };
        let mut turned = turned(raw, &known.newest)?;
        // A schema is registered before records of it are written: so what this one can't read,
        // or does not know, may be a newer one's.
        if turned.failed || !turned.unknown.is_subset(&known.unknown) {
            let newest = self.shared.schemas.newest(topic).await?;
            if newest.id != known.newest.id {
                known.unknown.clear();
                known.newest = newest;
                turned = self::turned(raw, &known.newest)?;
            }
            let room = UNKNOWN_MAX.saturating_sub(known.unknown.len());
            known.unknown.extend(turned.unknown.into_iter().take(room));
        }
        let mut position = raw.position;
        let last = turned.batches.len().saturating_sub(1);
        for (part, (batch, end)) in turned.batches.into_iter().enumerate() {
            let next_offset = if part == last { raw.next_offset } else { end };
            self.ready.push_back(Fetched {
                position,
                next_offset,
                batch,
                ..raw.clone()
            });
            position = next_offset;
        }
        self.raw = None;
        Ok(())
    }
}

/// The records as Avro, in one batch or more, each with the offset after its last record.
fn turned(raw: &Fetched, newest: &Newest) -> Result<Turned, LogError> {
    let malformed =
        |e: &dyn std::fmt::Display| LogError::Rejected(format!("a batch of {}: {e}", raw.at));
    let batch = Batch::parse(&raw.batch, &Limits::default()).map_err(|e| malformed(&e))?;
    let mut writer = BatchWriter::new();
    let mut turned = Turned {
        batches: Vec::new(),
        failed: false,
        unknown: BTreeSet::new(),
    };
    let mut datums = DatumReader::of(&newest.plan);
    let mut after = raw.position;
    for (index, record) in (0u32..).zip(batch.iter()) {
        let offset = batch
            .offset(index)
            .ok_or_else(|| malformed(&"it has no offsets"))?;
        let (datum, reason) = match record.value {
            None => (None, None),
            Some(text) => match datums.read(text, &mut turned.unknown) {
                Ok(datum) => (Some(datum), None),
                Err(unreadable) => {
                    turned.failed = true;
                    (None, Some(unreadable.to_string()))
                }
            },
        };
        let mut headers: Vec<(&str, Option<&[u8]>)> = Vec::new();
        let mut avro = record.clone();
        match &reason {
            None => {
                avro.value = datum;
                avro.schemas = SchemaIds {
                    value: newest.id,
                    key: 0,
                };
            }
            Some(reason) => {
                headers.extend(record.headers.iter());
                headers.push((REASON, Some(reason.as_bytes())));
                avro.headers = Headers::of(&headers);
            }
        }
        push(
            &mut writer,
            &mut turned.batches,
            offset,
            after,
            &avro,
            &record,
        )
        .map_err(|full| malformed(&full))?;
        after = offset + 1;
    }
    turned.batches.push((Bytes::from(writer.finish()), after));
    Ok(turned)
}

fn push(
    writer: &mut BatchWriter,
    batches: &mut Vec<(Bytes, i64)>,
    offset: i64,
    after: i64,
    avro: &Record<'_>,
    raw: &Record<'_>,
) -> Result<(), Full> {
    match writer.push_at(offset, avro) {
        Ok(()) => return Ok(()),
        Err(Full::BatchIsFull) if !writer.is_empty() => {
            batches.push((Bytes::from(writer.finish()), after));
        }
        Err(_) => {}
    }
    match writer.push_at(offset, avro) {
        // Larger than any batch once it is Avro: as it was it did fit.
        Err(Full::TooLarge { .. }) => writer.push_at(offset, raw),
        outcome => outcome,
    }
}
