//! Traces of single records on their way: poll → append → read → put → stage → commit.
//!
//! Which records are followed depends on nothing but their place in the log: in each partition the
//! one at every N-th offset. A trace's id, and those of its spans, follow from that place too. So
//! whoever has a batch in hand knows at once, without a word from anyone, whether a record in it is
//! followed and what its spans are called: across tasks, across the log, and across processes.
//! A batch without such a record costs two integer operations.

use crate::labels::ConnectorLabels;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks, SpanProcessor};
use sha2::{Digest, Sha256};
use std::num::NonZeroU32;
use std::time::{Duration, Instant, SystemTime};

/// Records that one step tells of: a commit covers a million records, and the first few of those
/// followed tell as much as all of them.
pub const SPANS_PER_STEP_MAX: usize = 16;

/// A step of a record's way. Each span's parent is the one of the step before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The source was asked for records.
    Poll,
    /// The log made them durable.
    Append,
    /// A sink's task read them: from when it asked for more, or from when they had come in.
    Read,
    /// The sink took them.
    Put,
    /// The sink closed what it had taken into pieces.
    Stage,
    /// Everything between the stage and being visible in the target.
    Commit,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Append => "append",
            Self::Read => "read",
            Self::Put => "put",
            Self::Stage => "stage",
            Self::Commit => "commit",
        }
    }

    fn before(self) -> Option<Self> {
        match self {
            Self::Poll => None,
            Self::Append => Some(Self::Poll),
            Self::Read => Some(Self::Append),
            Self::Put => Some(Self::Read),
            Self::Stage => Some(Self::Put),
            Self::Commit => Some(Self::Stage),
        }
    }

    /// Whether each sink has such a span of its own.
    fn is_a_sinks(self) -> bool {
        match self {
            Self::Poll | Self::Append => false,
            Self::Read | Self::Put | Self::Stage | Self::Commit => true,
        }
    }

    fn kind(self) -> SpanKind {
        match self {
            Self::Poll | Self::Put | Self::Stage => SpanKind::Internal,
            Self::Append => SpanKind::Producer,
            Self::Read => SpanKind::Consumer,
            Self::Commit => SpanKind::Client,
        }
    }
}

/// Offsets of one partition, from `first` up to, not including, `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The topic's id, which no other topic anywhere has.
    pub topic_id: u128,
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub first: i64,
    /// Past the last offset.
    pub next: i64,
}

/// Which sink a span is of, and which of its lives: what a restart does again has spans of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) labels: &'a ConnectorLabels,
    pub(crate) life: u64,
}

/// Takes spans; dropping some where they can't be sent as fast.
pub(crate) struct Traces {
    processor: Box<dyn SpanProcessor>,
    every: i64,
    scope: InstrumentationScope,
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traces")
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

impl Traces {
    pub(crate) fn new(processor: impl SpanProcessor + 'static, every: NonZeroU32) -> Self {
        let scope = InstrumentationScope::builder("jackfield")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self {
            processor: Box::new(processor),
            every: i64::from(every.get()),
            scope,
        }
    }

    /// The first offset of the part that is followed.
    pub(crate) fn sampled(&self, part: &Part<'_>) -> Option<i64> {
        let over = part.first.max(0).checked_rem(self.every)?;
        let offset = match over {
            0 => part.first.max(0),
            over => part.first.checked_add(self.every - over)?,
        };
        (offset < part.next).then_some(offset)
    }

    /// Tells of a step of the followed records of a part.
    pub(crate) fn step(
        &self,
        step: Step,
        part: &Part<'_>,
        of: Of<'_>,
        (began, ended): (Instant, Instant),
    ) {
        let Some(first) = self.sampled(part) else {
            return;
        };
        let (wall, now) = (SystemTime::now(), Instant::now());
        let at = |instant: Instant| {
            let ago = now.saturating_duration_since(instant);
            wall.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
        };
        let mut offset = first;
        for _ in 0..SPANS_PER_STEP_MAX {
            self.processor
                .on_end(self.span(step, part, offset, of, (at(began), at(ended))));
            match offset.checked_add(self.every) {
                Some(next) if next < part.next => offset = next,
                Some(_) | None => break,
            }
        }
    }

