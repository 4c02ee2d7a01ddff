//! All slots of a source at work, and how they change to another version together.

mod change;
mod ends;
mod preparing;

use super::slot::{self, Serving, Shared, SlotEnd};
use super::stand;
use super::turn::{Command, Fallback};
use crate::failures::Failed;
use crate::host::Host;
use crate::shadow::{SlotWatch, SourceWatch, WatchOrder, Watched};
use crate::spec::SourceSpec;
use crate::status::Status;
use crate::swap::{Desk, Given, Order, Pace, Probation, Refused, SwapReport, Version};
use ends::{Ends, Meaning};
use jackfield_plugin::{Slot, World};
use preparing::Preparing;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Commands that may wait for a slot: a turn, and the end of its probation.
const COMMANDS_MAX: usize = 4;
/// Longest wait for all slots to come to rest: what they took must become durable, and a log that
/// takes longer is down. Until then the running version only waits.
const REST_WITHIN: Duration = Duration::from_secs(10);
/// How often what was done is looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// How the slots of one plan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// Drained, or ended for good.
    Done,
    /// Another plan is to be made.
    Replan,
}

/// A new version whose slots can still go back.
pub(super) struct Trial {
    number: u64,
    from: Arc<Version>,
    to: Arc<Version>,
    probation: Probation,
    /// The two split the work in different ways, so the slots can't go back one by one.
    replanned: bool,
}

/// What a source's supervisor keeps from plan to plan.
pub(super) struct Standing<'a> {
    pub(super) desk: &'a Desk,
    pub(super) orders: &'a mut mpsc::Receiver<Order>,
    pub(super) version: Arc<Version>,
    pub(super) trial: Option<Trial>,
    pub(super) pace: Pace,
}

impl Standing<'_> {
    /// The connector is run no longer: a version that was on probation stays.
    pub(super) fn end(&mut self) {
        if let Some(trial) = self.trial.take() {
            tracing::info!(swap = trial.number, "its probation is cut short");
            self.desk.keep(trial.number);
        }
    }

    /// Until when the version that runs can be taken back, by the pipelines' clock; `None`: not any
    /// more.
    pub(super) fn until(&self) -> Option<Duration> {
        self.trial.as_ref().map(|it| it.probation.until())
    }

    /// Writes down that the new version is no good; false when none is on probation.
    pub(super) fn take_back(&mut self, reason: &str) -> bool {
        let Some(trial) = self.trial.take() else {
            return false;
        };
        self.version = Arc::clone(&trial.from);
        self.desk
            .roll_back(trial.number, &trial.from, &trial.to, reason);
        true
    }
}

struct Crew {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Crew {
    /// Whether the slot has come to its end, and takes no commands.
    fn has_ended(&self) -> bool {
        self.commands.is_closed()
    }
}

struct Fleet<'a, 'b> {
    spec: &'a Arc<SourceSpec>,
    host: &'a Host,
    status: &'a Arc<Status>,
    stop: &'a CancellationToken,
    standing: &'a mut Standing<'b>,
    crews: Vec<Crew>,
    stop_slots: CancellationToken,
    ends: Ends,
    /// Another version that is being prepared.
    preparing: Option<Preparing>,
}

/// Runs all slots; the first that gives up, or asks for a new plan, ends the others too.
pub(super) async fn serve(
    spec: &Arc<SourceSpec>,
    host: &Host,
    status: &Arc<Status>,
    stop: &CancellationToken,
    standing: &mut Standing<'_>,
    slots: &[Slot],
) -> Result<Served, Failed> {
    let count = u32::try_from(slots.len()).unwrap_or(u32::MAX);
    status.set_tasks(count);
    if let Some(trial) = &mut standing.trial {
        // The version before has not run these slots: none can go back by itself.
        trial.replanned = true;
    }
    let (went_back, gone_back) = mpsc::channel(slots.len().max(1));
    let mut fleet = Fleet {
        spec,
        host,
        status,
        stop,
        crews: Vec::with_capacity(slots.len()),
        stop_slots: stop.child_token(),
        ends: Ends::new(),
        preparing: None,
        standing,
    };
    let mut tasks = JoinSet::new();
    for (number, slot) in (0u32..).zip(slots.iter().cloned()) {
        let span = tracing::info_span!("slot", connector = %spec.connector, slot = %slot.id);
        let stop = fleet.stop_slots.clone();
        let shared = Shared::new(spec, host, slot, (number, count), status, stop);
        let shared = Arc::new(shared);
        let (commands, asked) = mpsc::channel(COMMANDS_MAX);
        let serving = Serving {
            version: Arc::clone(&fleet.standing.version),
            saved: None,
            fallback: fleet.standing.trial.as_ref().map(|_| Fallback::Replan),
            asked: None,
            commands: asked,
            went_back: went_back.clone(),
        };
        tasks.spawn(slot::run(Arc::clone(&shared), serving).instrument(span));
        fleet.crews.push(Crew { shared, commands });
    }
    drop(went_back);
    fleet.watch(tasks, gone_back).await
}

impl Fleet<'_, '_> {
    async fn watch(
        &mut self,
        mut tasks: JoinSet<SlotEnd>,
        mut gone_back: mpsc::Receiver<String>,
    ) -> Result<Served, Failed> {
        let mut sample = tokio::time::interval(SAMPLE_EVERY);
        sample.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let due = self.standing.trial.as_ref();
            let due = due.map(|it| it.probation.until().saturating_sub(self.host.clock.now()));
            tokio::select! {
                biased;
                // A slot says so before it ends.
                Some(reason) = gone_back.recv() => self.roll_back(&reason, true).await,
                joined = tasks.join_next() => match joined {
                    Some(joined) => self.note(joined),
                    None => break,
                },
                prepared = preparing::prepared(&mut self.preparing) => self.change(prepared).await,
                Some(order) = self.standing.orders.recv() => self.obey(order).await,
                _ = sample.tick() => {
                    let (now, work) = (self.host.clock.now(), self.status.work());
                    self.standing.pace.sample(now, work);
                    self.judge().await;
                }
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => self.judge().await,
            }
        }
        self.ends.served(self.stop.is_cancelled())
    }

