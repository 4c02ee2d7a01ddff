//! Records on their way out, packed feed by feed.

use jackfield_batch::{BatchWriter, Full, Headers, Limits, Record, SchemaIds};

use super::{Feed, Output, PollLimits};
use crate::avro::AvroRecord;

/// One batch for each feed, filled by a poll.
#[derive(Debug)]
pub struct Feeds {
    feeds: Vec<Feed>,
    writers: Vec<BatchWriter>,
    limits: Limits,
    datum: Vec<u8>,
}

impl Feeds {
    /// Feeds counted from 0 in this order.
    pub fn new(feeds: Vec<Feed>) -> Self {
        let limits = Limits::default();
        let writers = feeds
            .iter()
            .map(|_| BatchWriter::with_limits(limits))
            .collect();
        Self {
            feeds,
            writers,
            limits,
            datum: Vec::new(),
        }
    }

    /// What they are, for [`super::Source::feeds`].
    pub fn all(&self) -> Vec<Feed> {
        self.feeds.clone()
    }

    /// Begins a poll with these limits. What an earlier poll that failed has left goes with it.
    pub fn begin(&mut self, limits: &PollLimits) {
        let limits = Limits {
            records_max: limits.batch_records_max,
            bytes_max: limits.batch_bytes_max as usize,
        };
        if limits != self.limits && self.is_empty() {
            self.limits = limits;
            self.writers = self
                .feeds
                .iter()
                .map(|_| BatchWriter::with_limits(limits))
                .collect();
        }
    }

    /// Adds a record to a feed's batch.
    ///
    /// # Errors
    /// [`Full::BatchIsFull`]: end this poll, the record goes with the next one.
    ///
    /// # Panics
    /// There is no such feed.
    pub fn push(
        &mut self,
        feed: u32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        record: &impl AvroRecord,
    ) -> Result<(), Full> {
        self.datum.clear();
        record.encode(&mut self.datum);
        self.writers[feed as usize].push(&Record {
            timestamp_ms,
            key,
            value: Some(&self.datum),
            schemas: SchemaIds::default(),
            headers: Headers::default(),
        })
    }

    /// Records so far.
    pub fn len(&self) -> u64 {
        self.writers
            .iter()
            .map(|writer| u64::from(writer.len()))
            .sum()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.writers.iter().all(BatchWriter::is_empty)
    }

    /// The batches that have records.
    pub fn finish(&mut self) -> Vec<Output> {
        let filled = (0u32..)
            .zip(&mut self.writers)
            .filter(|(_, writer)| !writer.is_empty());
        filled
            .map(|(feed, writer)| Output {
                feed,
                records: writer.finish(),
            })
            .collect()
    }
}
