//! What a connector is doing, for the terminal, the admin API, tests and idleness.

use crate::failures::Failed;
use crate::recent::{Failure, Recent};
use crate::shares::Shares;
use crate::swap::Work;
use jackfield_telemetry::{ConnectorMetrics, Used};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a connector's supervisor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// All that was taken is durable.
    Drained,
    /// It gave up; the reason is for people.
    Failed {
        /// What went wrong, with the plugin's trace where there is one.
        trace: String,
    },
    /// The grace time ended first.
    Killed,
}

/// A connector's state, in Kafka Connect's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not started yet, or another worker's: see [`Report::elsewhere`].
    Unassigned,
    /// At work.
    Running,
    /// It failed and tries again after a wait, or somebody asked for a restart.
    Restarting {
        /// The last failure.
        trace: String,
    },
    /// It gave up: a person must act.
    Failed {
        /// The last failure.
        trace: String,
    },
    /// It rests and is ready to go on.
    Paused,
    /// It was asked to end, and has.
    Stopped,
}

impl State {
    /// What went wrong, in the states that something going wrong leads to.
    pub fn trace(&self) -> Option<&str> {
        match self {
            Self::Restarting { trace } | Self::Failed { trace } => Some(trace),
            Self::Unassigned | Self::Running | Self::Paused | Self::Stopped => None,
        }
    }
}

/// A snapshot of a [`Status`].
#[derive(Debug, Clone)]
pub struct Report {
    /// The pipeline.
    pub pipeline: String,
    /// The connector.
    pub connector: String,
    /// Whether it is a source.
    pub source: bool,
    /// Its state, which is that of each of its tasks too: they begin and end together.
    pub state: State,
    /// It is unassigned because another worker of the cluster has it.
    pub elsewhere: bool,
    /// Its tasks, or a source's slots; none before it first runs.
    pub tasks: u32,
    /// A sink's targets that get no more commits until it begins again, with the reason, while the
    /// others go on.
    pub failed_targets: BTreeMap<String, String>,
    /// Records appended by a source, or put by a sink, since the start.
    pub records: u64,
    /// Records in the log that a sink has not put yet, as far as known.
    pub lag: i64,
    /// When the lag was looked up, on the clock of the pipelines.
    pub lag_at: Duration,
    /// Whether a sink's lag is that of all that it is to read: each of its tasks was told what is its
    /// own, and the lag was looked up since.
    pub lag_whole: bool,
    /// What is taken and not durable: a source's inbox events, a sink's uncommitted rows. And what
    /// is on its way to a source: connections being opened, requests not answered, and records
    /// that it knows to be at its origin.
    pub open: u64,
    /// Rows made visible by commits since the start.
    pub committed: u64,
    /// When the last commit succeeded, on the clock of the pipelines.
    pub last_commit: Option<Duration>,
    /// When it last took something or began to run, or a sink's tasks were told of partitions, on the
    /// clock of the pipelines.
    pub last_active: Duration,
    /// Failures since the start, those that were tried again included.
    pub failures: u64,
    /// CPU time inside the component since the start.
    pub cpu: Duration,
    /// Linear memory of the component's instances that live now, bytes.
    pub memory_bytes: u64,
}

impl Report {
    /// Whether nobody has to wait for it or to act: it works, rests because somebody asked for that,
    /// has come to its end, or is another worker's. A target that failed alone does not count: the
    /// others go on.
    pub fn ready(&self) -> bool {
        match self.state {
            State::Running | State::Paused | State::Stopped => true,
            State::Unassigned => self.elsewhere,
            State::Restarting { .. } | State::Failed { .. } => false,
        }
    }
}

/// What one slot of a source has taken and not finished.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backlog {
    /// Inbox events that are not settled, and their bytes.
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// Appends that the log has not acknowledged.
    pub(crate) appends: u64,
    /// Connections being opened, requests not answered.
    pub(crate) awaited: u64,
    /// Records that the slot knows to be at the origin and has not given yet.
    pub(crate) behind: u64,
}

/// One connector's status: written by its tasks, read by anyone, never in a task's way.
#[derive(Debug)]
pub struct Status {
    pipeline: String,
    connector: String,
    source: bool,
    metrics: ConnectorMetrics,
    state: Mutex<State>,
    /// Another worker has it; of a connector that is at work here it says nothing.
    elsewhere: AtomicBool,
    /// Of a sink.
    shares: Shares,
    tasks: AtomicU32,
    failed_targets: Mutex<BTreeMap<String, String>>,
    records: AtomicU64,
    rejected: AtomicU64,
    lag: AtomicI64,
    lag_at_ms: AtomicU64,
    open: AtomicU64,
    /// By slot, of a source.
    backlogs: Mutex<BTreeMap<u32, Backlog>>,
    committed: AtomicU64,
    last_commit_ms: AtomicI64,
    last_active_ms: AtomicU64,
    recent: Recent,
    cpu_us: AtomicU64,
    memory_bytes: AtomicU64,
    /// Records by topic.
    by_topic: Mutex<BTreeMap<Arc<str>, u64>>,
}

