//! Records that could not be delivered, as records of a dead-letter topic.
//!
//! The value is what could not be delivered; coordinates and reason are headers, named as Kafka
//! Connect's `DeadLetterQueueReporter` names them, so that its tools read them.

use crate::failures::Failed;
use bytes::Bytes;
use jackfield_batch::{BatchWriter, Full, Headers, Record, SchemaIds};
use jackfield_core::Consequence;
use jackfield_log::Output;
use jackfield_plugin::RejectedEvent;
use std::sync::Arc;

const TOPIC: &str = "__connect.errors.topic";
const PARTITION: &str = "__connect.errors.partition";
const OFFSET: &str = "__connect.errors.offset";
const CONNECTOR: &str = "__connect.errors.connector.name";
const REASON: &str = "__connect.errors.exception.message";
const EVENT: &str = "jackfield.inbox.event";

/// Longest reason kept, bytes: long enough for a message, short enough for any batch.
const REASON_BYTES_MAX: usize = 4 * 1024;
/// Dead-letter topics have one partition: their order is the order of the failures.
const DEAD_LETTER_PARTITION: i32 = 0;

/// A record of a topic that a sink rejected.
pub(crate) struct Letter<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) reason: &'a str,
    pub(crate) record: Record<'a>,
}

/// Batches of rejected records for the dead-letter topic.
pub(crate) fn of_records(
    to: &str,
    connector: &str,
    letters: &[Letter<'_>],
) -> Result<Vec<Output>, Failed> {
    let mut outputs = Outputs::new(to);
    for letter in letters {
        let key = format!("{}/{}/{}", letter.topic, letter.partition, letter.offset);
        let partition = letter.partition.to_string();
        let offset = letter.offset.to_string();
        let own = [
            (TOPIC, Some(letter.topic.as_bytes())),
            (PARTITION, Some(partition.as_bytes())),
            (OFFSET, Some(offset.as_bytes())),
            (CONNECTOR, Some(connector.as_bytes())),
            (REASON, Some(cut(letter.reason).as_bytes())),
        ];
        let headers: Vec<(&str, Option<&[u8]>)> = letter
            .record
            .headers
            .clone()
            .into_iter()
            .chain(own)
            .collect();
        outputs.push(&Record {
            key: Some(key.as_bytes()),
            headers: Headers::of(&headers),
            schemas: SchemaIds {
                value: letter.record.schemas.value,
                key: 0,
            },
            ..letter.record.clone()
        })?;
    }
    Ok(outputs.finish())
}

/// Batches of inbox events that can never become records.
pub(crate) fn of_events(
    to: &str,
    connector: &str,
    events: &[RejectedEvent],
    now_ms: i64,
) -> Result<Vec<Output>, Failed> {
    let mut outputs = Outputs::new(to);
    for event in events {
        let number = event.event.to_string();
        let headers = [
            (CONNECTOR, Some(connector.as_bytes())),
            (EVENT, Some(number.as_bytes())),
            (REASON, Some(cut(&event.reason).as_bytes())),
        ];
        outputs.push(&Record {
            timestamp_ms: now_ms,
            key: None,
            value: Some(&event.excerpt),
            schemas: SchemaIds::default(),
            headers: Headers::of(&headers),
        })?;
    }
    Ok(outputs.finish())
}

fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

struct Outputs {
    topic: Arc<str>,
    writer: BatchWriter,
    done: Vec<Output>,
}

impl Outputs {
    fn new(topic: &str) -> Self {
        Self {
            topic: topic.into(),
            writer: BatchWriter::new(),
            done: Vec::new(),
        }
    }

    fn push(&mut self, record: &Record<'_>) -> Result<(), Failed> {
        let refused = match self.writer.push(record) {
            Ok(()) => return Ok(()),
            Err(Full::BatchIsFull) => {
                self.turn();
                self.writer.push(record)
            }
            Err(full) => Err(full),
        };
        match refused {
            Ok(()) => Ok(()),
            Err(_) => {
                // Coordinates and reason are kept whatever happens; the record itself stays
                // where its coordinates say.
                let without_value = Record {
                    value: None,
                    ..record.clone()
                };
                self.writer
                    .push(&without_value)
                    .map_err(|full| Failed::new("dead letter", Consequence::Fail, full.to_string()))
            }
        }
    }

    fn turn(&mut self) {
        if !self.writer.is_empty() {
            let batch = Bytes::from(self.writer.finish());
            self.done.push(Output {
                topic: Arc::clone(&self.topic),
                partition: DEAD_LETTER_PARTITION,
                batch,
            });
        }
    }

    fn finish(mut self) -> Vec<Output> {
        self.turn();
        self.done
    }
}
