//! What became of the records that were handed to librdkafka: counted, not awaited one by one.

use crate::context::Telling;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;

/// Stands for a record whose offset nobody asks for.
pub(crate) const UNASKED: usize = 0;

/// How long librdkafka may take to tell of records that it has given up.
const TOLD_MAX: Duration = Duration::from_secs(10);

/// The outcomes that a writer's producer tells of. Records are marked with [`UNASKED`], or with
/// 1 + the number of the output whose first record it is.
#[derive(Default)]
pub(crate) struct Deliveries {
    /// Records handed over and not heard of.
    open: AtomicU64,
    told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Default)]
struct Told {
    /// The offset of each output's first record, as far as it is known.
    firsts: Vec<Option<i64>>,
    /// The first record that failed.
    failure: Option<RDKafkaErrorCode>,
}

/// Why an append is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unacknowledged {
    /// What became of some of its records is not known.
    #[error("some records of an append were not heard of in time")]
    Unheard,
    /// A record was not delivered.
    #[error("an append was not acknowledged: {0}")]
    NotDelivered(RDKafkaErrorCode),
}

impl Deliveries {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was told, before other records are handed over. False: earlier records are still
    /// open, and what is told of them would be taken for the new ones'.
    #[must_use]
    pub(crate) fn begin(&self) -> bool {
        // Of a transaction that was aborted the last records may still be told of.
        let all_known = self.wait(TOLD_MAX);
        let mut told = self.told();
        told.failure = None;
        told.firsts.clear();
        all_known
    }

    /// The mark for the first record of one more output, whose offset is asked for.
    pub(crate) fn ask(&self) -> usize {
        let mut told = self.told();
        told.firsts.push(None);
        UNASKED + told.firsts.len()
    }

    /// One more record is handed over; before it is, since its outcome may come at once.
    pub(crate) fn sending(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    /// It was not taken.
    pub(crate) fn not_sent(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn all_known(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// Waits until the outcome of each record is known, at most so long.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let told = self.told();
        let waited = self
            .changed
            .wait_timeout_while(told, timeout, |_| !self.all_known());
        drop(waited);
        self.all_known()
    }

    /// Why a record was not delivered, if one was not.
    pub(crate) fn failure(&self) -> Option<RDKafkaErrorCode> {
        self.told().failure
    }

    /// The offset of each output's first record, as far as brokers told it, if every record is
    /// acknowledged. Positions may move only after this.
    pub(crate) fn acknowledged(&self) -> Result<Vec<Option<i64>>, Unacknowledged> {
        // First, since a record's failure is noted before it is counted as known.
        if !self.all_known() {
            return Err(Unacknowledged::Unheard);
        }
        let told = self.told();
        match told.failure {
            Some(code) => Err(Unacknowledged::NotDelivered(code)),
            None => Ok(told.firsts.clone()),
        }
    }

    /// What became of a record: its offset, or why it was not delivered.
    fn heard(&self, asked: usize, outcome: Result<i64, RDKafkaErrorCode>) {
        match outcome {
            Ok(_) if asked == UNASKED => {}
            Ok(offset) => {
                // A broker that has it from an earlier try may not say where.
                let offset = Some(offset).filter(|offset| *offset >= 0);
                if let Some(first) = self.told().firsts.get_mut(asked - 1) {
                    *first = offset;
                }
            }
            Err(code) => {
                // What is purged later was given up for the sake of the first.
                self.told().failure.get_or_insert(code);
            }
        }
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Under the lock, so that whoever has just looked is waiting by now.
            let _told = self.told();
            self.changed.notify_all();
        }
    }
}

impl ProducerContext for Telling<Deliveries> {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, asked: usize) {
        let outcome = match result {
            Ok(message) => Ok(message.offset()),
            Err((e, _)) => Err(e.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        };
        self.heard(asked, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many records of one output handed over, and nothing heard.
    fn handed_over(records: usize) -> Deliveries {
        let deliveries = Deliveries::default();
        assert!(deliveries.begin());
        assert_eq!(deliveries.ask(), 1);
        (0..records).for_each(|_| deliveries.sending());
        deliveries
    }

    #[test]
    fn records_are_acknowledged_when_the_last_of_them_is() {
        let deliveries = handed_over(2);
        assert_eq!(deliveries.acknowledged(), Err(Unacknowledged::Unheard));
        deliveries.heard(1, Ok(40));
        // The other one is open.
        assert_eq!(deliveries.acknowledged(), Err(Unacknowledged::Unheard));
        assert!(!deliveries.wait(Duration::ZERO));
        deliveries.heard(UNASKED, Ok(41));
        assert_eq!(deliveries.acknowledged(), Ok(vec![Some(40)]));
    }

    #[test]
    fn a_record_that_failed_is_not_acknowledged_though_the_first_is() {
        let deliveries = handed_over(2);
        deliveries.heard(1, Ok(40));
        let code = RDKafkaErrorCode::MessageTimedOut;
        deliveries.heard(UNASKED, Err(code));
        let failed = Unacknowledged::NotDelivered(code);
        assert_eq!(deliveries.acknowledged(), Err(failed));
    }

    #[test]
    fn a_record_that_a_broker_has_already_is_acknowledged_without_its_offset() {
        let deliveries = handed_over(1);
        deliveries.heard(1, Ok(-1));
        assert_eq!(deliveries.acknowledged(), Ok(vec![None]));
    }
}