/// No commit yet.
const NEVER: i64 = -1;

impl Status {
    pub(crate) fn new(
        pipeline: &str,
        connector: &str,
        source: bool,
        metrics: ConnectorMetrics,
    ) -> Arc<Self> {
        let status = Self {
            pipeline: pipeline.to_owned(),
            connector: connector.to_owned(),
            source,
            metrics,
            state: Mutex::new(State::Unassigned),
            elsewhere: AtomicBool::new(false),
            shares: Shares::default(),
            tasks: AtomicU32::new(0),
            failed_targets: Mutex::default(),
            records: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            lag: AtomicI64::new(0),
            lag_at_ms: AtomicU64::new(0),
            open: AtomicU64::new(0),
            backlogs: Mutex::default(),
            committed: AtomicU64::new(0),
            last_commit_ms: AtomicI64::new(NEVER),
            last_active_ms: AtomicU64::new(0),
            recent: Recent::default(),
            cpu_us: AtomicU64::new(0),
            memory_bytes: AtomicU64::new(0),
            by_topic: Mutex::default(),
        };
        Arc::new(status)
    }

    /// The connector's name.
    pub fn connector(&self) -> &str {
        &self.connector
    }

    /// The connector's metrics.
    pub fn metrics(&self) -> &ConnectorMetrics {
        &self.metrics
    }

    /// What it is doing now.
    pub fn report(&self) -> Report {
        let last_commit = self.last_commit_ms.load(Ordering::Relaxed);
        // Before the lag itself, which then is no older than this says.
        let lag_whole = self.shares.whole();
        let state = self.state.lock();
        let state = state.unwrap_or_else(PoisonError::into_inner).clone();
        Report {
            pipeline: self.pipeline.clone(),
            connector: self.connector.clone(),
            source: self.source,
            elsewhere: state == State::Unassigned && self.elsewhere.load(Ordering::Acquire),
            state,
            tasks: self.tasks.load(Ordering::Acquire),
            failed_targets: self.failed_targets(),
            records: self.records.load(Ordering::Relaxed),
            lag: self.lag.load(Ordering::Relaxed),
            lag_at: Duration::from_millis(self.lag_at_ms.load(Ordering::Acquire)),
            lag_whole,
            open: self.open.load(Ordering::Acquire),
            committed: self.committed.load(Ordering::Relaxed),
            last_commit: u64::try_from(last_commit).ok().map(Duration::from_millis),
            last_active: Duration::from_millis(self.last_active_ms.load(Ordering::Acquire)),
            failures: self.recent.count(),
            cpu: Duration::from_micros(self.cpu_us.load(Ordering::Relaxed)),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
        }
    }

    /// The last failures, the oldest first.
    pub fn failures(&self) -> Vec<Failure> {
        self.recent.all()
    }

