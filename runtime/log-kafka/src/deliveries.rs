//! What became of the records that were handed to librdkafka: counted, not awaited one by one.

use crate::context::Telling;
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

    /// Forgets what was told, before the records of so many outputs are handed over.
    pub(crate) fn begin(&self, outputs: usize) {
        // Of a transaction that was aborted the last records may still be told of.
        self.wait(TOLD_MAX);
        let mut told = self.told();
        told.failure = None;
        told.firsts.clear();
        told.firsts.resize(outputs, None);
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

    /// The offset of each output's first record; `None` when one is missing.
    pub(crate) fn firsts(&self) -> Option<Vec<i64>> {
        self.told().firsts.iter().copied().collect()
    }
}

impl ProducerContext for Telling<Deliveries> {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, asked: usize) {
        match result {
            Ok(_) if asked == UNASKED => {}
            Ok(message) => {
                // A broker that has it from an earlier try may not say where.
                let offset = Some(message.offset()).filter(|offset| *offset >= 0);
                if let Some(first) = self.told().firsts.get_mut(asked - 1) {
                    *first = offset;
                }
            }
            Err((e, _)) => {
                let code = e.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
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
