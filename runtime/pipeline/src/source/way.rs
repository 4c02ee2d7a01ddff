//! Appends on their way to the log, and what traces tell of them once their offsets are known.

use jackfield_log::{Appended, LogError, Pending};
use jackfield_telemetry::{ConnectorMetrics, Part, Step};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;
use uuid::Uuid;

/// Where one batch of an append goes.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) records: u32,
}

/// When a poll began and ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PollTimes {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

/// An append that the log has not acknowledged.
#[derive(Debug)]
struct Sent {
    poll: PollTimes,
    asked: Instant,
    pending: Pending,
    /// How many of [`Way::batches`] are its.
    batches: usize,
}

/// Appends in their order. Batches are kept only where records may be traced, in one queue for all
/// appends, whose room is used again.
#[derive(Debug, Default)]
pub(crate) struct Way {
    sent: VecDeque<Sent>,
    batches: VecDeque<Batch>,
    /// Of [`Way::batches`], those of appends that are made.
    made_batches: usize,
}

impl Way {
    /// Appends that are not acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Batches of the append that is made next are put here, in the order of its outputs.
    pub(crate) fn next_batches(&mut self) -> &mut VecDeque<Batch> {
        &mut self.batches
    }

    /// The append is made: how many batches were put for it.
    pub(crate) fn made(&mut self) -> usize {
        let batches = self.batches.len() - self.made_batches;
        self.made_batches = self.batches.len();
        batches
    }

    /// The append was sent.
    pub(crate) fn sent(&mut self, poll: PollTimes, pending: Pending, batches: usize) {
        self.sent.push_back(Sent {
            poll,
            asked: Instant::now(),
            pending,
            batches,
        });
    }

    /// When the oldest append was sent, and its outcome; stays pending while there is none.
    pub(crate) async fn oldest(
        &mut self,
        metrics: &ConnectorMetrics,
    ) -> Option<(Instant, Result<(), LogError>)> {
        let sent = self.sent.front_mut()?;
        let outcome = (&mut sent.pending).await;
        let sent = self.sent.pop_front()?;
        let outcome = outcome.map(|appended| self.tell(&sent, &appended, metrics));
        self.made_batches -= sent.batches;
        self.batches.drain(..sent.batches);
        Some((sent.asked, outcome))
    }

    fn tell(&self, sent: &Sent, appended: &Appended, metrics: &ConnectorMetrics) {
        let now = Instant::now();
        let batches = self.batches.iter().take(sent.batches);
        for (batch, &first) in batches.zip(&appended.first_offsets) {
            let part = Part {
                topic: &batch.topic,
                topic_id: batch.topic_id.as_u128(),
                partition: batch.partition,
                first,
                next: first + i64::from(batch.records),
            };
            let (began, ended) = (sent.poll.began.into_std(), sent.poll.ended.into_std());
            metrics.trace(Step::Poll, &part, began, ended);
            metrics.trace(Step::Append, &part, sent.asked.into_std(), now.into_std());
        }
    }
}
