//! A batch of which the component rejected records.

use crate::dead_letters::{self, Cause, Letter, Reporter};
use crate::failures::Failed;
use crate::spec::OnBadRecord;
use bytes::Bytes;
use jackfield_batch::{Batch, BatchWriter, Limits, Record};
use jackfield_core::Consequence;
use jackfield_log::{Append, Output, TopicPartition};
use jackfield_plugin::Rejection;
use std::collections::BTreeMap;

/// The header of a record that the log could not read by its topic's format, with the reason.
const UNREADABLE: &str = "jackfield.json.unreadable";

/// What is left after rejections were taken out.
pub(crate) struct Sorted {
    /// The records to put, with their coordinates; `None` when none is left.
    pub(crate) rest: Option<Bytes>,
    /// To be acknowledged before a span that covers the rejected records is committed.
    pub(crate) letters: Vec<Output>,
    pub(crate) rejected: u64,
}

/// Sorts a batch into what goes on and what is rejected.
///
/// # Errors
/// `stop` was asked for, or the rejections make no sense.
pub(crate) fn sort(
    on_bad_record: &OnBadRecord,
    by: Reporter<'_>,
    at: &TopicPartition,
    bytes: &[u8],
    rejections: &[Rejection],
) -> Result<Sorted, Failed> {
    let batch = Batch::parse(bytes, &Limits::default())
        .map_err(|e| Failed::for_good("put", format!("a batch of the log is malformed: {e}")))?;
    let reasons: BTreeMap<u32, &str> = rejections
        .iter()
        .map(|r| (r.index, r.reason.as_str()))
        .collect();
    let (Some((&first, _)), Some((&last, _))) =
        (reasons.first_key_value(), reasons.last_key_value())
    else {
        return Err(Failed::new(
            "put",
            Consequence::Replace,
            "rejected a batch without naming a record",
        ));
    };
    if last >= batch.len() {
        let claim = format!("rejected record {last} of a batch of {}", batch.len());
        return Err(Failed::new("put", Consequence::Replace, claim));
    }
    if *on_bad_record == OnBadRecord::Stop {
        let offset = batch.offset(first).unwrap_or(-1);
        let reason = cause_of(&batch.record(first), reasons[&first]).reason();
        return Err(Failed::for_good(
            "put",
            format!(
                "the record at {}-{} offset {offset} can't be delivered: {reason}",
                at.topic, at.partition
            ),
        ));
    }
    let mut rest = BatchWriter::new();
    let mut letters = Vec::new();
    for (index, record) in (0u32..).zip(batch.iter()) {
        let offset = batch.offset(index).unwrap_or(-1);
        match reasons.get(&index) {
            Some(&reason) => letters.push(Letter {
                topic: &at.topic,
                partition: at.partition,
                offset,
                cause: cause_of(&record, reason),
                record,
            }),
            None => rest.push_at(offset, &record).map_err(|full| {
                Failed::for_good(
                    "put",
                    format!("a part of a batch is larger than the batch: {full}"),
                )
            })?,
        }
    }
    let rejected = letters.len() as u64;
    let letters = match on_bad_record {
        OnBadRecord::DeadLetter { topic } => dead_letters::of_records(topic, by, &letters)?,
        OnBadRecord::Stop | OnBadRecord::Skip => Vec::new(),
    };
    let rest = (!rest.is_empty()).then(|| Bytes::from(rest.finish()));
    Ok(Sorted {
        rest,
        letters,
        rejected,
    })
}

/// Why a record is bad: what the log could not read says it better than the component that got it
/// unread.
fn cause_of<'a>(record: &Record<'a>, rejected: &'a str) -> Cause<'a> {
    let unread = record.headers.iter().find(|(name, _)| *name == UNREADABLE);
    let reason = unread.and_then(|(_, reason)| str::from_utf8(reason?).ok());
    reason.map_or(Cause::Rejected(rejected), Cause::Unreadable)
}

