//! The metrics of one connector.

use crate::catalogue::Catalogue;
use crate::labels::{
    CONSEQUENCES, Call, CallLabels, ConnectorLabels, ErrorLabels, State, StateLabels, SwapLabels,
    SwapOutcome, TopicLabels, consequence_index,
};
use crate::metric::{CounterHandle, GaugeHandle, HistogramHandle, LevelHandle, SecondsHandle};
use crate::telemetry::since_epoch;
use crate::traces::{Of, Part, Step, Traces};
use jackfield_core::Consequence;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Records what a connector does. Cheap to clone; all clones record the same series.
///
/// A series appears with its first record; those that alerts look at are there from the start, so
/// that their first rise is seen. Gauges hold one figure a connector: one with several slots or
/// tasks gives the sum.
#[derive(Clone)]
pub struct ConnectorMetrics(Arc<Inner>);

struct Inner {
    catalogue: Arc<Catalogue>,
    labels: ConnectorLabels,
    bound: Bound,
    traces: Option<Arc<Traces>>,
    /// Tells spans of one life of the connector from those of another, also in another process.
    life: AtomicU64,
}

#[derive(Default)]
struct Bound {
    records: OnceLock<CounterHandle>,
    record_bytes: OnceLock<CounterHandle>,
    batches: OnceLock<CounterHandle>,
    calls: [OnceLock<HistogramHandle>; Call::ALL.len()],
    errors: [OnceLock<CounterHandle>; CONSEQUENCES.len()],
    retries: OnceLock<CounterHandle>,
    restarts: OnceLock<CounterHandle>,
    rejected_records: OnceLock<CounterHandle>,
    dead_letters: OnceLock<CounterHandle>,
    states: [OnceLock<GaugeHandle>; State::ALL.len()],
    lag_records: OnceLock<GaugeHandle>,
    event_time_lag: OnceLock<GaugeHandle>,
    duplicate_records: OnceLock<CounterHandle>,
    missing_records: OnceLock<CounterHandle>,
    recovered_records: OnceLock<CounterHandle>,
    inbox_events: OnceLock<GaugeHandle>,
    inbox_bytes: OnceLock<GaugeHandle>,
    behind_records: OnceLock<GaugeHandle>,
    append_duration: OnceLock<HistogramHandle>,
    settle_duration: OnceLock<HistogramHandle>,
    appends_in_flight: OnceLock<GaugeHandle>,
    commit_duration: OnceLock<HistogramHandle>,
    committed_rows: OnceLock<CounterHandle>,
    committed_files: OnceLock<CounterHandle>,
    committed_bytes: OnceLock<CounterHandle>,
    last_commit: OnceLock<GaugeHandle>,
    failed_targets: OnceLock<GaugeHandle>,
    uncommitted_rows: OnceLock<GaugeHandle>,
    swaps: [OnceLock<CounterHandle>; SwapOutcome::ALL.len()],
    swap_pause: OnceLock<HistogramHandle>,
    component_memory: OnceLock<LevelHandle>,
    component_cpu: OnceLock<SecondsHandle>,
    component_deaths: OnceLock<CounterHandle>,
    host_calls: OnceLock<CounterHandle>,
    denials: OnceLock<CounterHandle>,
    dropped_log_lines: OnceLock<CounterHandle>,
    held_back: OnceLock<SecondsHandle>,
    websocket_connections: OnceLock<CounterHandle>,
    websocket_reconnects: OnceLock<CounterHandle>,
    websocket_frames: OnceLock<CounterHandle>,
    websocket_bytes: OnceLock<CounterHandle>,
    http_requests: OnceLock<CounterHandle>,
    http_failures: OnceLock<CounterHandle>,
}

/// The handle of a metric that has the connector's labels and no more; bound when first asked for.
macro_rules! of {
    ($self:ident.$metric:ident) => {{
        let inner = &*$self.0;
        inner
            .bound
            .$metric
            .get_or_init(|| inner.catalogue.$metric.of(&inner.labels))
    }};
}

/// What a connector's component used, added up since some beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Linear memory of the instances that live now.
    pub memory_bytes: u64,
    /// CPU time inside calls.
    pub cpu: Duration,
    /// Instances that died in a call.
    pub deaths: u64,
    /// Calls of host functions.
    pub host_calls: u64,
    /// Those that reached for what is not granted.
    pub denials: u64,
    /// Log lines over the rate limit.
    pub log_lines_dropped: u64,
    /// Time that it was held back for, since it called the host too often.
    pub held_back: Duration,
    /// WebSocket connections opened.
    pub connects: u64,
    /// Those of a name that had been open before.
    pub reconnects: u64,
    /// Frames received.
    pub frames: u64,
    /// Their bytes.
    pub frame_bytes: u64,
    /// HTTP requests sent.
    pub requests: u64,
    /// Those that brought no response.
    pub requests_failed: u64,
}