    /// Records appended to, or put from, each topic since the start; a topic without any may be
    /// missing.
    pub fn by_topic(&self) -> BTreeMap<Arc<str>, u64> {
        let by_topic = self.by_topic.lock();
        by_topic.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something went wrong, whatever comes of it.
    pub(crate) fn failed(&self, failed: &Failed) {
        self.metrics.error(failed.consequence);
        self.recent.add(failed);
    }

    /// What a slot's or a task's instances used between two looks; see [`ConnectorMetrics::used`].
    pub(crate) fn used(&self, before: &Used, now: &Used) {
        self.metrics.used(before, now);
        let cpu = now.cpu.saturating_sub(before.cpu);
        let cpu_us = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        self.cpu_us.fetch_add(cpu_us, Ordering::Relaxed);
        // Wraps both ways, so that the sum over all slots or tasks is right whatever the order.
        let memory = now.memory_bytes.wrapping_sub(before.memory_bytes);
        self.memory_bytes.fetch_add(memory, Ordering::Relaxed);
    }

    /// So many of the records that were taken are of this topic.
    pub(crate) fn took_of(&self, topic: &Arc<str>, records: u64) {
        // A figure that is added to is whole, also in a panic.
        let mut by_topic = self.by_topic.lock().unwrap_or_else(PoisonError::into_inner);
        match by_topic.get_mut(topic) {
            Some(all) => *all += records,
            None => {
                by_topic.insert(Arc::clone(topic), records);
            }
        }
    }

    pub(crate) fn set_state(&self, state: State) {
        self.metrics.state(match &state {
            State::Unassigned => jackfield_telemetry::State::Unassigned,
            State::Running => jackfield_telemetry::State::Running,
            State::Restarting { .. } => jackfield_telemetry::State::Restarting,
            State::Failed { .. } => jackfield_telemetry::State::Failed,
            State::Paused => jackfield_telemetry::State::Paused,
            State::Stopped => jackfield_telemetry::State::Stopped,
        });
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Whether another worker has it.
    pub(crate) fn set_elsewhere(&self, elsewhere: bool) {
        self.elsewhere.store(elsewhere, Ordering::Release);
    }

    /// What a sink's tasks were told of their shares of the partitions.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// So many tasks or slots share the work from now on.
    pub(crate) fn set_tasks(&self, tasks: u32) {
        self.tasks.store(tasks, Ordering::Release);
    }

    /// A target gets no more commits.
    pub(crate) fn target_failed(&self, target: &str, reason: &str) {
        let mut failed = self.lock_failed_targets();
        failed.insert(target.to_owned(), reason.to_owned());
        self.metrics.failed_targets(failed.len());
    }

    /// All targets get commits again.
    pub(crate) fn targets_work(&self) {
        self.lock_failed_targets().clear();
        self.metrics.failed_targets(0);
    }

    pub(crate) fn failed_targets(&self) -> BTreeMap<String, String> {
        self.lock_failed_targets().clone()
    }

    fn lock_failed_targets(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // Every change leaves the map whole.
        let failed = self.failed_targets.lock();
        failed.unwrap_or_else(PoisonError::into_inner)
    }

    /// `records` were taken at `now`.
    pub(crate) fn took(&self, records: u64, now: Duration) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.active(now);
    }

    /// So many records or events were rejected.
    pub(crate) fn rejected(&self, count: u64) {
        self.rejected.fetch_add(count, Ordering::Relaxed);
        self.metrics.rejected(count);
    }

    /// What was done so far.
    pub(crate) fn work(&self) -> Work {
        Work {
            records: self.records.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            committed: self.committed.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn active(&self, now: Duration) {
        self.last_active_ms.fetch_max(millis(now), Ordering::AcqRel);
    }

    pub(crate) fn set_open(&self, open: u64) {
        self.open.store(open, Ordering::Release);
        if !self.source {
            self.metrics.uncommitted_rows(open);
        }
    }

    /// Publishes what a slot of a source has open; none when the slot is no more.
    pub(crate) fn set_backlog(&self, slot: u32, backlog: Option<Backlog>) {
        // Every change below leaves the map consistent, also in a panic.
        let mut all = self.backlogs.lock().unwrap_or_else(PoisonError::into_inner);
        match backlog {
            Some(backlog) => all.insert(slot, backlog),
            None => all.remove(&slot),
        };
        let sum = |of: fn(&Backlog) -> u64| all.values().map(of).fold(0, u64::saturating_add);
        let (events, appends) = (sum(|it| it.events), sum(|it| it.appends));
        let (awaited, behind) = (sum(|it| it.awaited), sum(|it| it.behind));
        let open = [events, appends, awaited, behind];
        self.set_open(open.into_iter().fold(0, u64::saturating_add));
        self.metrics.inbox(events, sum(|it| it.bytes));
        self.metrics.appends_in_flight(appends);
        self.metrics.behind(behind);
    }

    /// The lag, looked up at `now` or later.
    pub(crate) fn set_lag(&self, lag: i64, now: Duration) {
        self.lag.store(lag, Ordering::Relaxed);
        self.lag_at_ms.store(millis(now), Ordering::Release);
        self.metrics.lag_records(lag);
    }

    pub(crate) fn committed(&self, rows: u64, now: Duration) {
        self.committed.fetch_add(rows, Ordering::Relaxed);
        self.last_commit_ms.store(
            i64::try_from(millis(now)).unwrap_or(i64::MAX),
            Ordering::Relaxed,
        );
    }
}

fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_telemetry::{ConnectorLabels, Kind, Telemetry};

    #[test]
    fn what_rests_or_is_elsewhere_is_ready_and_what_fails_or_begins_is_not() {
        let labels = ConnectorLabels {
            pipeline: "market".into(),
            connector: "trades".into(),
            kind: Kind::Source,
        };
        let metrics = Telemetry::new().unwrap().connector(&labels);
        let status = Status::new("market", "trades", true, metrics);
        let ready = |state: State| {
            status.set_state(state);
            status.report().ready()
        };
        let trace = String::new;
        assert!(ready(State::Running) && ready(State::Paused) && ready(State::Stopped));
        status.target_failed("table", "as told");
        assert!(ready(State::Running), "a target that failed alone");
        status.targets_work();
        assert!(!ready(State::Failed { trace: trace() }));
        assert!(!ready(State::Restarting { trace: trace() }));
        assert!(!ready(State::Unassigned), "not started yet");
        status.set_elsewhere(true);
        assert!(ready(State::Unassigned));
        assert!(!ready(State::Failed { trace: trace() }), "whoever has it");
    }
}
