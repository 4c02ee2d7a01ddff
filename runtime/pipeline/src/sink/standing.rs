//! Which version of a sink runs, and whether it is on probation.

use crate::failures::Failed;
use crate::host::Host;
use crate::spec::SinkSpec;
use crate::status::Status;
use crate::swap::{Desk, Given, Order, Pace, Probation, SwapReport, Version, Work};
use jackfield_core::Consequence;
use jackfield_plugin::World;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often what was done is looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

struct Trial {
    number: u64,
    from: Arc<Version>,
    to: Arc<Version>,
    probation: Probation,
}

/// What a sink's supervisor keeps from life to life.
pub(super) struct Standing<'a> {
    pub(super) desk: &'a Desk,
    pub(super) orders: &'a mut mpsc::Receiver<Order>,
    host: &'a Host,
    version: Arc<Version>,
    trial: Option<Trial>,
    pace: Pace,
    sampled: Option<Duration>,
}

/// What the connector is given, for who compares versions.
pub(super) fn given(spec: &SinkSpec) -> Given {
    Given {
        world: World::Sink,
        delivery: spec.delivery,
        websocket: false,
        http: !spec.http.is_empty(),
        lake: spec.lake.is_some(),
    }
}

impl<'a> Standing<'a> {
    /// Begins with the version that the desk knows, or with the file's.
    pub(super) async fn begin_with(
        spec: &SinkSpec,
        host: &'a Host,
        desk: &'a Desk,
        orders: &'a mut mpsc::Receiver<Order>,
    ) -> Result<Self, Failed> {
        let version = match desk.current() {
            Some(version) => version,
            None => Arc::new(Version::of(spec.plugged.clone()).await?),
        };
        desk.runs(&version);
        Ok(Self {
            desk,
            orders,
            host,
            version,
            trial: None,
            pace: Pace::default(),
            sampled: None,
        })
    }

    /// The connector is run no longer: a version that was on probation stays.
    pub(super) fn end(&mut self) {
        if let Some(trial) = self.trial.take() {
            tracing::info!(swap = trial.number, "its probation is cut short");
            self.desk.keep(trial.number);
        }
    }

    /// The connector as it runs.
    pub(super) fn spec(&self, spec: &SinkSpec) -> Arc<SinkSpec> {
        let mut spec = spec.clone();
        spec.plugged = self.version.plugged.clone();
        Arc::new(spec)
    }

    /// Whether the version that runs can still be taken back.
    pub(super) fn on_probation(&self) -> bool {
        self.trial.is_some()
    }

    /// Until when it can.
    pub(super) fn until(&self) -> Option<Duration> {
        self.trial.as_ref().map(|trial| trial.probation.until())
    }

    /// What runs.
    pub(super) fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// The new version has taken over.
    pub(super) fn begin(
        &mut self,
        report: &SwapReport,
        from: Arc<Version>,
        to: Arc<Version>,
        span: Duration,
        work: Work,
    ) {
        self.desk.cut_over(report, &to);
        let now = self.host.clock.now();
        self.version = Arc::clone(&to);
        self.trial = Some(Trial {
            number: report.number,
            from,
            to,
            probation: Probation::begin(now, span, work, &self.pace),
        });
    }

    /// How long the new version is still on probation.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let trial = self.trial.as_ref()?;
        let now = self.host.clock.now();
        Some(trial.probation.until().saturating_sub(now))
    }

    /// Looks at what was done.
    ///
    /// # Errors
    /// The new version is worse: this life ends, and the old one takes over in the next.
    pub(super) fn judge(&mut self, status: &Status) -> Result<(), Failed> {
        let (now, work) = (self.host.clock.now(), status.work());
        if self.sampled.is_none_or(|at| now >= at + SAMPLE_EVERY) {
            self.sampled = Some(now);
            self.pace.sample(now, work);
        }
        let Some(trial) = &self.trial else {
            return Ok(());
        };
        let over = now >= trial.probation.until();
        let why = if over {
            trial.probation.verdict(work)
        } else {
            trial.probation.worse(work)
        };
        match why {
            Some(why) => Err(Failed::new("probation", Consequence::Replace, why)),
            None if over => {
                self.desk.keep(trial.number);
                self.trial = None;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A life ended: whether the old version takes over again at once.
    pub(super) fn goes_back(&mut self, failed: &Failed) -> bool {
        if !failed.component {
            return false;
        }
        let Some(trial) = self.trial.take() else {
            return false;
        };
        self.version = Arc::clone(&trial.from);
        self.desk
            .roll_back(trial.number, &trial.from, &trial.to, &failed.to_string());
        true
    }
}
