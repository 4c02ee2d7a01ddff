//! The shadow of a source: each slot on a copy of its inbox.

use super::compare::{Basis, Compared, Comparison, WAITING_BYTES_MAX};
use super::report::{CallDiffers, CallsCompared, Figures, ShadowEnd};
use super::twin::{Over, Told};
use super::watch::{SlotWatch, SourceWatch};
use crate::failures::Failed;
use crate::swap::Version;
use jackfield_core::{Consequence, Next, after};
use jackfield_plugin::{
    CallError, Context, Counts, Failure, Interrupt, PollLimits, Polled, Position, Role, Side,
    SourceInstance, Stage, StageHost, TapEnd, Usage,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

/// As a slot polls.
const POLL_LIMITS: PollLimits = PollLimits {
    batch_bytes_max: jackfield_batch::BATCH_BYTES_MAX as u32,
    batch_records_max: jackfield_batch::RECORDS_MAX,
    wait_ms: 250,
};
/// At the end: for the events that are there to be taken, and the running version to come as far.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);
/// Polls that bring nothing after the last event was given.
const QUIET_POLLS: u32 = 2;
/// Differences of calls that are listed.
const CALLS_MAX: usize = 50;
/// Between two looks while the running version lags behind.
const LAG_LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a source's shadow found.
#[derive(Debug, Default)]
pub(super) struct SourceFound {
    pub(super) records: Compared,
    pub(super) calls: CallsCompared,
    pub(super) running: Figures,
    pub(super) new: Figures,
    pub(super) given: u64,
    pub(super) cpu: Duration,
}

impl SourceFound {
    fn add(&mut self, other: Self) {
        self.records.add(other.records);
        self.calls.same += other.calls.same;
        self.calls.more += other.calls.more;
        self.calls.different.extend(other.calls.different);
        self.running.add(&other.running);
        self.new.add(&other.new);
        self.given += other.given;
        self.cpu += other.cpu;
    }
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.rejected += other.rejected;
        self.duplicates += other.duplicates;
        self.missing += other.missing;
        self.recovered += other.recovered;
    }

    fn took(&mut self, polled: &Polled) {
        let Counts {
            records,
            duplicates,
            missing,
            recovered,
            event_time_max_ms: _,
        } = polled.counts;
        self.add(&Self {
            records,
            rejected: polled.rejected.len() as u64,
            duplicates,
            missing,
            recovered,
        });
    }
}

/// Runs the new version on all slots until `until`; the first that ends, ends all.
pub(super) async fn run(
    watch: SourceWatch,
    to: Arc<Version>,
    until: Instant,
) -> (ShadowEnd, SourceFound) {
    let SourceWatch { spec, slots, .. } = watch;
    let taps: Vec<_> = slots.iter().map(|it| Arc::clone(&it.tap)).collect();
    let mut tasks = JoinSet::new();
    for slot in slots {
        let span = tracing::info_span!("shadow", connector = %spec.connector, slot = %slot.slot.id);
        let (spec, to) = (Arc::clone(&spec), Arc::clone(&to));
        let task = async move { SlotShadow::new(&spec, &to, slot).run(until).await };
        tasks.spawn(task.instrument(span));
    }
    let mut end = ShadowEnd::Over;
    let mut found = SourceFound::default();
    while let Some(joined) = tasks.join_next().await {
        let (slot_end, slot_found) = match joined {
            Ok(ended) => ended,
            Err(panic) => {
                let reason = format!("the shadow's task panicked: {panic}");
                (ShadowEnd::Failed { reason }, SourceFound::default())
            }
        };
        found.add(slot_found);
        if end == ShadowEnd::Over && slot_end != ShadowEnd::Over {
            end = slot_end;
            taps.iter().for_each(|tap| tap.close());
        }
    }
    taps.iter().for_each(|tap| tap.close());
    (end, found)
}

struct SlotShadow {
    connector: String,
    context: Context,
    version: Arc<Version>,
    watch: SlotWatch,
    stage: Arc<Stage>,
    usage: Arc<Usage>,
    comparison: Comparison,
    running: Figures,
    new: Figures,
    /// Events that the running version has taken for certain.
    running_done: u64,
    /// The running version tells no more.
    running_over: bool,
}