    fn note(&mut self, joined: Result<SlotEnd, JoinError>) {
        let passed_over = match self.ends.note(joined, self.stop.is_cancelled()) {
            Meaning::Nothing => return,
            Meaning::End => None,
            Meaning::PassedOver(failed) => Some(failed),
            Meaning::Worse(failed) => {
                let taken_back = self.standing.take_back(&failed.to_string());
                (!taken_back).then_some(failed)
            }
        };
        self.stop_slots.cancel();
        if let Some(failed) = passed_over {
            tracing::warn!(connector = %self.spec.connector, %failed, "a slot failed while all of them ended: the next plan goes on from what is stored");
        }
    }

    /// Looks at what was done: the new version stays, or goes.
    async fn judge(&mut self) {
        let (now, work) = (self.host.clock.now(), self.status.work());
        let Some(trial) = &self.standing.trial else {
            return;
        };
        let over = now >= trial.probation.until();
        let why = if over {
            trial.probation.verdict(work)
        } else {
            trial.probation.worse(work)
        };
        match why {
            Some(why) => self.roll_back(&why, false).await,
            None if over => {
                let number = trial.number;
                self.standing.trial = None;
                for crew in &self.crews {
                    // A slot that ended has nothing to keep.
                    let _ended = crew.commands.send(Command::Keep).await;
                }
                self.standing.desk.keep(number);
            }
            None => {}
        }
    }

    /// The old version takes over again. `already`: one slot did so by itself.
    async fn roll_back(&mut self, reason: &str, already: bool) {
        let replanned = self.standing.trial.as_ref().is_some_and(|it| it.replanned);
        if !self.standing.take_back(reason) {
            return;
        }
        if already {
            tracing::debug!(connector = %self.spec.connector, "a slot went back by itself");
        }
        if replanned {
            // None has anything to go back to: the old version plans when all have ended.
            self.ends.replan();
            self.stop_slots.cancel();
            return;
        }
        for crew in &self.crews {
            // A slot that ended has nothing to go back from.
            let _ended = crew
                .commands
                .send(Command::FallBack(reason.to_owned()))
                .await;
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Swap(order) => self.prepare(order),
            Order::Watch(order) => self.watch_out(order).await,
        }
    }

    fn answer(
        &self,
        reply: oneshot::Sender<Result<SwapReport, Refused>>,
        answer: Result<SwapReport, Refused>,
    ) {
        if let Err(refused) = &answer {
            tracing::warn!(connector = %self.spec.connector, %refused, "swap refused");
        }
        if reply.send(answer).is_err() {
            tracing::debug!(connector = %self.spec.connector, "nobody waits for the swap any more");
        }
    }

    /// Lets someone listen to all slots.
    async fn watch_out(&self, order: WatchOrder) {
        let WatchOrder { outputs, reply } = order;
        let answer = self.listened(outputs).await.map(|slots| {
            Watched::Source(Box::new(SourceWatch {
                spec: Arc::clone(self.spec),
                version: Arc::clone(&self.standing.version),
                given: given(self.spec),
                slots,
            }))
        });
        // Nobody waits any more: the taps go with what is dropped here, as do those of the slots that
        // answered where another one did not.
        let _gone = reply.send(answer);
    }

    async fn listened(&self, outputs: bool) -> Result<Vec<SlotWatch>, Refused> {
        let unheard = |reason: &str| Refused::NotAtRest {
            within: REST_WITHIN,
            reason: reason.to_owned(),
        };
        let mut replies = Vec::with_capacity(self.crews.len());
        for crew in self.crews.iter().filter(|crew| !crew.has_ended()) {
            let (reply, watch) = oneshot::channel();
            let command = Command::Watch { outputs, reply };
            let sent = crew.commands.try_send(command);
            sent.map_err(|_| unheard("a slot has ended, or still has to obey earlier commands"))?;
            replies.push(watch);
        }
        let all = futures::future::try_join_all(replies);
        match tokio::time::timeout(REST_WITHIN, all).await {
            Ok(Ok(slots)) => Ok(slots),
            Ok(Err(_)) => Err(unheard("a slot failed meanwhile, or others listen already")),
            Err(_) => Err(unheard("a slot does not come back from a call")),
        }
    }
}

/// What the connector is given, for who compares versions.
fn given(spec: &SourceSpec) -> Given {
    Given {
        world: World::Source,
        delivery: spec.delivery,
        websocket: !spec.websocket.is_empty(),
        http: !spec.http.is_empty(),
        lake: false,
    }
}

/// The version that a source begins with.
pub(super) async fn first(spec: &SourceSpec, desk: &Desk) -> Result<Arc<Version>, Failed> {
    let version = match desk.current() {
        Some(version) => version,
        None => Arc::new(Version::of(spec.plugged.clone()).await?),
    };
    stand(spec, &version)?;
    desk.runs(&version);
    Ok(version)
}
