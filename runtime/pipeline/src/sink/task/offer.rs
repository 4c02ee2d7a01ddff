//! A batch on its way into a component: whole at first, then without what was rejected of it. What
//! became of that is done once, however often the rest is put.

use crate::dead_letters::Reporter;
use crate::failures::Failed;
use crate::sink::bad_records::{self, Sorted};
use crate::spec::OnBadRecord;
use bytes::Bytes;
use jackfield_core::Consequence;
use jackfield_log::TopicPartition;
use jackfield_plugin::Rejection;
use tokio::time::Instant;

/// A batch that the component asked to be given again.
pub(super) struct Again {
    /// `None`: as soon as what was put is staged.
    pub(super) at: Option<Instant>,
    pub(super) offer: Offer,
}

/// What of a batch is to be put.
pub(super) struct Offer {
    rest: Option<Bytes>,
    /// Of the batch as it was read: counted, and kept where that was asked for.
    rejected: Vec<Rejection>,
    /// The instance that runs has named every bad record.
    sorted: bool,
}

impl Offer {
    /// All of a batch that was read.
    pub(super) fn whole(batch: &Bytes) -> Self {
        Self {
            rest: Some(batch.clone()),
            rejected: Vec::new(),
            sorted: false,
        }
    }

    /// What to put next; `None` when nothing is left.
    pub(super) fn rest(&self) -> Option<Bytes> {
        self.rest.clone()
    }

    /// What was rejected, by the indices of the batch as it was read.
    pub(super) fn into_rejected(self) -> Vec<Rejection> {
        self.rejected
    }

    /// Another instance goes on, which may find other records bad.
    pub(super) fn hand_over(&mut self) {
        self.sorted = false;
    }

    /// Sorts what was put into what goes on and what is rejected.
    ///
    /// # Errors
    /// As for [`bad_records::sort`]; or the instance had named every bad record before.
    pub(super) fn sort(
        &self,
        on_bad_record: &OnBadRecord,
        by: Reporter<'_>,
        at: &TopicPartition,
        rejections: &[Rejection],
    ) -> Result<Sorted, Failed> {
        match &self.rest {
            Some(put) if !self.sorted => bad_records::sort(on_bad_record, by, at, put, rejections),
            Some(_) | None => Err(Failed::new(
                "put",
                Consequence::Replace,
                format!(
                    "rejected {} more records of a batch after naming every bad one",
                    rejections.len()
                ),
            )),
        }
    }

    /// What was sorted out is counted and its dead letters are acknowledged: only the rest is put
    /// from here on.
    pub(super) fn go_on_with(&mut self, rest: Option<Bytes>, rejections: Vec<Rejection>) {
        let mut before: Vec<u32> = self.rejected.iter().map(|it| it.index).collect();
        before.sort_unstable();
        before.dedup();
        // Each record that was taken out before moves those behind it on by one.
        let as_read = |index: u32| {
            let moved = before.iter();
            moved.fold(index, |index, out| index + u32::from(*out <= index))
        };
        let found = rejections.into_iter().map(|it| Rejection {
            index: as_read(it.index),
            reason: it.reason,
        });
        self.rejected.extend(found);
        self.rest = rest;
        self.sorted = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_batch::{Batch, BatchWriter, Limits, Record};

    const BY: Reporter<'_> = Reporter {
        connector: "c",
        task: 0,
        component: ("a-sink", "1.2.3"),
    };

    /// Five records, each with its number as its value.
    fn read() -> Bytes {
        let mut writer = BatchWriter::new();
        for number in 0..5u8 {
            let value = [number];
            let record = Record {
                value: Some(&value),
                ..Record::default()
            };
            writer.push_at(i64::from(number), &record).unwrap();
        }
        Bytes::from(writer.finish())
    }

    fn numbers(batch: &Bytes) -> Vec<u8> {
        let batch = Batch::parse(batch, &Limits::default()).unwrap();
        batch.iter().map(|it| it.value.unwrap()[0]).collect()
    }

    /// What a component is put that rejects these numbers, and whether it names them all at once.
    fn rejections(put: &Bytes, bad: &[u8]) -> Vec<Rejection> {
        let found = (0u32..).zip(numbers(put));
        let found = found.filter(|(_, number)| bad.contains(number));
        let named = found.map(|(index, number)| Rejection {
            index,
            reason: number.to_string(),
        });
        named.collect()
    }

    /// Puts once, as a task does: to a component that rejects these numbers. The records whose dead
    /// letters were written meanwhile.
    fn put(offer: &mut Offer, bad: &[u8]) -> Result<u64, Failed> {
        let mut letters = 0;
        while let Some(rest) = offer.rest() {
            let named = rejections(&rest, bad);
            if named.is_empty() {
                break;
            }
            let to = OnBadRecord::DeadLetter {
                topic: "dead".into(),
            };
            let at = TopicPartition {
                topic: "t".into(),
                partition: 0,
            };
            let sorted = offer.sort(&to, BY, &at, &named)?;
            letters += sorted.rejected;
            offer.go_on_with(sorted.rest, named);
        }
        Ok(letters)
    }

    #[test]
    fn what_was_rejected_is_sorted_out_once_however_often_the_rest_is_put() {
        let mut offer = Offer::whole(&read());
        let letters: Vec<u64> = (0..3).map(|_| put(&mut offer, &[1, 3]).unwrap()).collect();
        assert_eq!(letters, [2, 0, 0]);
        assert_eq!(numbers(&offer.rest().unwrap()), [0, 2, 4]);
    }

    #[test]
    fn an_instance_names_every_bad_record_at_once() {
        let mut offer = Offer::whole(&read());
        assert_eq!(put(&mut offer, &[1]).unwrap(), 1);
        let failed = put(&mut offer, &[2]).unwrap_err();
        assert_eq!(failed.consequence, Consequence::Replace);
    }

    #[test]
    fn another_instance_may_find_others_bad() {
        let mut offer = Offer::whole(&read());
        assert_eq!(put(&mut offer, &[0, 2]).unwrap(), 2);
        offer.hand_over();
        assert_eq!(put(&mut offer, &[1, 4]).unwrap(), 2);
        assert_eq!(numbers(&offer.rest().unwrap()), [3]);
        offer.hand_over();
        assert_eq!(put(&mut offer, &[3]).unwrap(), 1);
        assert!(offer.rest().is_none());
        for it in offer.into_rejected() {
            assert_eq!(it.index.to_string(), it.reason, "as it was read");
        }
    }
}