impl SlotShadow {
    fn new(spec: &crate::spec::SourceSpec, to: &Arc<Version>, mut watch: SlotWatch) -> Self {
        let grants = (spec.websocket.clone(), spec.http.clone());
        let connections = std::mem::take(&mut watch.connections);
        let tap = Arc::clone(&watch.tap);
        let mut comparison = Comparison::default();
        comparison.running_feeds(&watch.feeds);
        Self {
            connector: spec.connector.clone(),
            context: Context {
                connector: spec.connector.clone(),
                delivery: spec.delivery,
                role: Role::Task(watch.number),
                tasks: watch.slots,
            },
            version: Arc::clone(to),
            stage: Stage::beside(tap, watch.contained, connections, grants),
            usage: Arc::default(),
            comparison,
            running: Figures::default(),
            new: Figures::default(),
            running_done: watch.contained,
            running_over: false,
            watch,
        }
    }

    async fn run(mut self, until: Instant) -> (ShadowEnd, SourceFound) {
        let end = match self.shadow(until).await {
            Ok(end) => end,
            Err(failed) => ShadowEnd::Failed {
                reason: failed.to_string(),
            },
        };
        self.watch.tap.close();
        let calls = self.stage.calls(CALLS_MAX);
        let side = |by: Side| match by {
            Side::Running => "running",
            Side::New => "new",
        };
        let different = calls.different.into_iter().map(|it| CallDiffers {
            by: side(it.by),
            call: it.call,
        });
        let found = SourceFound {
            given: self.stage.given().saturating_sub(self.watch.contained),
            records: self
                .comparison
                .finish(self.running_done, self.stage.settled()),
            calls: CallsCompared {
                same: calls.same,
                different: different.collect(),
                more: calls.more,
            },
            running: self.running,
            new: self.new,
            cpu: self.usage.snapshot().cpu,
        };
        (end, found)
    }

    async fn shadow(&mut self, until: Instant) -> Result<ShadowEnd, Failed> {
        let mut instance = self.open().await?;
        while Instant::now() < until {
            if let Some(end) = self.interrupted()? {
                return Ok(end);
            }
            if self.comparison.new_waits() > WAITING_BYTES_MAX {
                // The running version waits, such as for the log: there is nothing to compare with.
                tokio::time::sleep(LAG_LOOK_EVERY).await;
                continue;
            }
            if self.poll_until(&mut instance, until).await? == Polls::Ended {
                return Ok(ShadowEnd::Over);
            }
        }
        self.drain(&mut instance).await
    }

    async fn open(&mut self) -> Result<SourceInstance, Failed> {
        let host = StageHost {
            connector: self.connector.clone(),
            stage: Arc::clone(&self.stage),
            interrupt: Interrupt::default(),
            usage: Arc::clone(&self.usage),
        };
        let plugged = &self.version.plugged;
        let mut instance = SourceInstance::staged(&plugged.plugin, host, &plugged.limits)
            .await
            .map_err(|e| Failed::call("instantiate", e))?;
        let feeds = instance
            .open(
                self.context.clone(),
                plugged.settings.clone(),
                self.watch.slot.clone(),
                std::mem::take(&mut self.watch.positions),
                self.watch.saved.take(),
            )
            .await
            .map_err(|e| Failed::call("open", e))?;
        self.comparison.new_feeds(&feeds);
        Ok(instance)
    }

    /// Takes what the running version told; whether that is the shadow's end.
    fn interrupted(&mut self) -> Result<Option<ShadowEnd>, Failed> {
        loop {
            match self.watch.told.try_next() {
                Ok(Some(told)) => self.running_polled(told)?,
                Ok(None) => break,
                Err(Over) => {
                    self.running_over = true;
                    break;
                }
            }
        }
        if self.stage.end() == Some(TapEnd::TooSlow) {
            let reason = "events came faster than it took them".to_owned();
            return Ok(Some(ShadowEnd::TooSlow { reason }));
        }
        if self.comparison.running_waits() > WAITING_BYTES_MAX {
            let reason = "the running version is too far ahead of it".to_owned();
            return Ok(Some(ShadowEnd::TooSlow { reason }));
        }
        if self.running_over || self.stage.end() == Some(TapEnd::Closed) {
            let reason = "it restarted, stopped, was replaced, or was not kept up with".to_owned();
            return Ok(Some(ShadowEnd::RunningEnded { reason }));
        }
        Ok(None)
    }