impl ConnectorMetrics {
    pub(crate) fn new(
        catalogue: Arc<Catalogue>,
        labels: ConnectorLabels,
        traces: Option<Arc<Traces>>,
    ) -> Self {
        let born = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let metrics = Self(Arc::new(Inner {
            catalogue,
            labels,
            bound: Bound::default(),
            traces,
            life: AtomicU64::new(u64::try_from(born.as_nanos()).unwrap_or_default()),
        }));
        for counter in [
            of!(metrics.records),
            of!(metrics.record_bytes),
            of!(metrics.batches),
            of!(metrics.retries),
            of!(metrics.restarts),
            of!(metrics.rejected_records),
            of!(metrics.dead_letters),
            of!(metrics.missing_records),
            of!(metrics.committed_rows),
            of!(metrics.component_deaths),
            of!(metrics.denials),
        ] {
            counter.add(0);
        }
        CONSEQUENCES
            .into_iter()
            .for_each(|consequence| metrics.errors(consequence).add(0));
        SwapOutcome::ALL
            .iter()
            .for_each(|outcome| metrics.swaps(*outcome).add(0));
        metrics
    }

    /// Records appended by a source, or taken by a sink.
    pub fn records(&self, n: u64) {
        of!(self.records).add(n);
    }

    /// Bytes of batches.
    pub fn bytes(&self, n: u64) {
        of!(self.record_bytes).add(n);
    }

    /// Batches.
    pub fn batches(&self, n: u64) {
        of!(self.batches).add(n);
    }

    /// A call into the component took so long.
    pub fn call(&self, call: Call, took: Duration) {
        let inner = &*self.0;
        let labels = || CallLabels {
            connector: inner.labels.clone(),
            call,
        };
        inner.bound.calls[call as usize]
            .get_or_init(|| inner.catalogue.call_duration.of(&labels()))
            .record(took);
    }

    /// A failure, by what it led to.
    pub fn error(&self, consequence: Consequence) {
        self.errors(consequence).add(1);
    }

    fn errors(&self, consequence: Consequence) -> &CounterHandle {
        let inner = &*self.0;
        let labels = || ErrorLabels {
            connector: inner.labels.clone(),
            consequence,
        };
        inner.bound.errors[consequence_index(consequence)]
            .get_or_init(|| inner.catalogue.errors.of(&labels()))
    }

    /// Calls or appends made again with the same arguments.
    pub fn retries(&self, n: u64) {
        of!(self.retries).add(n);
    }

    /// New instances after a failure.
    pub fn restarts(&self, n: u64) {
        of!(self.restarts).add(n);
    }

    /// Records or events that the component refused as bad.
    pub fn rejected(&self, n: u64) {
        of!(self.rejected_records).add(n);
    }

    /// Records written to a dead-letter topic.
    pub fn dead_letters(&self, n: u64) {
        of!(self.dead_letters).add(n);
    }

    /// It is in this state from now on.
    pub fn state(&self, now: State) {
        let inner = &*self.0;
        // The new one first: a scrape in between sees two states rather than none.
        let others = State::ALL.iter().copied().filter(|state| *state != now);
        for state in std::iter::once(now).chain(others) {
            let labels = || StateLabels {
                connector: inner.labels.clone(),
                state,
            };
            let handle = inner.bound.states[state as usize]
                .get_or_init(|| inner.catalogue.state.of(&labels()));
            handle.set(if state == now { 1.0 } else { 0.0 });
        }
    }

    /// Records in the log that were not taken yet.
    pub fn lag_records(&self, n: i64) {
        of!(self.lag_records).set(n as f64);
    }

    /// How old the newest record was when it was taken; negative when the origin's clock is ahead.
    pub fn event_time_lag_ms(&self, ms: i64) {
        of!(self.event_time_lag).set(ms as f64 / 1000.0);
    }

    /// Counts records of a topic that the connector writes or reads.
    pub fn topic_records(&self, topic: &str) -> CounterHandle {
        self.0.catalogue.topic_records.of(&self.topic(topic))
    }

    /// Shows the records of a topic that the sink has not taken yet.
    pub fn topic_lag(&self, topic: &str) -> GaugeHandle {
        self.0.catalogue.topic_lag_records.of(&self.topic(topic))
    }

    fn topic(&self, topic: &str) -> TopicLabels {
        TopicLabels {
            connector: self.0.labels.clone(),
            topic: topic.to_owned(),
        }
    }

    /// What a component reported.
    pub fn counts(
        &self,
        duplicates: u64,
        missing: u64,
        recovered: u64,
        event_time_max_ms: Option<i64>,
    ) {
        of!(self.duplicate_records).add(duplicates);
        of!(self.missing_records).add(missing);
        of!(self.recovered_records).add(recovered);
        if let Some(newest_ms) = event_time_max_ms {
            // Any i64 may come from a component; an f64 holds the difference of any two of them.
            of!(self.event_time_lag).set(since_epoch() - newest_ms as f64 / 1000.0);
        }
    }

