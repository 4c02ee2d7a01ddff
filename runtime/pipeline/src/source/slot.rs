//! One slot of a source: its inbox and connections outlive the instances that serve it.

use super::life::{Life, LifeEnd};
use super::turn::{Command, Fallback};
use crate::failures::Failed;
use crate::host::Host;
use crate::meter::{self, Meter};
use crate::retries::Retries;
use crate::spec::SourceSpec;
use crate::status::{Backlog, State, Status};
use crate::swap::Version;
use jackfield_core::{Next, after};
use jackfield_plugin::{
    CallError, Connections, Inbox, Interrupt, Requests, Saved, Slot, SourceHost, SourceInstance,
    Usage,
};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Bytes of events that a slot keeps until they are settled: some seconds of a busy exchange,
/// and a bound on what a stalled log costs in memory.
pub(super) const INBOX_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What every life of a slot's instance shares.
pub(crate) struct Shared {
    pub(crate) spec: Arc<SourceSpec>,
    pub(crate) host: Host,
    pub(crate) slot: Slot,
    pub(crate) number: u32,
    pub(crate) slots: u32,
    pub(crate) status: Arc<Status>,
    pub(crate) stop: CancellationToken,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) interrupt: Interrupt,
    pub(crate) usage: Arc<Usage>,
}

/// How a slot ended.
#[derive(Debug)]
pub(crate) enum SlotEnd {
    /// It was asked to, and all it took is durable.
    Drained,
    /// The slot will never produce again.
    Ended,
    /// The slots no longer fit the origin.
    Replan,
    /// It gave up.
    Failed(Failed),
    /// Its new version failed on probation, and the old one splits the work in another way.
    Worse(Failed),
}

/// What serves a slot, over its lives.
pub(crate) struct Serving {
    /// What runs.
    pub(crate) version: Arc<Version>,
    /// For the next life's instance: what an earlier one of its version saved.
    pub(crate) saved: Option<Saved>,
    /// While `version` is on probation.
    pub(crate) fallback: Option<Fallback>,
    /// What the supervisor asked for between two lives, for the next one.
    pub(crate) asked: Option<Command>,
    /// From the supervisor.
    pub(crate) commands: mpsc::Receiver<Command>,
    /// To the supervisor: it went back, and why.
    pub(crate) went_back: mpsc::Sender<String>,
}

impl Serving {
    /// Before a life there is nothing to bring to rest yet, but the verdict on a version counts.
    /// True: another version goes on, which has nothing to wait for.
    fn obey_between_lives(&mut self, command: Command) -> bool {
        match command {
            Command::Rest { .. } => {
                self.asked = Some(command);
                false
            }
            // Whoever waits for it is told by its end.
            Command::Watch { .. } => false,
            Command::Keep => {
                self.fallback = None;
                false
            }
            Command::FallBack(_) => match self.fallback.take() {
                Some(Fallback::To(version, saved)) => {
                    self.version = version;
                    self.saved = saved;
                    true
                }
                // All slots are about to end.
                Some(Fallback::Replan) | None => false,
            },
        }
    }

    /// Obeys for so long, or until another version goes on.
    async fn obey_for(&mut self, wait: Duration) {
        let mut waited = pin!(tokio::time::sleep(wait));
        loop {
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => {
                    if self.obey_between_lives(command) {
                        return;
                    }
                }
                () = &mut waited => return,
            }
        }
    }
}

impl Shared {
    pub(crate) fn new(
        spec: &Arc<SourceSpec>,
        host: &Host,
        slot: Slot,
        (number, slots): (u32, u32),
        status: &Arc<Status>,
        stop: CancellationToken,
    ) -> Self {
        let usage = meter::usage(status.metrics());
        let inbox = Inbox::new(INBOX_BYTES_MAX);
        Self {
            connections: Connections::new(inbox.clone(), spec.websocket.clone(), usage.clone()),
            requests: Requests::new(inbox.clone(), spec.http.clone(), usage.clone()),
            inbox,
            spec: Arc::clone(spec),
            host: host.clone(),
            slot,
            number,
            slots,
            status: Arc::clone(status),
            stop,
            interrupt: Interrupt::default(),
            usage,
        }
    }

    /// An instance of a version that is given what is this slot's.
    pub(crate) async fn instance(&self, version: &Version) -> Result<SourceInstance, CallError> {
        let host = SourceHost {
            connector: self.spec.connector.clone(),
            inbox: self.inbox.clone(),
            connections: self.connections.clone(),
            requests: self.requests.clone(),
            interrupt: self.interrupt.clone(),
            usage: self.usage.clone(),
        };
        SourceInstance::new(&version.plugged.plugin, host, &version.plugged.limits).await
    }

    /// Publishes how much is taken and not durable, or asked for and not there yet.
    pub(crate) fn count_open(&self, appends: usize, behind: u64) {
        let events = self.inbox.last().saturating_sub(self.inbox.settled());
        let awaited = self.connections.opening() + self.requests.under_way();
        self.status.set_backlog(
            self.number,
            Some(Backlog {
                events,
                bytes: self.inbox.bytes() as u64,
                appends: appends as u64,
                awaited: awaited as u64,
                behind,
            }),
        );
        if events > 0 || behind > 0 {
            self.status.active(self.host.clock.now());
        }
    }
}

