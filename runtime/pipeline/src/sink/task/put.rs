//! What a task is given: put, and without what the component rejects of it.
//!
//! A component that answers `retry` has taken nothing, and is given the same batch again: after a
//! wait that grows, for as long as the connector is patient. One that asks for no wait while it has
//! something put is full: a stage is asked for, and the batch is put again once that is made. It
//! does not count as a failure, however long a catalog keeps the stage waiting.

use super::unstaged::asks_for_no_wait;
use super::{Again, Offer, Task};
use crate::dead_letters::Reporter;
use crate::failures::Failed;
use crate::retries::Retries;
use crate::shadow::SinkItem;
use crate::sink::{bad_records, traced};
use bytes::Bytes;
use jackfield_batch::{Batch, Limits};
use jackfield_core::{Next, Span as CoreSpan, after};
use jackfield_log::{Fetched, Identity, Output, TopicPartition};
use jackfield_plugin::{CallError, Failure, Rejection, Taken};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a batch waits that was not taken. `None`: for the next stage, where there is nothing else
/// to wait for.
///
/// # Errors
/// As for [`Retries::wait`].
fn wait(retries: &mut Retries, failed: &Failed, has_put: bool) -> Result<Option<Duration>, Failed> {
    if has_put && asks_for_no_wait(failed) {
        // A component that is full answers: what failed before that is over.
        retries.progressed();
        return Ok(None);
    }
    retries.wait(failed).map(Some)
}

impl Task {
    pub(super) async fn put(&mut self, fetched: Fetched, mut offer: Offer) -> Result<(), Failed> {
        let Some(span) = self
            .frontier
            .span(&fetched.at, fetched.position, fetched.next_offset)?
        else {
            // Fetched before the partition was given up.
            return Ok(());
        };
        let count = u64::from(
            Batch::parse(&fetched.batch, &Limits::default())
                .map_err(|e| {
                    Failed::for_good(
                        "read",
                        format!(
                            "a batch of {}-{} is malformed: {e}",
                            fetched.at.topic, fetched.at.partition
                        ),
                    )
                })?
                .len(),
        );
        let bytes = fetched.batch.len() as u64;
        let began = Instant::now();
        let outcome = loop {
            let Some(rest) = offer.rest() else {
                break Ok(None);
            };
            match self.call_put(&span, rest).await {
                // Nothing of the batch was taken: the rest is put under the same span.
                Err(CallError::Failure(Failure::Rejected(rejections))) => {
                    self.sort_out(&fetched.at, &mut offer, rejections).await?;
                }
                other => break other.map(Some),
            }
        };
        match outcome {
            Ok(taken) => {
                self.given.listeners.tell(|| SinkItem::Put {
                    task: self.given.number,
                    span: self.given.books.span(&span),
                    batch: fetched.batch.clone(),
                    rejected: offer.into_rejected(),
                });
                match &taken {
                    Some(taken) => {
                        self.frontier.put(&span);
                        self.unstaged.put = true;
                        self.awaits_stage |= taken.stage_now;
                        traced::put(&self.given.status, &fetched, began);
                        self.given.status.metrics().counts(
                            taken.counts.duplicates,
                            taken.counts.missing,
                            taken.counts.recovered,
                            taken.counts.event_time_max_ms,
                        );
                    }
                    None => self.frontier.passed_over(&span),
                }
                self.account(&fetched, count, bytes, taken.is_some_and(|t| t.stage_now));
                self.put_retries.progressed();
                Ok(())
            }
            Err(error) => {
                let failed = Failed::call("put", error);
                if after::sink_task(failed.consequence) != Next::CallAgain {
                    return Err(failed);
                }
                let at = match wait(&mut self.put_retries, &failed, self.unstaged.put)? {
                    None => {
                        tracing::debug!(connector = %self.given.spec.connector, %failed, "put again once what was put is staged");
                        self.unstaged.ask(&self.given.pending);
                        None
                    }
                    Some(wait) => {
                        self.count_retry(&failed);
                        tracing::warn!(connector = %self.given.spec.connector, %failed, wait_ms = wait.as_millis() as u64, "put is tried again");
                        Some(Instant::now() + wait)
                    }
                };
                self.again = Some((fetched, Again { at, offer }));
                Ok(())
            }
        }
    }