    /// Events of the inbox that are not settled, and their bytes.
    pub fn inbox(&self, events: u64, bytes: u64) {
        of!(self.inbox_events).set(events as f64);
        of!(self.inbox_bytes).set(bytes as f64);
    }

    /// Records known to be at the origin and not fetched yet.
    pub fn behind(&self, records: u64) {
        of!(self.behind_records).set(records as f64);
    }

    /// The log took so long to make an append durable.
    pub fn append_seconds(&self, took: Duration) {
        of!(self.append_duration).record(took);
    }

    /// The oldest event of an append had waited so long when it was durable.
    pub fn settle_seconds(&self, waited: Duration) {
        of!(self.settle_duration).record(waited);
    }

    /// Appends that the log has not acknowledged yet.
    pub fn appends_in_flight(&self, n: u64) {
        of!(self.appends_in_flight).set(n as f64);
    }

    /// A commit succeeded just now.
    pub fn commit(&self, took: Duration, rows: u64, files: u64, bytes: u64) {
        of!(self.commit_duration).record(took);
        of!(self.committed_rows).add(rows);
        of!(self.committed_files).add(files);
        of!(self.committed_bytes).add(bytes);
        of!(self.last_commit).set(since_epoch());
    }

    /// So many targets get no more commits.
    pub fn failed_targets(&self, n: usize) {
        of!(self.failed_targets).set(n as f64);
    }

    /// Rows that were taken and that no commit has made visible.
    pub fn uncommitted_rows(&self, n: u64) {
        of!(self.uncommitted_rows).set(n as f64);
    }

    /// A change of the connector's version ended.
    pub fn swap(&self, outcome: SwapOutcome) {
        self.swaps(outcome).add(1);
    }

    fn swaps(&self, outcome: SwapOutcome) -> &CounterHandle {
        let inner = &*self.0;
        let labels = || SwapLabels {
            connector: inner.labels.clone(),
            outcome,
        };
        inner.bound.swaps[outcome as usize].get_or_init(|| inner.catalogue.swaps.of(&labels()))
    }

    /// Nothing was taken for so long while the version was changed.
    pub fn swap_pause(&self, pause: Duration) {
        of!(self.swap_pause).record(pause);
    }

    /// Whether records may be traced at all.
    pub fn traces(&self) -> bool {
        self.0.traces.is_some()
    }

    /// Whether a record of this part is traced.
    pub fn is_traced(&self, part: &Part<'_>) -> bool {
        let traces = self.0.traces.as_ref();
        traces.is_some_and(|traces| traces.sampled(part).is_some())
    }

    /// A step of these records' way began and ended then. Does nothing unless one of them is
    /// traced; never waits: a span that finds no room is dropped.
    pub fn trace(&self, step: Step, part: &Part<'_>, began: Instant, ended: Instant) {
        let inner = &*self.0;
        let Some(traces) = &inner.traces else {
            return;
        };
        let of = Of {
            labels: &inner.labels,
            life: inner.life.load(Ordering::Relaxed),
        };
        traces.step(step, part, of, (began, ended));
    }

    /// The connector begins anew: what it does again has spans of its own.
    pub fn new_life(&self) {
        self.0.life.fetch_add(1, Ordering::Relaxed);
    }

    /// What the component used between two looks at the same totals. Several slots or tasks each
    /// give their own; when one ends, `now` is its last totals with `memory_bytes` 0.
    pub fn used(&self, before: &Used, now: &Used) {
        let memory = |used: &Used| i64::try_from(used.memory_bytes).unwrap_or(i64::MAX);
        of!(self.component_memory).add(memory(now).saturating_sub(memory(before)));
        of!(self.component_cpu).add(now.cpu.saturating_sub(before.cpu));
        of!(self.component_deaths).add(now.deaths.saturating_sub(before.deaths));
        of!(self.host_calls).add(now.host_calls.saturating_sub(before.host_calls));
        of!(self.denials).add(now.denials.saturating_sub(before.denials));
        of!(self.dropped_log_lines).add(
            now.log_lines_dropped
                .saturating_sub(before.log_lines_dropped),
        );
        of!(self.held_back).add(now.held_back.saturating_sub(before.held_back));
        of!(self.websocket_connections).add(now.connects.saturating_sub(before.connects));
        of!(self.websocket_reconnects).add(now.reconnects.saturating_sub(before.reconnects));
        of!(self.websocket_frames).add(now.frames.saturating_sub(before.frames));
        of!(self.websocket_bytes).add(now.frame_bytes.saturating_sub(before.frame_bytes));
        of!(self.http_requests).add(now.requests.saturating_sub(before.requests));
        of!(self.http_failures).add(now.requests_failed.saturating_sub(before.requests_failed));
    }
}

impl fmt::Debug for ConnectorMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectorMetrics")
            .field(&self.0.labels.connector)
            .finish()
    }
}