/// Serves the slot, one life after another, until it drains, ends or gives up. Then its
/// connections are closed and its inbox is dropped: positions decide where the next one goes on.
pub(crate) async fn run(shared: Arc<Shared>, mut serving: Serving) -> SlotEnd {
    let mut meter = Meter::new(&shared.usage, &shared.status);
    let end = tokio::select! {
        end = lives(&shared, &mut serving) => end,
        never = meter.run() => match never {},
    };
    shared.connections.close_all().await;
    shared.requests.close();
    shared.inbox.close();
    shared.status.set_backlog(shared.number, None);
    end
}

async fn lives(shared: &Shared, serving: &mut Serving) -> SlotEnd {
    let mut retries = Retries::new(shared.spec.patience, shared.host.clock);
    loop {
        while let Ok(command) = serving.commands.try_recv() {
            serving.obey_between_lives(command);
        }
        let opening = Life::open(shared, serving);
        let failed = match unless_stopped(&shared.stop, opening).await {
            Ok(None) => return SlotEnd::Drained,
            Ok(Some(mut life)) => match life.run().await {
                Ok(LifeEnd::Drained) => return SlotEnd::Drained,
                Ok(LifeEnd::Ended) => return SlotEnd::Ended,
                Ok(LifeEnd::Replan) => return SlotEnd::Replan,
                Err(failed) => {
                    if life.health.was_healthy() {
                        retries.progressed();
                    }
                    life.abandon().await;
                    failed
                }
            },
            Err(failed) => failed,
        };
        shared.status.failed(&failed);
        if failed.component && !shared.stop.is_cancelled() {
            match serving.fallback.take() {
                Some(Fallback::To(version, saved)) => {
                    serving.version = version;
                    serving.saved = saved;
                    // There is room for what each slot can say once.
                    if let Err(unsaid) = serving.went_back.try_send(failed.to_string()) {
                        tracing::warn!(connector = %shared.spec.connector, %unsaid, "nobody was told that a slot went back");
                    }
                    continue;
                }
                Some(Fallback::Replan) => return SlotEnd::Worse(failed),
                None => {}
            }
        }
        if after::source(failed.consequence) == Next::Fail || shared.stop.is_cancelled() {
            return SlotEnd::Failed(failed);
        }
        let wait = match retries.wait(&failed) {
            Ok(wait) => wait,
            Err(failed) => {
                shared.status.failed(&failed);
                return SlotEnd::Failed(failed);
            }
        };
        tracing::warn!(connector = %shared.spec.connector, slot = %shared.slot.id, %failed, wait_ms = wait.as_millis() as u64, "source restarts from what is stored");
        shared.status.metrics().restarts(1);
        shared.status.set_state(State::Restarting {
            trace: failed.to_string(),
        });
        tokio::select! {
            () = shared.stop.cancelled() => return SlotEnd::Drained,
            () = serving.obey_for(wait) => {}
        }
    }
}

/// What has been opened. `None`: a stop came first. An opening takes nothing, so that it is dropped
/// then, and its failure is nobody's concern: what an earlier life took is the next start's to take
/// again, as it is between two lives.
async fn unless_stopped<T>(
    stop: &CancellationToken,
    opening: impl Future<Output = Result<T, Failed>>,
) -> Result<Option<T>, Failed> {
    let opened = tokio::select! {
        biased;
        // A call is dropped with its instance. A writer that the log goes on opening in the
        // background can fence the next start's, which then begins again at what is stored.
        () = stop.cancelled() => return Ok(None),
        opened = opening => opened,
    };
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(failed) if stop.is_cancelled() => {
            tracing::debug!(%failed, "a slot that was told to stop did not open");
            Ok(None)
        }
        Err(failed) => Err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_log::LogError;
    use std::future::{pending, ready};
    use tokio::time::timeout;

    /// Far longer than anything here takes.
    const STUCK_AFTER: Duration = Duration::from_secs(60);

    /// What a log without brokers says of a writer.
    fn no_writer() -> Result<(), Failed> {
        let away = LogError::Retriable("no broker answers".to_owned());
        Err(Failed::log("open writer", away))
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_what_is_being_opened() {
        let stop = CancellationToken::new();
        let opening = unless_stopped::<()>(&stop, pending());
        let stopping = async { stop.cancel() };
        let both = async { tokio::join!(opening, stopping) };
        let (opened, ()) = timeout(STUCK_AFTER, both).await.unwrap();
        assert!(matches!(opened, Ok(None)), "{opened:?}");
    }

    #[tokio::test]
    async fn what_does_not_open_after_a_stop_has_not_failed() {
        let stop = CancellationToken::new();
        let failed = unless_stopped(&stop, ready(no_writer())).await;
        assert_eq!(failed.unwrap_err().what, "open writer", "nobody stops it");
        let stopped_meanwhile = async {
            stop.cancel();
            no_writer()
        };
        let opened = unless_stopped(&stop, stopped_meanwhile).await;
        assert!(matches!(opened, Ok(None)), "{opened:?}");
    }
}
