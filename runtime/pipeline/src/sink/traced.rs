//! What traces tell of a sink's steps.

use crate::status::Status;
use jackfield_batch::{Batch, Limits};
use jackfield_log::Fetched;
use jackfield_plugin::Span;
use jackfield_telemetry::{Part, Step};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use uuid::Uuid;

fn part(fetched: &Fetched) -> Part<'_> {
    Part {
        topic: &fetched.at.topic,
        topic_id: fetched.topic_id.as_u128(),
        partition: fetched.at.partition,
        first: fetched.position,
        next: fetched.next_offset,
    }
}

/// A batch is in hand; more was asked for then.
pub(crate) fn read(status: &Status, fetched: &Fetched, asked: Instant) {
    let part = part(fetched);
    if !status.metrics().is_traced(&part) {
        return;
    }
    let now = Instant::now();
    // A wait for records that had not come in yet is none of their time.
    let came_in = age(fetched).and_then(|age| now.checked_sub(age));
    let began = asked.max(came_in.unwrap_or(asked));
    let (began, now) = (began.into_std(), now.into_std());
    status.metrics().trace(Step::Read, &part, began, now);
}

/// How long ago the last record of the batch had come in, by this machine's clock.
fn age(fetched: &Fetched) -> Option<Duration> {
    let batch = Batch::parse(&fetched.batch, &Limits::default()).ok()?;
    let last = batch.len().checked_sub(1)?;
    let came_in = u64::try_from(batch.record(last).timestamp_ms).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.saturating_sub(Duration::from_millis(came_in)))
}

/// A batch was put.
pub(crate) fn put(status: &Status, fetched: &Fetched, began: Instant) {
    let (began, now) = (began.into_std(), Instant::now().into_std());
    status
        .metrics()
        .trace(Step::Put, &part(fetched), began, now);
}

/// What these spans cover was staged, or committed.
pub(crate) fn spans(status: &Status, step: Step, spans: &[Span], began: Instant) {
    let metrics = status.metrics();
    if !metrics.traces() {
        return;
    }
    let (began, now) = (began.into_std(), Instant::now().into_std());
    for span in spans {
        // What the targets say of a topic that is no more may be anything.
        let Ok(topic_id) = Uuid::parse_str(&span.topic_id) else {
            continue;
        };
        let part = Part {
            topic: &span.topic,
            topic_id: topic_id.as_u128(),
            partition: span.partition,
            first: span.first_offset,
            next: span.next_offset,
        };
        metrics.trace(step, &part, began, now);
    }
}