    fn span(
        &self,
        step: Step,
        part: &Part<'_>,
        offset: i64,
        of: Of<'_>,
        (start_time, end_time): (SystemTime, SystemTime),
    ) -> SpanData {
        let record = Record::of(part, offset);
        let parent_span_id = step
            .before()
            .map_or(SpanId::INVALID, |before| record.span_id(before, of));
        SpanData {
            span_context: SpanContext::new(
                record.trace_id(),
                record.span_id(step, of),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id,
            parent_span_is_remote: false,
            span_kind: step.kind(),
            name: step.name().into(),
            start_time,
            end_time,
            attributes: vec![
                KeyValue::new("jackfield.pipeline", of.labels.pipeline.clone()),
                KeyValue::new("jackfield.connector", of.labels.connector.clone()),
                KeyValue::new("messaging.destination.name", part.topic.to_owned()),
                KeyValue::new(
                    "messaging.destination.partition.id",
                    part.partition.to_string(),
                ),
                KeyValue::new("messaging.kafka.offset", offset),
                KeyValue::new("jackfield.records", part.next.saturating_sub(part.first)),
            ],
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// Sends what is left; blocks no longer than that.
    pub(crate) fn close(&self, patience: Duration) -> bool {
        self.processor.shutdown_with_timeout(patience).is_ok()
    }
}

/// The digest of a record's place, which ids are taken from.
struct Record([u8; 32]);

impl Record {
    fn of(part: &Part<'_>, offset: i64) -> Self {
        let mut digest = Sha256::new();
        digest.update(part.topic_id.to_be_bytes());
        digest.update(part.partition.to_be_bytes());
        digest.update(offset.to_be_bytes());
        Self(digest.finalize().into())
    }

    fn trace_id(&self) -> TraceId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0[..16]);
        TraceId::from_bytes(id)
    }

    fn span_id(&self, step: Step, of: Of<'_>) -> SpanId {
        let mut digest = Sha256::new();
        digest.update(self.0);
        digest.update(step.name());
        if step.is_a_sinks() {
            digest.update(of.labels.connector.as_bytes());
            digest.update(of.life.to_be_bytes());
        }
        let mut id = [0; 8];
        id.copy_from_slice(&digest.finalize()[..8]);
        SpanId::from_bytes(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Kind;
    use opentelemetry::Context;
    use opentelemetry_sdk::error::OTelSdkResult;
    use std::sync::{Arc, Mutex};

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanProcessor for Kept {
        fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}
        fn on_end(&self, span: SpanData) {
            self.0.lock().unwrap().push(span);
        }
        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }
        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    fn traces(every: u32) -> (Traces, Kept) {
        let kept = Kept::default();
        (
            Traces::new(kept.clone(), NonZeroU32::new(every).unwrap()),
            kept,
        )
    }

    fn part(first: i64, next: i64) -> Part<'static> {
        Part {
            topic: "t",
            topic_id: 7,
            partition: 3,
            first,
            next,
        }
    }

    fn connector(name: &str, kind: Kind) -> ConnectorLabels {
        ConnectorLabels {
            pipeline: "p".into(),
            connector: name.into(),
            kind,
        }
    }

    #[test]
    fn the_record_at_every_nth_offset_is_followed() {
        let (traces, _) = traces(100);
        assert_eq!(traces.sampled(&part(0, 1)), Some(0));
        assert_eq!(traces.sampled(&part(1, 100)), None);
        assert_eq!(traces.sampled(&part(1, 101)), Some(100));
        assert_eq!(traces.sampled(&part(100, 101)), Some(100));
        assert_eq!(traces.sampled(&part(100, 100)), None, "an empty part");
        assert_eq!(traces.sampled(&part(-5, 5)), Some(0));
        assert_eq!(traces.sampled(&part(i64::MAX - 1, i64::MAX)), None);
    }

    #[test]
    fn steps_of_one_record_are_one_trace_whatever_batches_it_came_in() {
        let (traces, kept) = traces(100);
        let (source, sink) = (
            connector("p-source", Kind::Source),
            connector("p-s", Kind::Sink),
        );
        let now = Instant::now();
        let told = |step, part: Part<'_>, labels: &ConnectorLabels, life| {
            traces.step(step, &part, Of { labels, life }, (now, now));
        };
        told(Step::Poll, part(150, 250), &source, 1);
        told(Step::Append, part(150, 250), &source, 1);
        told(Step::Read, part(190, 210), &sink, 2);
        told(Step::Put, part(190, 210), &sink, 2);
        told(Step::Stage, part(101, 300), &sink, 2);
        told(Step::Commit, part(101, 300), &sink, 2);
        let spans = kept.0.lock().unwrap();
        assert_eq!(spans.len(), 6);
        let mut parent = SpanId::INVALID;
        for span in spans.iter() {
            assert_eq!(
                span.span_context.trace_id(),
                spans[0].span_context.trace_id()
            );
            assert_eq!(span.parent_span_id, parent);
            parent = span.span_context.span_id();
        }
    }

    #[test]
    fn another_record_another_sink_and_another_life_have_ids_of_their_own() {
        let record = |offset| Record::of(&part(0, 1), offset);
        assert_ne!(record(0).trace_id(), record(100).trace_id());
        let (one, other) = (connector("a", Kind::Sink), connector("b", Kind::Sink));
        let id = |labels, life| record(0).span_id(Step::Put, Of { labels, life });
        assert_eq!(id(&one, 1), id(&one, 1));
        assert_ne!(id(&one, 1), id(&other, 1));
        assert_ne!(id(&one, 1), id(&one, 2));
    }

    #[test]
    fn a_large_commit_tells_of_a_few_records() {
        let (traces, kept) = traces(1);
        let labels = connector("a", Kind::Sink);
        let of = Of {
            labels: &labels,
            life: 1,
        };
        let now = Instant::now();
        traces.step(Step::Commit, &part(0, 1_000_000), of, (now, now));
        assert_eq!(kept.0.lock().unwrap().len(), SPANS_PER_STEP_MAX);
    }
}
