//! One life of a source's instance: from what is stored to a drain or a failure.

mod hand_over;
mod health;
mod poll;

use super::durable::Durable;
use super::feeds::Routes;
use super::gathered::Gathered;
use super::slot::{Serving, Shared};
use super::turn::Command;
use super::way::Way;
use crate::failures::Failed;
use crate::shadow::Twin;
use crate::status::State;
use crate::topics;
use health::Health;
use jackfield_core::{Consequence, Next, SettledUpTo, SourceStep, SourceTask, after};
use jackfield_log::{Identity, LogError, Writer};
use jackfield_plugin::{CallError, Context, Delivery, Feed, Position, Role, Saved, SourceInstance};
use tokio::time::Instant;

/// How a life ended without a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LifeEnd {
    /// It was asked to, and all it took is durable.
    Drained,
    /// The slot will never produce again.
    Ended,
    /// The slots no longer fit the origin.
    Replan,
}

/// Whether a life goes on after a turn of its supervisor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    GoOn,
    End,
    /// It ends, and its instance died before.
    EndDead,
}

pub(crate) struct Life<'a> {
    shared: &'a Shared,
    serving: &'a mut Serving,
    instance: SourceInstance,
    writer: Box<dyn Writer>,
    routes: Routes,
    /// As they were told, by their numbers.
    feeds: Vec<Feed>,
    /// Who compares what is polled.
    twin: Option<Twin>,
    task: SourceTask<Position>,
    gathered: Gathered,
    way: Way,
    durable: Durable,
    /// What the supervisor asked for while a call was under way.
    asked: Option<Command>,
    log_failure: Option<LogError>,
    /// Records that the component knows to be at the origin and has not given yet.
    behind: u64,
    pub(crate) health: Health,
}

