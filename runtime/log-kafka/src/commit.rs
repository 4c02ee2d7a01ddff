//! How a transaction is begun, and how it ends.

use crate::consequence::{self, Consequence};
use crate::deliveries::{Deliveries, Unacknowledged};
use crate::native::{self, Failure, Raw};
use crate::transactions::{COMMIT_MORE, Failed, Transactions};
use jackfield_log::LogError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use std::time::{Duration, Instant};

/// How long one step of a commit may take before it is looked whether the transaction has failed.
const STEP: Duration = Duration::from_millis(500);
/// How long an abort may take. The brokers abort what nobody ends, so giving up costs no promise.
const ABORT_MAX: Duration = Duration::from_secs(10);

impl Transactions {
    /// Begins a transaction.
    pub(crate) fn begin(&self) -> Result<(), Failed> {
        self.transactional.begin_transaction().map_err(|e| {
            let fatal = self.transactional.client().fatal_error();
            Failed(match fatal {
                Some((code, text)) => consequence::error(code, text),
                None => consequence::kafka("a transaction can't be begun", &e),
            })
        })
    }

    /// Commits what was sent, or aborts it.
    pub(crate) fn commit(&self, sent: Result<(), KafkaError>) -> Result<(), Failed> {
        let deliveries = self.transactional.client().context();
        let outcome = match &sent {
            Ok(()) => self.commit_in_steps(),
            // The transaction had failed before, and tells why when it is to be committed.
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::State)) => {
                self.commit_in_steps().and_then(|()| {
                    let text = "a commit was taken after a record was not";
                    Err(Outcome::Unknown(text.to_owned()))
                })
            }
            Err(e) => Err(Outcome::NotSent(consequence::kafka("an append failed", e))),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(Outcome::Unknown(text)) => Err(Failed(LogError::Unknown(text))),
            Err(Outcome::Ended(error)) => Err(Failed(error)),
            Err(Outcome::NotSent(error)) => {
                // The record that failed says more than the transaction that failed with it.
                let cause = deliveries.failure();
                let fatal = self.transactional.client().fatal_error();
                if fatal.is_none() {
                    self.abort();
                }
                Err(Failed(match (fatal, cause) {
                    (Some((code, text)), _) => consequence::error(code, text),
                    (None, Some(code)) if purged(code) => error,
                    (None, Some(code)) => {
                        let text = Unacknowledged::NotDelivered(code).to_string();
                        consequence::error(code, text)
                    }
                    (None, None) => error,
                }))
            }
        }
    }

    fn commit_in_steps(&self) -> Result<(), Outcome> {
        let client = self.transactional.client();
        let deliveries = client.context();
        let deadline = Instant::now() + self.shared.config.delivery_timeout + COMMIT_MORE;
        // librdkafka waits for them too, but looks every 10 ms only.
        deliveries.wait(STEP);
        loop {
            match native::commit_transaction(Raw::of(client), STEP) {
                Ok(()) => return Ok(()),
                Err(failure) if failure.requires_abort => {
                    return Err(Outcome::NotSent(consequence::failed("aborted", &failure)));
                }
                Err(failure) if failure.retriable && Instant::now() < deadline => {}
                Err(failure) => return Err(given_up(deliveries, &failure)),
            }
        }
    }

    fn abort(&self) {
        let deadline = Instant::now() + ABORT_MAX;
        while let Err(error) = self.transactional.abort_transaction(STEP) {
            let again = matches!(&error, KafkaError::Transaction(e) if e.is_retriable());
            if !again || Instant::now() >= deadline {
                tracing::warn!(%error, "a transaction is left for the brokers to abort");
                return;
            }
        }
    }
}

/// How a commit failed.
enum Outcome {
    /// It was not sent, and the transaction can be aborted.
    NotSent(LogError),
    /// It was not sent, and the producer can't be used any more.
    Ended(LogError),
    /// It may have been sent.
    Unknown(String),
}

/// A commit that can't be gone on with. It is sent only once all records are acknowledged.
fn given_up(deliveries: &Deliveries, failure: &Failure) -> Outcome {
    let sent = deliveries.all_known() && deliveries.failure().is_none();
    let text = format!("a commit failed: {}", failure.text);
    if sent {
        return Outcome::Unknown(text);
    }
    match (failure.fatal, consequence::of(failure.code)) {
        (_, Consequence::Fenced) => Outcome::Ended(LogError::Fenced(text)),
        (true, _) => Outcome::Ended(consequence::error(failure.code, text)),
        (false, _) => Outcome::NotSent(consequence::error(failure.code, text)),
    }
}

fn purged(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight
    )
}
