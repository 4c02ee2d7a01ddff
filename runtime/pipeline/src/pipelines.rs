//! All connectors of a process.

use crate::holding;
use crate::host::Host;
use crate::sink;
use crate::source;
use crate::spec::{SinkSpec, SourceSpec};
use crate::status::{Exit, Report, State, Status};
use crate::swap::{Controls, Desk};
use jackfield_telemetry::{ConnectorLabels, Kind};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How often idleness is looked at.
const IDLE_EVERY: Duration = Duration::from_millis(100);

/// Longest that sinks may go on reading after the sources of the process have ended: enough for
/// what a source took last, and no wait for a backlog that the next start reads as well.
const CATCH_UP_MAX: Duration = Duration::from_secs(5);

/// How all connectors ended.
#[derive(Debug)]
pub struct Ending {
    /// By connector.
    pub exits: BTreeMap<String, Exit>,
}

impl Ending {
    /// Whether every connector drained.
    pub fn clean(&self) -> bool {
        self.exits.values().all(|exit| *exit == Exit::Drained)
    }
}

/// Owns the supervisors of all connectors.
pub struct Pipelines {
    host: Host,
    statuses: Vec<Arc<Status>>,
    supervisors: JoinSet<(String, Exit)>,
    names: BTreeMap<Id, String>,
    controls: Controls,
    exits: BTreeMap<String, Exit>,
    stop_sources: CancellationToken,
    stop_sinks: CancellationToken,
}

impl Pipelines {
    /// Starts every connector; none waits for another.
    pub fn start(host: Host, sources: Vec<SourceSpec>, sinks: Vec<SinkSpec>) -> Self {
        let mut pipelines = Self {
            host,
            statuses: Vec::new(),
            supervisors: JoinSet::new(),
            names: BTreeMap::new(),
            controls: Controls::default(),
            exits: BTreeMap::new(),
            stop_sources: CancellationToken::new(),
            stop_sinks: CancellationToken::new(),
        };
        let mut desks = BTreeMap::new();
        // Sinks first, so that the first record finds its reader.
        for spec in sinks {
            let status = pipelines.status(&spec.pipeline, &spec.connector, Kind::Sink);
            let (name, stop) = (spec.connector.clone(), pipelines.stop_sinks.clone());
            let (spec, host) = (Arc::new(spec), pipelines.host.clone());
            let desk = Desk::new(&status);
            desks.insert(spec.connector.clone(), Arc::clone(&desk));
            let (status_of, patience) = (Arc::clone(&status), spec.patience);
            let task = holding::run(host.clone(), status_of, patience, stop, move |stop| {
                let (spec, host) = (Arc::clone(&spec), host.clone());
                sink::run(spec, host, Arc::clone(&status), Arc::clone(&desk), stop)
            });
            pipelines.supervise(name, task);
        }
        for spec in sources {
            let status = pipelines.status(&spec.pipeline, &spec.connector, Kind::Source);
            let (name, stop) = (spec.connector.clone(), pipelines.stop_sources.clone());
            let (spec, host) = (Arc::new(spec), pipelines.host.clone());
            let desk = Desk::new(&status);
            desks.insert(spec.connector.clone(), Arc::clone(&desk));
            let (status_of, patience) = (Arc::clone(&status), spec.patience);
            let task = holding::run(host.clone(), status_of, patience, stop, move |stop| {
                let (spec, host) = (Arc::clone(&spec), host.clone());
                source::run(spec, host, Arc::clone(&status), Arc::clone(&desk), stop)
            });
            pipelines.supervise(name, task);
        }
        pipelines.controls = Controls::new(desks);
        pipelines
    }

