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
const TASK: &str = "__connect.errors.task.id";
const STAGE: &str = "__connect.errors.stage";
const CLASS: &str = "__connect.errors.class.name";
const ERROR: &str = "__connect.errors.exception.class.name";
const REASON: &str = "__connect.errors.exception.message";
const STACK: &str = "__connect.errors.exception.stacktrace";
const EVENT: &str = "jackfield.inbox.event";

/// Longest reason kept, bytes: long enough for a message, short enough for any batch.
const REASON_BYTES_MAX: usize = 4 * 1024;
/// Dead-letter topics have one partition: their order is the order of the failures.
const DEAD_LETTER_PARTITION: i32 = 0;

/// Who could not deliver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reporter<'a> {
    pub(crate) connector: &'a str,
    /// The task's number, or the slot's.
    pub(crate) task: u32,
    /// The component's name and version.
    pub(crate) component: (&'a str, &'a str),
}

/// Where in its way a record failed, in the words of Kafka Connect's `Stage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The log read it from a topic.
    Consume,
    /// The log read its value by the topic's format.
    Convert,
    /// The sink's component took it.
    Put,
    /// The source's component made it of an event.
    Poll,
}

impl Reporter<'_> {
    fn component(&self) -> String {
        let (name, version) = self.component;
        format!("{name} {version}")
    }
}

impl Stage {
    fn word(self) -> &'static str {
        match self {
            Self::Consume => "KAFKA_CONSUME",
            Self::Convert => "VALUE_CONVERTER",
            Self::Put => "TASK_PUT",
            Self::Poll => "TASK_POLL",
        }
    }
}

/// Why a record can't be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause<'a> {
    /// The component says so.
    Rejected(&'a str),
    /// It is not what its topic's format is.
    Unreadable(&'a str),
}

impl<'a> Cause<'a> {
    /// The reason, for people.
    pub(crate) fn reason(self) -> &'a str {
        match self {
            Self::Rejected(reason) | Self::Unreadable(reason) => reason,
        }
    }

    /// What stands where Kafka Connect has the exception's class.
    fn error(self) -> &'static str {
        match self {
            Self::Rejected(_) => "jackfield.Rejected",
            Self::Unreadable(_) => "jackfield.Unreadable",
        }
    }
}

/// The stages that a record came through, the one that failed first, each with who did its work.
struct Trace<'a> {
    cause: Cause<'a>,
    stages: &'a [(Stage, &'a str)],
}

impl std::fmt::Display for Trace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.cause.error(), cut(self.cause.reason()))?;
        for (stage, by) in self.stages {
            write!(f, "\n\tat {} ({by})", stage.word())?;
        }
        Ok(())
    }
}

/// A record of a topic that a sink can't deliver.
pub(crate) struct Letter<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) cause: Cause<'a>,
    pub(crate) record: Record<'a>,
}

/// What a letter says beside its coordinates, in the order of Kafka Connect's own.
struct Account {
    task: String,
    stage: &'static str,
    class: String,
    error: &'static str,
    reason: String,
    stack: String,
}

impl Account {
    fn new(by: Reporter<'_>, cause: Cause<'_>, stages: &[(Stage, &str)]) -> Self {
        let (stage, class) = stages
            .first()
            .map_or(("", ""), |(stage, by)| (stage.word(), *by));
        Self {
            task: by.task.to_string(),
            stage,
            class: class.to_owned(),
            error: cause.error(),
            reason: cut(cause.reason()).to_owned(),
            stack: Trace { cause, stages }.to_string(),
        }
    }

    fn headers(&self) -> [(&str, Option<&[u8]>); 6] {
        [
            (TASK, Some(self.task.as_bytes())),
            (STAGE, Some(self.stage.as_bytes())),
            (CLASS, Some(self.class.as_bytes())),
            (ERROR, Some(self.error.as_bytes())),
            (REASON, Some(self.reason.as_bytes())),
            (STACK, Some(self.stack.as_bytes())),
        ]
    }
}

/// Batches of rejected records for the dead-letter topic.
pub(crate) fn of_records(
    to: &str,
    by: Reporter<'_>,
    letters: &[Letter<'_>],
) -> Result<Vec<Output>, Failed> {
    let mut outputs = Outputs::new(to);
    let component = by.component();
    for letter in letters {
        let key = format!("{}/{}/{}", letter.topic, letter.partition, letter.offset);
        let partition = letter.partition.to_string();
        let offset = letter.offset.to_string();
        let read_from = (Stage::Consume, key.as_str());
        let stages = match letter.cause {
            Cause::Rejected(_) => [(Stage::Put, component.as_str()), read_from],
            Cause::Unreadable(_) => [(Stage::Convert, "json"), read_from],
        };
        let account = Account::new(by, letter.cause, &stages);
        let coordinates = [
            (TOPIC, Some(letter.topic.as_bytes())),
            (PARTITION, Some(partition.as_bytes())),
            (OFFSET, Some(offset.as_bytes())),
            (CONNECTOR, Some(by.connector.as_bytes())),
        ];
        let headers: Vec<(&str, Option<&[u8]>)> = letter
            .record
            .headers
            .clone()
            .into_iter()
            .chain(coordinates)
            .chain(account.headers())
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
    by: Reporter<'_>,
    events: &[RejectedEvent],
    now_ms: i64,
) -> Result<Vec<Output>, Failed> {
    let mut outputs = Outputs::new(to);
    let component = by.component();
    for event in events {
        let number = event.event.to_string();
        let stages = [(Stage::Poll, component.as_str())];
        let account = Account::new(by, Cause::Rejected(&event.reason), &stages);
        let coordinates = [
            (CONNECTOR, Some(by.connector.as_bytes())),
            (EVENT, Some(number.as_bytes())),
        ];
        let headers: Vec<(&str, Option<&[u8]>)> =
            coordinates.into_iter().chain(account.headers()).collect();
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