    fn running_polled(&mut self, told: Told) -> Result<(), Failed> {
        let Told { polled, given } = told;
        self.comparison.running_feeds(&polled.feeds);
        self.running.took(&polled);
        self.running_done = self.running_done.max(polled.done_through);
        let basis = self.basis(given);
        for event in &polled.rejected {
            self.comparison.running_rejected(event, basis);
        }
        for output in polled.outputs {
            let compared = self.comparison.running(output.feed, output.records, basis);
            compared.map_err(malformed)?;
        }
        Ok(())
    }

    /// Records that came before any event come of none.
    fn basis(&self, given: u64) -> Basis {
        let any = given > self.watch.contained;
        Basis {
            given: if any { given } else { 0 },
        }
    }

    /// One poll, whose wait ends at `until`.
    async fn poll_until(
        &mut self,
        instance: &mut SourceInstance,
        until: Instant,
    ) -> Result<Polls, Failed> {
        let left = until.saturating_duration_since(Instant::now());
        let wait_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let limits = PollLimits {
            wait_ms: POLL_LIMITS.wait_ms.min(wait_ms),
            ..POLL_LIMITS
        };
        let polled = match instance.poll(limits).await {
            Ok(polled) => polled,
            Err(error) => {
                let failed = Failed::call("poll", error);
                return self.again(failed, until).await;
            }
        };
        self.new.took(&polled);
        self.comparison.new_feeds(&polled.feeds);
        let basis = self.basis(self.stage.given());
        let some = !polled.outputs.is_empty();
        for event in &polled.rejected {
            self.comparison.new_rejected(event, basis);
        }
        for output in polled.outputs {
            let compared = self
                .comparison
                .new_version(output.feed, output.records, basis);
            compared.map_err(malformed)?;
        }
        self.stage.settle(polled.done_through);
        self.tell_settled(instance, polled.positions).await?;
        Ok(match (polled.ended || polled.replan, some) {
            (true, _) => Polls::Ended,
            (false, true) => Polls::Some,
            (false, false) => Polls::Nothing,
        })
    }

    async fn again(&self, failed: Failed, until: Instant) -> Result<Polls, Failed> {
        if after::source(failed.consequence) != Next::CallAgain {
            return Err(failed);
        }
        tokio::time::sleep_until(until.min(Instant::now() + failed.not_before)).await;
        Ok(Polls::Nothing)
    }

    async fn tell_settled(
        &self,
        instance: &mut SourceInstance,
        positions: Vec<Position>,
    ) -> Result<(), Failed> {
        if positions.is_empty() {
            return Ok(());
        }
        match instance.settled(positions).await {
            Ok(()) | Err(CallError::Failure(Failure::Retry { .. })) => Ok(()),
            Err(error) => Err(Failed::call("settled", error)),
        }
    }

    /// The time is over: what has come is taken to its end, by both.
    async fn drain(&mut self, instance: &mut SourceInstance) -> Result<ShadowEnd, Failed> {
        self.watch.tap.close();
        let until = Instant::now() + DRAIN_WITHIN;
        let mut quiet = 0;
        while Instant::now() < until && quiet < QUIET_POLLS {
            if self.stage.end() == Some(TapEnd::TooSlow) {
                let reason = "events came faster than it took them".to_owned();
                return Ok(ShadowEnd::TooSlow { reason });
            }
            let exhausted = self.stage.is_exhausted();
            match self.poll_until(instance, until).await? {
                Polls::Ended => break,
                Polls::Nothing if exhausted => quiet += 1,
                Polls::Nothing | Polls::Some => quiet = 0,
            }
        }
        while self.running_done < self.stage.settled() && !self.running_over {
            match tokio::time::timeout_at(until, self.watch.told.next()).await {
                Ok(Ok(told)) => self.running_polled(told)?,
                Ok(Err(Over)) => self.running_over = true,
                Err(_) => break,
            }
        }
        Ok(ShadowEnd::Over)
    }
}

/// What a poll brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Polls {
    Some,
    Nothing,
    Ended,
}

fn malformed(error: jackfield_batch::Malformed) -> Failed {
    let reason = format!("malformed batch: {error}");
    Failed::new("poll", Consequence::Replace, reason)
}