impl<'a> Life<'a> {
    /// Fences earlier writers, reads back what is stored, and opens an instance there, with the
    /// inbox given again from the first event that is not contained in it. May take minutes, and
    /// may be dropped while it waits.
    pub(crate) async fn open(
        shared: &'a Shared,
        serving: &'a mut Serving,
    ) -> Result<Life<'a>, Failed> {
        let spec = &shared.spec;
        let identity = Identity {
            cluster: shared.host.cluster.clone(),
            connector: spec.connector.clone(),
            slot: shared.slot.id.clone(),
        };
        let log = &shared.host.log;
        let writer = match spec.delivery {
            Delivery::ExactlyOnce => log.writer(&identity).await,
            Delivery::AtLeastOnce => log.writer_at_least_once(&identity).await,
        };
        let writer = writer.map_err(|e| Failed::log("open writer", e))?;
        topics::create_dead_letters(&shared.host, &spec.on_bad_record).await?;
        let stored = log
            .stored(&identity)
            .await
            .map_err(|e| Failed::log("read positions", e))?;
        let inbox = &shared.inbox;
        let contained = match stored.mark {
            Some(mark) if mark.epoch == inbox.epoch() => mark.done_through.max(inbox.settled()),
            Some(_) | None => inbox.settled(),
        };
        inbox.settle(contained);
        inbox.rewind(contained);
        shared.interrupt.clear();
        let mut instance = shared
            .instance(&serving.version)
            .await
            .map_err(|e| Failed::call("instantiate", e))?;
        let positions: Vec<Position> = stored
            .positions
            .into_iter()
            .map(|p| Position {
                partition: p.partition,
                offset: p.offset,
            })
            .collect();
        let durable = Durable::new(&positions);
        let settings = serving.version.plugged.settings.clone();
        let saved = serving.saved.take();
        let feeds = open_at(shared, &mut instance, settings, positions, saved)
            .await
            .map_err(|e| Failed::call("open", e))?;
        let mut routes = Routes::default();
        let asked = serving.asked.take();
        let metrics = shared.status.metrics();
        routes
            .extend(feeds.clone(), &spec.topics, &shared.host, metrics)
            .await?;
        Ok(Life {
            shared,
            serving,
            instance,
            writer,
            routes,
            feeds,
            twin: None,
            task: SourceTask::new(contained),
            gathered: Gathered::new(spec.gathering),
            way: Way::default(),
            durable,
            asked,
            log_failure: None,
            behind: 0,
            health: Health::new(spec.patience, shared.host.clock),
        })
    }

    /// Polls and appends until it is drained, has ended, or fails.
    pub(crate) async fn run(&mut self) -> Result<LifeEnd, Failed> {
        self.shared.status.set_state(State::Running);
        // What is quiet from here on is idle; how long it took to get here is not.
        self.shared.status.active(self.shared.host.clock.now());
        let mut end = LifeEnd::Drained;
        loop {
            if self.shared.stop.is_cancelled() {
                self.task.drain();
            }
            if let Some(command) = self.command() {
                match self.obey(command).await? {
                    Turn::GoOn => {}
                    Turn::End => break,
                    Turn::EndDead => return Ok(end),
                }
            }
            match self.task.step() {
                SourceStep::Poll => {
                    if let Some(why) = self.poll_once().await? {
                        end = why;
                        self.task.drain();
                    }
                }
                SourceStep::AwaitAppend => self.await_oldest().await,
                SourceStep::Drained => break,
            }
            if let Some(error) = self.log_failure.take() {
                return Err(Failed::log("append", error));
            }
            self.health.look(self.task.in_flight());
            self.tell_settled().await?;
        }
        self.instance
            .close()
            .await
            .map_err(|e| Failed::call("close", e))?;
        Ok(end)
    }

    fn command(&mut self) -> Option<Command> {
        // Whoever drains has no more turns to give.
        let asked = self.asked.take();
        let asked = asked.or_else(|| self.serving.commands.try_recv().ok());
        asked.filter(|_| !self.shared.stop.is_cancelled())
    }

    async fn obey(&mut self, command: Command) -> Result<Turn, Failed> {
        match command {
            Command::Rest { rested, go } => self.rest(rested, go).await,
            Command::Keep => {
                self.serving.fallback = None;
                Ok(Turn::GoOn)
            }
            Command::FallBack(reason) if self.serving.fallback.is_some() => {
                Err(Failed::new("probation", Consequence::Replace, reason))
            }
            // It went back already.
            Command::FallBack(_) => Ok(Turn::GoOn),
            Command::Watch { outputs, reply } => self.watched(outputs, reply).await,
        }
    }

    fn take_settled(&mut self, settled: SettledUpTo<Position>) {
        self.shared.inbox.settle(settled.done_through);
        self.durable.add(settled.positions);
    }

    /// Gives the log what waited for more.
    async fn release(&mut self) {
        while let Some(waiting) = self.gathered.next() {
            match self.writer.append(waiting.append).await {
                Ok(pending) => self.way.sent(waiting.poll, pending, waiting.batches),
                Err(error) => {
                    self.log_failure.get_or_insert(error);
                    return;
                }
            }
        }
    }

    /// Waits for the oldest append, and lets none wait for others meanwhile.
    async fn await_oldest(&mut self) {
        self.release().await;
        if self.log_failure.is_some() {
            return;
        }
        let Life {
            shared,
            task,
            way,
            durable,
            log_failure,
            behind,
            health,
            ..
        } = self;
        if let Some((asked, outcome)) = way.oldest(shared.status.metrics()).await {
            settle(shared, task, durable, log_failure, health, asked, outcome);
        }
        shared.count_open(way.len(), *behind);
    }

    /// Tells the component what is durable, so that it may release what the origin keeps.
    async fn tell_settled(&mut self) -> Result<(), Failed> {
        if self.durable.to_tell.is_empty() {
            return Ok(());
        }
        let positions = self.durable.to_tell.values().cloned().collect();
        match self
            .instance
            .settled(positions)
            .await
            .map_err(|e| Failed::call("settled", e))
        {
            Ok(()) => {
                self.durable.to_tell.clear();
                Ok(())
            }
            // It is told again after the next poll; nothing depends on it having heard.
            Err(failed) if after::source(failed.consequence) == Next::CallAgain => {
                self.shared.status.failed(&failed);
                self.shared.status.metrics().retries(1);
                Ok(())
            }
            Err(failed) => Err(failed),
        }
    }

    /// Waits as long as the component asked, unless a stop or a command comes first: who is asked
    /// to go does not keep the next one waiting.
    async fn retry_wait(&mut self, failed: &Failed) -> Result<(), Failed> {
        self.shared.status.failed(failed);
        self.shared.status.metrics().retries(1);
        tracing::warn!(connector = %self.shared.spec.connector, slot = %self.shared.slot.id, reason = %failed.reason, "poll asked to be called again");
        let wait = self.health.poll_failed(failed)?;
        self.release().await;
        if self.log_failure.is_some() {
            return Ok(());
        }
        tokio::select! {
            () = self.shared.stop.cancelled() => {}
            Some(command) = self.serving.commands.recv(), if self.asked.is_none() => {
                self.asked = Some(command);
            }
            () = tokio::time::sleep(wait) => {}
        }
        Ok(())
    }

    /// Ends the life after a failure: the writer is closed, so that what is on its way is known.
    pub(crate) async fn abandon(self) {
        if let Err(error) = self.writer.close().await {
            // Opening the next writer fences this one; what it had stored is read back then.
            tracing::debug!(connector = %self.shared.spec.connector, %error, "closing a failed writer");
        }
    }
}

/// Takes up the slot where the positions say.
async fn open_at(
    shared: &Shared,
    instance: &mut SourceInstance,
    settings: String,
    positions: Vec<Position>,
    saved: Option<Saved>,
) -> Result<Vec<Feed>, CallError> {
    let context = Context {
        connector: shared.spec.connector.clone(),
        delivery: shared.spec.delivery,
        role: Role::Task(shared.number),
        tasks: shared.slots,
    };
    let slot = shared.slot.clone();
    instance
        .open(context, settings, slot, positions, saved)
        .await
}

fn settle(
    shared: &Shared,
    task: &mut SourceTask<Position>,
    durable: &mut Durable,
    log_failure: &mut Option<LogError>,
    health: &mut Health,
    asked: Instant,
    outcome: Result<(), LogError>,
) {
    match outcome {
        Ok(()) => {
            shared.status.metrics().append_seconds(asked.elapsed());
            health.appended();
            if let Some(settled) = task.appended() {
                if let Some(waited) = shared.inbox.settle(settled.done_through) {
                    shared.status.metrics().settle_seconds(waited);
                }
                durable.add(settled.positions);
            }
        }
        // The first failure names the cause; those after it only follow from it.
        Err(error) if log_failure.is_none() => *log_failure = Some(error),
        Err(_) => {}
    }
}
