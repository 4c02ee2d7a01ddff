//! One life of a source's instance: from what is stored to a drain or a failure.

use super::append;
use super::feeds::Routes;
use super::slot::{Serving, Shared};
use super::turn::{Command, Fallback, Go, Rested, Successor};
use super::way::{PollTimes, Way};
use crate::dead_letters::Reporter;
use crate::failures::Failed;
use crate::retries::Retries;
use crate::shadow::{SlotWatch, TAP_BYTES_MAX, Twin};
use crate::status::State;
use crate::swap::Version;
use jackfield_core::{Consequence, Next, SettledUpTo, SourceStep, SourceTask, after};
use jackfield_log::{Identity, InboxMark, LogError, Writer};
use jackfield_plugin::{
    CallError, Context, Delivery, Feed, PollLimits, Polled, Position, Role, Saved, SourceInstance,
};
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
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

/// Longest wait inside one `poll` for the first event: bounds how stale a slot's view of its own
/// timers gets. A stop ends the wait early.
const POLL_WAIT: Duration = Duration::from_millis(250);
/// Records and bytes of one poll, as the batch format allows.
const POLL_LIMITS: PollLimits = PollLimits {
    batch_bytes_max: jackfield_batch::BATCH_BYTES_MAX as u32,
    batch_records_max: jackfield_batch::RECORDS_MAX,
    wait_ms: POLL_WAIT.as_millis() as u32,
};

/// Bytes of all positions of a slot: they are held in memory, read back and given to each new
/// instance as a whole.
const POSITIONS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is durable, by the origin's partitions.
#[derive(Default)]
struct Durable {
    all: BTreeMap<String, Position>,
    /// Of all.
    bytes: usize,
    /// The newest that the component does not know of yet.
    to_tell: BTreeMap<String, Position>,
}

impl Durable {
    fn new(stored: &[Position]) -> Self {
        let mut durable = Self::default();
        stored.iter().for_each(|it| durable.keep(it));
        durable
    }

    fn add(&mut self, positions: Vec<Position>) {
        for it in positions {
            self.keep(&it);
            self.to_tell.insert(it.partition.clone(), it);
        }
    }

    fn keep(&mut self, position: &Position) {
        let before = match &position.offset {
            Some(_) => {
                self.bytes += bytes_of(position);
                self.all
                    .insert(position.partition.clone(), position.clone())
            }
            None => self.all.remove(&position.partition),
        };
        self.bytes -= before.as_ref().map_or(0, bytes_of);
    }

    /// Whether there is room for more.
    fn check(&self) -> Result<(), Failed> {
        if self.bytes <= POSITIONS_BYTES_MAX {
            return Ok(());
        }
        Err(Failed::for_good(
            "poll",
            format!(
                "the component keeps {} positions of {} bytes together, at most {POSITIONS_BYTES_MAX} are kept",
                self.all.len(),
                self.bytes
            ),
        ))
    }
}

fn bytes_of(position: &Position) -> usize {
    position.partition.len() + position.offset.as_ref().map_or(0, String::len)
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
    way: Way,
    durable: Durable,
    /// What the supervisor asked for while a call was under way.
    asked: Option<Command>,
    log_failure: Option<LogError>,
    /// Records that the component knows to be at the origin and has not given yet.
    behind: u64,
    /// Something became durable in this life.
    pub(crate) progressed: bool,
}

