//! All connectors of a process.

mod member;

use crate::host::Host;
use crate::lever::{Lever, Target};
use crate::sink;
use crate::source;
use crate::spec::{SinkSpec, SourceSpec};
use crate::status::{Exit, Report, State, Status};
use crate::swap::{Controls, Desk};
use futures::future::join_all;
use jackfield_core::Patience;
use jackfield_telemetry::{ConnectorLabels, Kind};
use member::{Member, asked_for, end, supervise};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
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

/// Why a connector could not be added, found or taken away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// Another one has the name, or has not ended yet.
    #[error("there is a connector `{0}` already")]
    Exists(String),
    /// There is none of the name.
    #[error("there is no connector `{0}`")]
    Unknown(String),
    /// The process is ending.
    #[error("the process is stopping")]
    Stopping,
}

#[derive(Default)]
struct Members {
    by_name: BTreeMap<String, Member>,
    /// Nothing is added any more.
    stopping: bool,
}

struct Inner {
    host: Host,
    members: Mutex<Members>,
}

/// Owns the supervisors of all connectors. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Pipelines {
    inner: Arc<Inner>,
}

impl Pipelines {
    /// Without connectors yet.
    pub fn new(host: Host) -> Self {
        let inner = Inner {
            host,
            members: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        // Every change below leaves the map consistent, also in a panic.
        let members = self.inner.members.lock();
        members.unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a source connector; it waits for no other.
    ///
    /// # Errors
    /// Its name is taken, or the process is ending.
    pub fn add_source(&self, spec: SourceSpec, target: Target) -> Result<(), Unchanged> {
        let (name, patience) = (spec.connector.clone(), spec.patience);
        let pipeline = spec.pipeline.clone();
        let (spec, host) = (Arc::new(spec), self.inner.host.clone());
        self.add(&pipeline, &name, Kind::Source, patience, target, {
            move |status, desk, stop| {
                let (spec, host) = (Arc::clone(&spec), host.clone());
                source::run(spec, host, status, desk, stop)
            }
        })
    }

    /// Starts a sink connector; it waits for no other.
    ///
    /// # Errors
    /// Its name is taken, or the process is ending.
    pub fn add_sink(&self, spec: SinkSpec, target: Target) -> Result<(), Unchanged> {
        let (name, patience) = (spec.connector.clone(), spec.patience);
        let pipeline = spec.pipeline.clone();
        let (spec, host) = (Arc::new(spec), self.inner.host.clone());
        self.add(&pipeline, &name, Kind::Sink, patience, target, {
            move |status, desk, stop| {
                let (spec, host) = (Arc::clone(&spec), host.clone());
                sink::run(spec, host, status, desk, stop)
            }
        })
    }

    /// Starts a connector that lives by `run`; it waits for no other.
    pub(crate) fn add<F: Future<Output = Exit> + Send + 'static>(
        &self,
        pipeline: &str,
        name: &str,
        kind: Kind,
        patience: Patience,
        target: Target,
        run: impl Fn(Arc<Status>, Arc<Desk>, CancellationToken) -> F + Send + Sync + 'static,
    ) -> Result<(), Unchanged> {
        let host = self.inner.host.clone();
        let mut members = self.members();
        if members.stopping {
            return Err(Unchanged::Stopping);
        }
        if members.by_name.contains_key(name) {
            return Err(Unchanged::Exists(name.to_owned()));
        }
        let metrics = host.telemetry.connector(&ConnectorLabels {
            pipeline: pipeline.to_owned(),
            connector: name.to_owned(),
            kind,
        });
        let status = Status::new(pipeline, name, kind == Kind::Source, metrics);
        let (desk, lever) = (Desk::new(&status), Arc::new(Lever::new(target)));
        let (stop, again) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let supervisor = {
            let (status, desk) = (Arc::clone(&status), Arc::clone(&desk));
            let own_desk = Arc::clone(&desk);
            let (lever, stop) = (Arc::clone(&lever), stop.clone());
            let (run_status, again, end) = (Arc::clone(&status), Arc::clone(&again), stop.clone());
            let serve = move |stop: CancellationToken| {
                // This life is the one that was asked for.
                again.store(false, Ordering::Release);
                let life = run(Arc::clone(&run_status), Arc::clone(&desk), stop);
                let (status, again, end) =
                    (Arc::clone(&run_status), Arc::clone(&again), end.clone());
                async move {
                    let exit = life.await;
                    // It said how this life ended, and stays neither stopped nor failed.
                    if again.swap(false, Ordering::AcqRel) && !end.is_cancelled() {
                        status.set_state(asked_for());
                    }
                    exit
                }
            };
            async move { supervise(host, &status, &own_desk, patience, &lever, stop, serve).await }
        };
        let span = tracing::info_span!("connector", %name);
        let member = Member {
            status,
            lever,
            desk,
            stop,
            again,
            supervisor: Some(tokio::spawn(supervisor.instrument(span))),
        };
        members.by_name.insert(name.to_owned(), member);
        Ok(())
    }

    /// What the connector is to do from now on. It is asked, not awaited: its state tells when it
    /// has done so.
    ///
    /// # Errors
    /// There is none of the name.
    pub fn set_target(&self, name: &str, target: Target) -> Result<(), Unchanged> {
        self.lever(name)?.set(target);
        tracing::info!(connector = %name, ?target, "asked of it");
        Ok(())
    }

    /// What the connector was last asked to do.
    ///
    /// # Errors
    /// There is none of the name.
    pub fn target(&self, name: &str) -> Result<Target, Unchanged> {
        Ok(self.lever(name)?.target())
    }

    /// Drains the connector and starts it anew: from positions, without what it had taken and not
    /// finished. One that is FAILED gets another chance; one that rests goes on resting. It is
    /// asked, not awaited: until it runs again it is RESTARTING.
    ///
    /// # Errors
    /// There is none of the name.
    pub fn restart(&self, name: &str) -> Result<(), Unchanged> {
        self.of(name, Member::restart)?;
        tracing::info!(connector = %name, "restart asked of it");
        Ok(())
    }

    fn lever(&self, name: &str) -> Result<Arc<Lever>, Unchanged> {
        self.of(name, |member| Arc::clone(&member.lever))
    }

    fn of<T>(&self, name: &str, told: impl FnOnce(&Member) -> T) -> Result<T, Unchanged> {
        let members = self.members();
        let member = members.by_name.get(name);
        let member = member.ok_or_else(|| Unchanged::Unknown(name.to_owned()))?;
        Ok(told(member))
    }

    /// Drains a connector within `grace` and forgets it. When it returns, another one may have its
    /// name.
    ///
    /// # Errors
    /// There is none of the name, or it is being removed already.
    pub async fn remove(&self, name: &str, grace: Duration) -> Result<Exit, Unchanged> {
        let (stop, supervisor) = {
            let mut members = self.members();
            let member = members.by_name.get_mut(name);
            let taken = member.and_then(|it| Some((it.stop.clone(), it.supervisor.take()?)));
            taken.ok_or_else(|| Unchanged::Unknown(name.to_owned()))?
        };
        stop.cancel();
        let exit = end(name, supervisor, Instant::now() + grace).await;
        let gone = self.members().by_name.remove(name);
        if let Some(member) = gone {
            member.status.set_state(State::Stopped);
        }
        tracing::info!(connector = %name, ?exit, "removed");
        Ok(exit)
    }

    /// Changes connectors' versions while they run.
    pub fn controls(&self) -> Controls {
        let pipelines = self.clone();
        Controls::new(move |name| {
            let members = pipelines.members();
            members.by_name.get(name).map(|it| Arc::clone(&it.desk))
        })
    }

    /// The statuses, for whoever shows them: as records go, each pipeline's source before its
    /// sinks.
    pub fn statuses(&self) -> Vec<Arc<Status>> {
        let mut statuses: Vec<_> = {
            let members = self.members();
            let all = members.by_name.values();
            all.map(|it| Arc::clone(&it.status)).collect()
        };
        statuses.sort_by_cached_key(|status| {
            let report = status.report();
            (report.pipeline, !report.source, report.connector)
        });
        statuses
    }

    /// The status of one connector.
    pub fn status(&self, name: &str) -> Option<Arc<Status>> {
        let members = self.members();
        members.by_name.get(name).map(|it| Arc::clone(&it.status))
    }

    /// Waits until nothing has arrived for `quiet` and all that arrived is committed, or until no
    /// connector is at work. Quiet is what was looked at and found so: a process that stood still, as on
    /// a machine that was suspended, can't tell what would have arrived meanwhile.
    pub async fn until_idle(&self, quiet: Duration) {
        let enough = quiet.as_nanos().div_ceil(IDLE_EVERY.as_nanos()).max(1);
        let mut tick = tokio::time::interval(IDLE_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = 0;
        let mut active = None;
        while looks < enough {
            tick.tick().await;
            let statuses = self.statuses();
            let reports: Vec<Report> = statuses.iter().map(|it| it.report()).collect();
            if reports.iter().all(|it| work(it) == Work::Over) {
                return;
            }
            let before = active.replace(reports.iter().map(|it| it.last_active).max());
            let still = before == active && reports.iter().all(|it| work(it) != Work::Left);
            looks = if still { looks + 1 } else { 0 };
        }
    }

    /// Stops sources first, lets sinks read what these took last, then commit what they have put,
    /// and waits for all of it at most `grace`. What has not ended by then is killed, and the
    /// ending says so. Nothing can be added any more.
    pub async fn shut_down(&self, grace: Duration) -> Ending {
        self.members().stopping = true;
        let until = Instant::now() + grace;
        let mut exits = self.end_all(Kind::Source, until).await;
        self.catch_up(until, grace).await;
        exits.append(&mut self.end_all(Kind::Sink, until).await);
        Ending { exits }
    }

    /// Ends all connectors of one kind together.
    async fn end_all(&self, kind: Kind, until: Instant) -> BTreeMap<String, Exit> {
        let mut ending = Vec::new();
        for (name, member) in &mut self.members().by_name {
            if member.status.report().source == (kind == Kind::Source) {
                member.stop.cancel();
                let supervisor = member.supervisor.take();
                ending.extend(supervisor.map(|it| (name.clone(), it)));
            }
        }
        let ending = ending.into_iter().map(|(name, supervisor)| async move {
            let exit = end(&name, supervisor, until).await;
            (name, exit)
        });
        join_all(ending).await.into_iter().collect()
    }

    /// Waits until the sinks have put all that lies in the log, but not for long. Without sources
    /// of our own nobody can say that the log ends.
    async fn catch_up(&self, until: Instant, grace: Duration) {
        let statuses = self.statuses();
        if !statuses.iter().any(|status| status.report().source) {
            return;
        }
        let since = self.inner.host.clock.now();
        let caught_up = |report: &Report| {
            let idle = report.lag == 0 && report.lag_at > since;
            report.source || report.state != State::Running || idle
        };
        let waiting = async {
            let mut tick = tokio::time::interval(IDLE_EVERY);
            while !statuses.iter().all(|s| caught_up(&s.report())) {
                tick.tick().await;
            }
        };
        let most = until.min(Instant::now() + CATCH_UP_MAX.min(grace / 2));
        if tokio::time::timeout_at(most, waiting).await.is_err() {
            tracing::info!("sinks stop before they have read all that lies in the log");
        }
    }
}

/// What a connector has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Left,
    /// None, until something arrives.
    Done,
    /// None, whatever arrives.
    Over,
}

fn work(report: &Report) -> Work {
    match report.state {
        State::Failed { .. } | State::Stopped | State::Paused => Work::Over,
        State::Unassigned | State::Restarting { .. } => Work::Left,
        State::Running => {
            let read = report.source || (report.lag_whole && report.lag == 0);
            if report.open == 0 && read {
                Work::Done
            } else {
                Work::Left
            }
        }
    }
}
