//! What became of the records that were handed to librdkafka: counted, not awaited one by one.

use crate::context::Telling;
use jackfield_log::LogError;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

impl Deliveries {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was told, before the records of so many outputs are handed over. False: earlier
    /// records are still open, and what is told of them would be taken for the new ones'.
    #[must_use]
    pub(crate) fn begin(&self, outputs: usize) -> bool {
        // Of a transaction that was aborted the last records may still be told of.
        let all_known = self.wait(TOLD_MAX);
        let mut told = self.told();
        told.failure = None;
        told.firsts.clear();
        told.firsts.resize(outputs, None);
        all_known
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

    /// The offset of each output's first record, if every record is acknowledged; else what is not
    /// known. Positions may move only after this.
    pub(crate) fn acknowledged(&self) -> Result<Vec<i64>, LogError> {
        // First, since a record's failure is noted before it is counted as known.
        if !self.all_known() {
            let text = "some records of an append were not heard of in time";
            return Err(LogError::Unknown(text.into()));
        }
        let told = self.told();
        if let Some(code) = told.failure {
            let text = format!("an append was not acknowledged: {code}");
            return Err(LogError::Unknown(text));
        }
        let firsts: Option<Vec<i64>> = told.firsts.iter().copied().collect();
        firsts.ok_or_else(|| {
            LogError::Unknown("an append landed, and its offsets are not known".into())
        })
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
        assert!(deliveries.begin(1));
        (0..records).for_each(|_| deliveries.sending());
        deliveries
    }

    fn is_unknown(deliveries: &Deliveries) -> bool {
        matches!(deliveries.acknowledged(), Err(LogError::Unknown(_)))
    }

    #[test]
    fn records_are_acknowledged_when_the_last_of_them_is() {
        let deliveries = handed_over(2);
        assert!(is_unknown(&deliveries));
        deliveries.heard(1, Ok(40));
        assert!(is_unknown(&deliveries), "the other one is open");
        assert!(!deliveries.wait(Duration::ZERO));
        deliveries.heard(UNASKED, Ok(41));
        assert_eq!(deliveries.acknowledged(), Ok(vec![40]));
    }

    #[test]
    fn a_record_that_failed_is_not_acknowledged_though_the_first_is() {
        let deliveries = handed_over(2);
        deliveries.heard(1, Ok(40));
        deliveries.heard(UNASKED, Err(RDKafkaErrorCode::MessageTimedOut));
        assert!(is_unknown(&deliveries));
    }

    #[test]
    fn an_offset_that_no_broker_told_is_not_known() {
        let deliveries = handed_over(1);
        deliveries.heard(1, Ok(-1));
        assert!(is_unknown(&deliveries));
    }
}