impl<'a> Life<'a> {
    /// Fences earlier writers, reads back what is stored, and opens an instance there, with the
    /// inbox given again from the first event that is not contained in it.
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
            way: Way::default(),
            durable,
            asked,
            log_failure: None,
            behind: 0,
            progressed: false,
        })
    }

    /// Polls and appends until it is drained, has ended, or fails.
    pub(crate) async fn run(&mut self, retries: &mut Retries) -> Result<LifeEnd, Failed> {
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
                    if let Some(why) = self.poll_once(retries).await? {
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

    /// Comes to rest, and lets another instance go on if all goes well.
    async fn rest(
        &mut self,
        rested: oneshot::Sender<Rested>,
        go: oneshot::Receiver<Go>,
    ) -> Result<Turn, Failed> {
        let began = Instant::now();
        let inbox = &self.shared.inbox;
        let in_flight = inbox.given().saturating_sub(inbox.settled());
        while self.task.in_flight() > 0 {
            self.await_oldest().await;
            if let Some(error) = self.log_failure.take() {
                return Err(Failed::log("append", error));
            }
        }
        // One that can't even be asked for its state is all the more to be replaced.
        let (saved, died) = match self.save().await {
            Ok(saved) => (saved, None),
            Err(failed) => (None, Some(failed)),
        };
        self.shared.interrupt.clear();
        // Whoever asked may have given up: then nothing is sent by `go` either.
        let _gone = rested.send(Rested { in_flight });
        let goes_on = match go.await {
            Ok(Go::Swap(successor)) => self.hand_over(*successor, saved, began).await,
            Ok(Go::End) if died.is_some() => return Ok(Turn::EndDead),
            Ok(Go::End) => return Ok(Turn::End),
            Err(_) => false,
        };
        match died {
            Some(failed) if !goes_on => Err(failed),
            Some(_) | None => Ok(Turn::GoOn),
        }
    }

    async fn save(&mut self) -> Result<Option<Saved>, Failed> {
        match self.instance.save().await {
            Ok(saved) => Ok(Some(saved)),
            // The state is a cache: opening without it must be right too.
            Err(CallError::Failure(failure)) => {
                let failed = Failed::call("save", CallError::Failure(failure));
                tracing::warn!(connector = %self.shared.spec.connector, %failed, "goes on without saved state");
                Ok(None)
            }
            Err(dead @ CallError::Dead(_)) => Err(Failed::call("save", dead)),
        }
    }

    /// Lets someone listen from here on. What is on its way to the log counts as taken: nobody
    /// waits for it.
    async fn watched(
        &mut self,
        outputs: bool,
        reply: oneshot::Sender<SlotWatch>,
    ) -> Result<Turn, Failed> {
        let saved = self.save().await?;
        let shared = self.shared;
        shared.interrupt.clear();
        let contained = self.task.last_done();
        let Some(tap) = shared.inbox.tap(contained, TAP_BYTES_MAX) else {
            // Too many listen already, which the dropped reply says.
            return Ok(Turn::GoOn);
        };
        let mut positions = self.durable.all.clone();
        for it in self.task.in_flight_positions() {
            match &it.offset {
                Some(_) => positions.insert(it.partition.clone(), it.clone()),
                None => positions.remove(&it.partition),
            };
        }
        let (twin, told) = Twin::new();
        let watch = SlotWatch {
            slot: shared.slot.clone(),
            number: shared.number,
            slots: shared.slots,
            contained,
            positions: positions.into_values().collect(),
            saved,
            connections: shared.connections.list(),
            feeds: self.feeds.clone(),
            tap,
            told,
        };
        // Who does not wait any more drops the tap, and with it all that it would have cost. Whoever
        // compares already goes on in any case.
        let waited_for = reply.send(watch).is_ok();
        if waited_for && outputs {
            self.twin = Some(twin);
        }
        Ok(Turn::GoOn)
    }

    /// Lets another instance go on; false: it can't.
    async fn hand_over(
        &mut self,
        successor: Successor,
        saved: Option<Saved>,
        began: Instant,
    ) -> bool {
        let Successor {
            version,
            instance,
            done,
        } = successor;
        let inbox = &self.shared.inbox;
        let (given, contained) = (inbox.given(), self.task.last_done());
        inbox.settle(contained);
        inbox.rewind(contained);
        match self.open_successor(&version, instance, saved.clone()).await {
            Ok((instance, routes, feeds)) => {
                // The old one is only dropped: what it would do in `close` is not its turn any more.
                self.instance = instance;
                self.routes = routes;
                self.feeds = feeds;
                // Another version is no longer what it was compared with.
                self.twin = None;
                self.task = SourceTask::new(contained);
                self.durable.to_tell.clear();
                self.behind = 0;
                let old = std::mem::replace(&mut self.serving.version, version);
                self.serving.fallback = Some(Fallback::To(old, saved));
                let _gone = done.send(Ok(began.elapsed()));
                true
            }
            Err(failed) => {
                // What the old one was given it still has.
                inbox.rewind(given);
                let _gone = done.send(Err(failed));
                false
            }
        }
    }

    async fn open_successor(
        &mut self,
        version: &Version,
        mut instance: SourceInstance,
        saved: Option<Saved>,
    ) -> Result<(SourceInstance, Routes, Vec<Feed>), Failed> {
        let shared = self.shared;
        let positions = self.durable.all.values().cloned().collect();
        let settings = version.plugged.settings.clone();
        let feeds = open_at(shared, &mut instance, settings, positions, saved)
            .await
            .map_err(|e| Failed::call("open", e))?;
        let mut routes = Routes::default();
        routes
            .extend(
                feeds.clone(),
                &shared.spec.topics,
                &shared.host,
                shared.status.metrics(),
            )
            .await?;
        Ok((instance, routes, feeds))
    }

    async fn poll_once(&mut self, retries: &mut Retries) -> Result<Option<LifeEnd>, Failed> {
        let began = Instant::now();
        let (polled, poll) = match self.poll_while_appending().await {
            Ok(polled) => {
                let ended = Instant::now();
                (polled, PollTimes { began, ended })
            }
            Err(failed) if after::source(failed.consequence) == Next::CallAgain => {
                self.retry_wait(&failed, retries).await?;
                return Ok(None);
            }
            Err(failed) => return Err(failed),
        };
        if self.log_failure.is_some() {
            return Ok(None);
        }
        self.store(polled, poll).await
    }

    /// One `poll`, with outcomes of earlier appends taken in the meantime. The call is never
    /// dropped half-way: when the log fails, waits inside it end early and it is seen through.
    async fn poll_while_appending(&mut self) -> Result<Polled, Failed> {
        let Life {
            shared,
            instance,
            task,
            way,
            durable,
            log_failure,
            progressed,
            serving,
            asked,
            ..
        } = self;
        let mut stopping = false;
        let mut poll = pin!(instance.poll(POLL_LIMITS));
        let polled = loop {
            tokio::select! {
                biased;
                Some((since, outcome)) = way.oldest(shared.status.metrics()) => {
                    settle(shared, task, durable, log_failure, progressed, since, outcome);
                    if log_failure.is_some() {
                        shared.interrupt.raise();
                    }
                }
                polled = &mut poll => break polled,
                Some(command) = serving.commands.recv(), if asked.is_none() => {
                    *asked = Some(command);
                    shared.interrupt.raise();
                }
                () = shared.stop.cancelled(), if !stopping => {
                    stopping = true;
                    shared.interrupt.raise();
                }
            }
        };
        if !stopping && log_failure.is_none() {
            shared.interrupt.clear();
        }
        polled.map_err(|e| Failed::call("poll", e))
    }

    async fn store(
        &mut self,
        mut polled: Polled,
        poll: PollTimes,
    ) -> Result<Option<LifeEnd>, Failed> {
        let shared = self.shared;
        self.durable.check()?;
        if let Some(twin) = &self.twin
            && !twin.tell(&polled, shared.inbox.given())
        {
            self.twin = None;
        }
        let feeds = std::mem::take(&mut polled.feeds);
        self.feeds.extend(feeds.iter().cloned());
        self.routes
            .extend(
                feeds,
                &shared.spec.topics,
                &shared.host,
                shared.status.metrics(),
            )
            .await?;
        let done_through = if polled.done_through == 0 {
            self.task.last_done()
        } else {
            polled.done_through
        };
        let mark = InboxMark {
            epoch: shared.inbox.epoch(),
            done_through,
        };
        let description = &self.serving.version.description;
        let by = Reporter {
            connector: &shared.spec.connector,
            task: shared.number,
            component: (&description.name, &description.version),
        };
        let traces = shared.status.metrics().traces();
        let (append, tally) = append::of(
            &mut polled,
            &mut self.routes,
            &shared.spec.on_bad_record,
            by,
            mark,
            now_ms(),
            traces.then(|| self.way.next_batches()),
        )?;
        let needs_append = !append.outputs.is_empty() || !append.positions.is_empty();
        let positions = std::mem::take(&mut polled.positions);
        let settled = self.task.polled(
            polled.done_through,
            shared.inbox.last(),
            positions,
            needs_append,
            polled.ended,
        )?;
        let metrics = shared.status.metrics();
        metrics.counts(
            polled.counts.duplicates,
            polled.counts.missing,
            polled.counts.recovered,
            polled.counts.event_time_max_ms,
        );
        shared.status.rejected(tally.rejected);
        metrics.dead_letters(tally.dead_letters);
        if tally.records > 0 {
            metrics.records(tally.records);
            metrics.bytes(tally.bytes);
            metrics.batches(tally.batches);
            shared.status.took(tally.records, shared.host.clock.now());
            for (topic, records) in &tally.by_topic {
                shared.status.took_of(topic, *records);
            }
        }
        if needs_append {
            match self.writer.append(append).await {
                Ok(pending) => self.way.sent(poll, pending),
                Err(error) => self.log_failure = Some(error),
            }
        } else if let Some(settled) = settled {
            self.take_settled(settled);
        }
        self.behind = polled.behind;
        shared.count_open(self.way.len(), self.behind);
        Ok(match (polled.ended, polled.replan) {
            (true, _) => Some(LifeEnd::Ended),
            (false, true) => Some(LifeEnd::Replan),
            (false, false) => None,
        })
    }

    fn take_settled(&mut self, settled: SettledUpTo<Position>) {
        self.shared.inbox.settle(settled.done_through);
        self.durable.add(settled.positions);
    }

    async fn await_oldest(&mut self) {
        let Life {
            shared,
            task,
            way,
            durable,
            log_failure,
            behind,
            progressed,
            ..
        } = self;
        if let Some((asked, outcome)) = way.oldest(shared.status.metrics()).await {
            settle(
                shared,
                task,
                durable,
                log_failure,
                progressed,
                asked,
                outcome,
            );
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
    async fn retry_wait(&mut self, failed: &Failed, retries: &mut Retries) -> Result<(), Failed> {
        self.shared.status.failed(failed);
        self.shared.status.metrics().retries(1);
        tracing::warn!(connector = %self.shared.spec.connector, slot = %self.shared.slot.id, reason = %failed.reason, "poll asked to be called again");
        let wait = retries.wait(failed)?;
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
    progressed: &mut bool,
    asked: Instant,
    outcome: Result<(), LogError>,
) {
    match outcome {
        Ok(()) => {
            shared.status.metrics().append_seconds(asked.elapsed());
            *progressed = true;
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

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(partition: &str, offset: Option<usize>) -> Position {
        Position {
            partition: partition.to_owned(),
            offset: offset.map(|bytes| "x".repeat(bytes)),
        }
    }

    #[test]
    fn positions_are_bounded_by_what_they_take_together() {
        let mut durable = Durable::new(&[position("a", Some(10))]);
        durable.add(vec![position("a", Some(4)), position("b", Some(1))]);
        assert_eq!(durable.bytes, 5 + 2);
        durable.add(vec![position("c", Some(POSITIONS_BYTES_MAX))]);
        assert!(durable.check().is_err());
        durable.add(vec![position("c", None), position("never", None)]);
        assert_eq!(durable.bytes, 5 + 2);
        assert!(durable.check().is_ok());
    }
}