    /// Changes connectors while they run.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    fn status(&mut self, pipeline: &str, connector: &str, kind: Kind) -> Arc<Status> {
        let metrics = self.host.telemetry.connector(&ConnectorLabels {
            pipeline: pipeline.to_owned(),
            connector: connector.to_owned(),
            kind,
        });
        let status = Status::new(pipeline, connector, kind == Kind::Source, metrics);
        self.statuses.push(Arc::clone(&status));
        status
    }

    fn supervise(&mut self, name: String, task: impl Future<Output = Exit> + Send + 'static) {
        let span = tracing::info_span!("connector", name = %name);
        let connector = name.clone();
        let handle = self
            .supervisors
            .spawn(async move { (connector, task.await) }.instrument(span));
        self.names.insert(handle.id(), name);
    }

    /// The statuses, for whoever shows them.
    pub fn statuses(&self) -> Vec<Arc<Status>> {
        self.statuses.clone()
    }

    /// Waits until nothing has arrived for `quiet` and all that arrived is committed, or until no
    /// connector is left.
    pub async fn until_idle(&self, quiet: Duration) {
        let mut tick = tokio::time::interval(IDLE_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let now = self.host.clock.now();
            let idle = self
                .statuses
                .iter()
                .map(|status| status.report())
                .all(|report| is_idle(&report, now, quiet));
            if idle {
                return;
            }
        }
    }

    /// Waits until every connector has ended by itself.
    pub async fn ended(&mut self) {
        while let Some(joined) = self.supervisors.join_next_with_id().await {
            self.note(joined);
        }
    }

    /// Stops sources first, lets sinks read what these took last, then commit what they have put,
    /// and waits for all of it at most `grace`. What has not ended by then is killed, and the
    /// ending says so.
    pub async fn shut_down(mut self, grace: Duration) -> Ending {
        self.stop_sources.cancel();
        let drained = tokio::time::timeout(grace, async {
            while self
                .statuses
                .iter()
                .any(|s| s.report().source && !has_ended(&s.report().state))
            {
                match self.supervisors.join_next_with_id().await {
                    Some(joined) => self.note(joined),
                    None => break,
                }
            }
            self.catch_up(grace).await;
            self.stop_sinks.cancel();
            while let Some(joined) = self.supervisors.join_next_with_id().await {
                self.note(joined);
            }
        })
        .await;
        if drained.is_err() {
            self.supervisors.shutdown().await;
            for name in self.names.values() {
                tracing::error!(connector = %name, "killed: the grace time ended before it had drained");
                self.exits.insert(name.clone(), Exit::Killed);
            }
        }
        Ending { exits: self.exits }
    }

    /// Waits until the sinks have put all that lies in the log, but not for long. Without sources
    /// of our own nobody can say that the log ends.
    async fn catch_up(&self, grace: Duration) {
        if !self.statuses.iter().any(|status| status.report().source) {
            return;
        }
        let since = self.host.clock.now();
        let caught_up = |report: &Report| {
            let idle = report.lag == 0 && report.lag_at > since;
            report.source || report.state != State::Running || idle
        };
        let waiting = async {
            let mut tick = tokio::time::interval(IDLE_EVERY);
            while !self.statuses.iter().all(|s| caught_up(&s.report())) {
                tick.tick().await;
            }
        };
        if tokio::time::timeout(CATCH_UP_MAX.min(grace / 2), waiting)
            .await
            .is_err()
        {
            tracing::info!("sinks stop before they have read all that lies in the log");
        }
    }

    fn note(&mut self, joined: Result<(Id, (String, Exit)), tokio::task::JoinError>) {
        let (id, exit) = match joined {
            Ok((id, (_, exit))) => (id, exit),
            Err(panic) => (
                panic.id(),
                Exit::Failed {
                    trace: format!("its supervisor panicked: {panic}"),
                },
            ),
        };
        let Some(name) = self.names.remove(&id) else {
            return;
        };
        match &exit {
            Exit::Drained => tracing::info!(connector = %name, "drained"),
            Exit::Failed { trace } => {
                tracing::error!(connector = %name, %trace, "FAILED: a person must act");
                // A panicking supervisor could not say so itself.
                if let Some(status) = self
                    .statuses
                    .iter()
                    .find(|status| status.connector() == name)
                {
                    status.set_state(State::Failed {
                        trace: trace.clone(),
                    });
                }
            }
            Exit::Killed => tracing::error!(connector = %name, "killed"),
        }
        self.exits.insert(name, exit);
    }
}

fn has_ended(state: &State) -> bool {
    match state {
        State::Failed { .. } | State::Stopped => true,
        State::Unassigned | State::Running | State::Restarting { .. } => false,
    }
}

fn is_idle(report: &Report, now: Duration, quiet: Duration) -> bool {
    match report.state {
        State::Failed { .. } | State::Stopped => true,
        State::Unassigned | State::Restarting { .. } => false,
        State::Running => {
            report.open == 0 && report.lag == 0 && now.saturating_sub(report.last_active) >= quiet
        }
    }
}