/// The transaction that keeps dead letters; they carry no positions.
pub(crate) fn append(letters: Vec<Output>) -> Append {
    Append {
        outputs: letters,
        positions: Vec::new(),
        mark: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_batch::{Headers, SchemaIds};

    fn batch() -> Vec<u8> {
        let mut writer = BatchWriter::new();
        for i in 0..5u8 {
            let record = Record {
                timestamp_ms: 0,
                key: None,
                value: Some(&[i]),
                schemas: SchemaIds { value: 3, key: 0 },
                headers: Headers::default(),
            };
            writer.push_at(100 + i64::from(i), &record).unwrap();
        }
        writer.finish()
    }

    fn rejections(indices: &[u32]) -> Vec<Rejection> {
        indices
            .iter()
            .map(|&index| Rejection {
                index,
                reason: format!("bad {index}"),
            })
            .collect()
    }

    const BY: Reporter<'_> = Reporter {
        connector: "c",
        task: 3,
        component: ("a-sink", "1.2.3"),
    };

    /// The headers of a dead letter.
    fn headers<'a>(letter: &Record<'a>) -> BTreeMap<&'a str, &'a str> {
        let headers = letter.headers.iter();
        headers
            .map(|(name, value)| (name, str::from_utf8(value.unwrap()).unwrap()))
            .collect()
    }

    fn at() -> TopicPartition {
        TopicPartition {
            topic: "t".into(),
            partition: 2,
        }
    }

    #[test]
    fn only_the_bad_records_are_taken_out_and_the_rest_keeps_its_coordinates() {
        let to = OnBadRecord::DeadLetter {
            topic: "dead".into(),
        };
        let sorted = sort(&to, BY, &at(), &batch(), &rejections(&[1, 3])).unwrap();
        let rest = sorted.rest.unwrap();
        let rest = Batch::parse(&rest, &Limits::default()).unwrap();
        let kept: Vec<(i64, u8)> = (0..rest.len())
            .map(|i| (rest.offset(i).unwrap(), rest.record(i).value.unwrap()[0]))
            .collect();
        assert_eq!(kept, [(100, 0), (102, 2), (104, 4)]);
        assert_eq!(sorted.rejected, 2);
        let dead = Batch::parse(&sorted.letters[0].batch, &Limits::default()).unwrap();
        assert_eq!(dead.record(0).key, Some("t/2/101".as_bytes()));
        assert_eq!(dead.record(0).value, Some([1u8].as_slice()));
        assert_eq!(dead.record(1).value, Some([3u8].as_slice()));
    }

    /// The names are those of Kafka Connect 4.3's `DeadLetterQueueReporter`.
    #[test]
    fn a_letter_tells_what_kafka_connects_tells() {
        let to = OnBadRecord::DeadLetter {
            topic: "dead".into(),
        };
        let sorted = sort(&to, BY, &at(), &batch(), &rejections(&[3])).unwrap();
        let dead = Batch::parse(&sorted.letters[0].batch, &Limits::default()).unwrap();
        let expected = [
            ("__connect.errors.topic", "t"),
            ("__connect.errors.partition", "2"),
            ("__connect.errors.offset", "103"),
            ("__connect.errors.connector.name", "c"),
            ("__connect.errors.task.id", "3"),
            ("__connect.errors.stage", "TASK_PUT"),
            ("__connect.errors.class.name", "a-sink 1.2.3"),
            (
                "__connect.errors.exception.class.name",
                "jackfield.Rejected",
            ),
            ("__connect.errors.exception.message", "bad 3"),
            (
                "__connect.errors.exception.stacktrace",
                "jackfield.Rejected: bad 3\n\tat TASK_PUT (a-sink 1.2.3)\n\tat KAFKA_CONSUME (t/2/103)",
            ),
        ];
        assert_eq!(headers(&dead.record(0)), BTreeMap::from(expected));
    }

    #[test]
    fn a_letter_that_the_log_could_not_read_names_that_stage() {
        let mut writer = BatchWriter::new();
        let record = Record {
            value: Some(b"{"),
            headers: Headers::of(&[(UNREADABLE, Some(b"EOF"))]),
            ..Record::default()
        };
        writer.push_at(7, &record).unwrap();
        let to = OnBadRecord::DeadLetter {
            topic: "dead".into(),
        };
        let sorted = sort(&to, BY, &at(), &writer.finish(), &rejections(&[0])).unwrap();
        let dead = Batch::parse(&sorted.letters[0].batch, &Limits::default()).unwrap();
        let dead = dead.record(0);
        let headers = headers(&dead);
        assert_eq!(headers["__connect.errors.stage"], "VALUE_CONVERTER");
        assert_eq!(
            headers["__connect.errors.exception.stacktrace"],
            "jackfield.Unreadable: EOF\n\tat VALUE_CONVERTER (json)\n\tat KAFKA_CONSUME (t/2/7)"
        );
    }

    #[test]
    fn what_the_log_could_not_read_says_why() {
        let mut writer = BatchWriter::new();
        let record = Record {
            value: Some(b"{"),
            headers: Headers::of(&[(UNREADABLE, Some(b"not the JSON of its schema: EOF"))]),
            ..Record::default()
        };
        writer.push_at(7, &record).unwrap();
        let batch = writer.finish();
        let failed = sort(&OnBadRecord::Stop, BY, &at(), &batch, &rejections(&[0]))
            .err()
            .unwrap();
        assert!(failed.reason.ends_with("its schema: EOF"), "{failed}");
    }

    #[test]
    fn stop_names_the_record() {
        let failed = sort(&OnBadRecord::Stop, BY, &at(), &batch(), &rejections(&[2]))
            .err()
            .unwrap();
        assert_eq!(failed.consequence, Consequence::Fail);
        assert!(
            failed.reason.contains("t-2 offset 102") && failed.reason.contains("bad 2"),
            "{failed}"
        );
    }

    #[test]
    fn rejections_that_make_no_sense_replace_the_instance() {
        for bad in [&[][..], &[5][..]] {
            let failed = sort(&OnBadRecord::Skip, BY, &at(), &batch(), &rejections(bad))
                .err()
                .unwrap();
            assert_eq!(failed.consequence, Consequence::Replace);
        }
    }

    #[test]
    fn nothing_is_left_of_a_batch_of_bad_records() {
        let sorted = sort(
            &OnBadRecord::Skip,
            BY,
            &at(),
            &batch(),
            &rejections(&[0, 1, 2, 3, 4]),
        )
        .unwrap();
        assert!(sorted.rest.is_none() && sorted.letters.is_empty());
    }
}