    /// What was read is put as a whole.
    pub(super) async fn put_whole(&mut self, fetched: Fetched) -> Result<(), Failed> {
        if fetched.is_empty() {
            return self.pass(&fetched);
        }
        let offer = Offer::whole(&fetched.batch);
        self.put(fetched, offer).await
    }

    async fn call_put(
        &mut self,
        span: &CoreSpan<TopicPartition>,
        batch: Bytes,
    ) -> Result<Taken, CallError> {
        let at = self.given.books.span(span);
        self.instance.put(at, batch).await
    }

    /// Dead letters come first, and a record is counted once its own is acknowledged.
    async fn sort_out(
        &mut self,
        at: &TopicPartition,
        offer: &mut Offer,
        rejections: Vec<Rejection>,
    ) -> Result<(), Failed> {
        let spec = Arc::clone(&self.given.spec);
        let plugged = &spec.plugged;
        let description = plugged.plugin.describe(&plugged.limits).await;
        let description = description.map_err(|e| Failed::call("describe", e))?;
        let by = Reporter {
            connector: &spec.connector,
            task: self.given.number,
            component: (&description.name, &description.version),
        };
        let sorted = offer.sort(&spec.on_bad_record, by, at, &rejections)?;
        self.keep_dead_letters(sorted.letters).await?;
        self.given.status.rejected(sorted.rejected);
        offer.go_on_with(sorted.rest, rejections);
        Ok(())
    }

    async fn keep_dead_letters(&mut self, letters: Vec<Output>) -> Result<(), Failed> {
        if letters.is_empty() {
            return Ok(());
        }
        let spec = &self.given.spec;
        if self.dead_letters.is_none() {
            let identity = Identity {
                cluster: self.given.host.cluster.clone(),
                connector: spec.connector.clone(),
                slot: format!("dead-letters-{}", self.given.number),
            };
            let writer = self.given.host.log.writer(&identity).await;
            self.dead_letters = Some(writer.map_err(|e| Failed::log("open dead letters", e))?);
        }
        let count: u64 = letters
            .iter()
            .filter_map(|l| Batch::parse(&l.batch, &Limits::default()).ok())
            .map(|batch| u64::from(batch.len()))
            .sum();
        if let Some(writer) = &mut self.dead_letters {
            let appended = writer.append(bad_records::append(letters)).await;
            appended
                .map_err(|e| Failed::log("dead letter", e))?
                .await
                .map_err(|e| Failed::log("dead letter", e))?;
        }
        self.given.status.metrics().dead_letters(count);
        Ok(())
    }

    fn account(&mut self, fetched: &Fetched, count: u64, bytes: u64, stage_now: bool) {
        let now = self.given.host.clock.now();
        self.given.books.read(&fetched.at, fetched.next_offset);
        let pending = &self.given.pending;
        self.unstaged.add(pending, (count, bytes), stage_now, now);
        let status = &self.given.status;
        status.took(count, now);
        status.took_of(&fetched.at.topic, count);
        let metrics = status.metrics();
        metrics.records(count);
        metrics.bytes(bytes);
        metrics.batches(1);
        let counted = self.counted.entry(Arc::clone(&fetched.at.topic));
        let counted = counted.or_insert_with_key(|topic| metrics.topic_records(topic));
        counted.add(count);
        status.set_open(self.given.pending.rows());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use jackfield_core::{Consequence, Patience};

    const PATIENCE: Patience = Patience {
        deadline: Duration::from_secs(300),
    };

    #[tokio::test(start_paused = true)]
    async fn a_component_that_was_only_full_is_not_given_up_for_what_failed_before() {
        let mut retries = Retries::new(PATIENCE, Clock::start());
        let failed = Failed::new("put", Consequence::Retry, "the store is away");
        assert!(wait(&mut retries, &failed, false).unwrap().is_some());
        assert_eq!(wait(&mut retries, &failed, true).unwrap(), None);
        tokio::time::advance(PATIENCE.deadline * 2).await;
        assert!(wait(&mut retries, &failed, false).unwrap().is_some());
        tokio::time::advance(PATIENCE.deadline * 2).await;
        assert!(wait(&mut retries, &failed, false).is_err(), "without any");
    }
}
