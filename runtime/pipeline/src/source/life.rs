//! One life of a source's instance: from what is stored to a drain or a failure.

use super::append;
use super::feeds::Routes;
use super::slot::Shared;
use crate::failures::Failed;
use crate::retries::Retries;
use crate::status::State;
use futures::FutureExt;
use jackfield_core::{Next, SettledUpTo, SourceStep, SourceTask, after};
use jackfield_log::{Identity, InboxMark, LogError, Pending, Writer};
use jackfield_plugin::{
    Context, Delivery, PollLimits, Polled, Position, Role, SourceHost, SourceInstance,
};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
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

/// Longest wait inside one `poll` for the first event: bounds how stale a slot's view of its own
/// timers gets. A stop ends the wait early.
const POLL_WAIT: Duration = Duration::from_millis(250);
/// Records and bytes of one poll, as the batch format allows.
const POLL_LIMITS: PollLimits = PollLimits {
    batch_bytes_max: jackfield_batch::BATCH_BYTES_MAX as u32,
    batch_records_max: jackfield_batch::RECORDS_MAX,
    wait_ms: POLL_WAIT.as_millis() as u32,
};

pub(crate) struct Life<'a> {
    shared: &'a Shared,
    instance: SourceInstance,
    writer: Box<dyn Writer>,
    routes: Routes,
    task: SourceTask<Position>,
    pendings: VecDeque<(Instant, Pending)>,
    /// Durable, and the component does not know yet: the newest of each of the origin's partitions.
    to_tell: BTreeMap<String, Position>,
    log_failure: Option<LogError>,
    /// Records that the component knows to be at the origin and has not given yet.
    behind: u64,
    /// Something became durable in this life.
    pub(crate) progressed: bool,
}

impl<'a> Life<'a> {
    /// Fences earlier writers, reads back what is stored, and opens an instance there, with the
    /// inbox given again from the first event that is not contained in it.
    pub(crate) async fn open(shared: &'a Shared) -> Result<Life<'a>, Failed> {
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
        let host = SourceHost {
            connector: spec.connector.clone(),
            inbox: inbox.clone(),
            connections: shared.connections.clone(),
            requests: shared.requests.clone(),
            interrupt: shared.interrupt.clone(),
            usage: shared.usage.clone(),
        };
        let mut instance = SourceInstance::new(&spec.plugged.plugin, host, &spec.plugged.limits)
            .await
            .map_err(|e| Failed::call("instantiate", e))?;
        let context = Context {
            connector: spec.connector.clone(),
            delivery: spec.delivery,
            role: Role::Task(shared.number),
            tasks: shared.slots,
        };
        let positions = stored
            .positions
            .into_iter()
            .map(|p| Position {
                partition: p.partition,
                offset: p.offset,
            })
            .collect();
        let feeds = instance
            .open(
                context,
                spec.plugged.settings.clone(),
                shared.slot.clone(),
                positions,
                None,
            )
            .await
            .map_err(|e| Failed::call("open", e))?;
        let mut routes = Routes::default();
        routes.extend(feeds, &spec.topics, &shared.host).await?;
        Ok(Life {
            shared,
            instance,
            writer,
            routes,
            task: SourceTask::new(contained),
            pendings: VecDeque::new(),
            to_tell: BTreeMap::new(),
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

    async fn poll_once(&mut self, retries: &mut Retries) -> Result<Option<LifeEnd>, Failed> {
        let polled = match self.poll_while_appending().await {
            Ok(polled) => polled,
            Err(failed) if after::source(failed.consequence) == Next::CallAgain => {
                self.retry_wait(&failed, retries).await?;
                return Ok(None);
            }
            Err(failed) => return Err(failed),
        };
        if self.log_failure.is_some() {
            return Ok(None);
        }
        self.store(polled).await
    }

    /// One `poll`, with outcomes of earlier appends taken in the meantime. The call is never
    /// dropped half-way: when the log fails, waits inside it end early and it is seen through.
    async fn poll_while_appending(&mut self) -> Result<Polled, Failed> {
        let started = Instant::now();
        let Life {
            shared,
            instance,
            task,
            pendings,
            to_tell,
            log_failure,
            progressed,
            ..
        } = self;
        let mut stopping = false;
        let mut poll = pin!(instance.poll(POLL_LIMITS));
        let polled = loop {
            tokio::select! {
                biased;
                Some((asked, outcome)) = oldest(pendings) => {
                    settle(shared, task, to_tell, log_failure, progressed, asked, outcome);
                    if log_failure.is_some() {
                        shared.interrupt.raise();
                    }
                }
                polled = &mut poll => break polled,
                () = shared.stop.cancelled(), if !stopping => {
                    stopping = true;
                    shared.interrupt.raise();
                }
            }
        };
        shared.status.metrics().poll_seconds(started.elapsed());
        polled.map_err(|e| Failed::call("poll", e))
    }

    async fn store(&mut self, mut polled: Polled) -> Result<Option<LifeEnd>, Failed> {
        let shared = self.shared;
        let feeds = std::mem::take(&mut polled.feeds);
        self.routes
            .extend(feeds, &shared.spec.topics, &shared.host)
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
        let (append, tally) =
            append::of(&mut polled, &mut self.routes, &shared.spec, mark, now_ms())?;
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
        metrics.rejected(tally.rejected);
        metrics.dead_letters(tally.dead_letters);
        if tally.records > 0 {
            metrics.records(tally.records);
            metrics.bytes(tally.bytes);
            shared.status.took(tally.records, shared.host.clock.now());
        }
        if needs_append {
            match self.writer.append(append).await {
                Ok(pending) => self.pendings.push_back((Instant::now(), pending)),
                Err(error) => self.log_failure = Some(error),
            }
        } else if let Some(settled) = settled {
            self.take_settled(settled);
        }
        self.behind = polled.behind;
        shared.count_open(self.pendings.len(), self.behind);
        Ok(match (polled.ended, polled.replan) {
            (true, _) => Some(LifeEnd::Ended),
            (false, true) => Some(LifeEnd::Replan),
            (false, false) => None,
        })
    }

    fn take_settled(&mut self, settled: SettledUpTo<Position>) {
        self.shared.inbox.settle(settled.done_through);
        tell(&mut self.to_tell, settled.positions);
    }

    async fn await_oldest(&mut self) {
        let Life {
            shared,
            task,
            pendings,
            to_tell,
            log_failure,
            behind,
            progressed,
            ..
        } = self;
        if let Some((asked, outcome)) = oldest(pendings).await {
            settle(
                shared,
                task,
                to_tell,
                log_failure,
                progressed,
                asked,
                outcome,
            );
        }
        shared.count_open(pendings.len(), *behind);
    }

    /// Tells the component what is durable, so that it may release what the origin keeps.
    async fn tell_settled(&mut self) -> Result<(), Failed> {
        if self.to_tell.is_empty() {
            return Ok(());
        }
        let positions = self.to_tell.values().cloned().collect();
        match self
            .instance
            .settled(positions)
            .await
            .map_err(|e| Failed::call("settled", e))
        {
            Ok(()) => {
                self.to_tell.clear();
                Ok(())
            }
            // It is told again after the next poll; nothing depends on it having heard.
            Err(failed) if after::source(failed.consequence) == Next::CallAgain => Ok(()),
            Err(failed) => Err(failed),
        }
    }

    /// Waits as long as the component asked, unless a stop comes first.
    async fn retry_wait(&mut self, failed: &Failed, retries: &mut Retries) -> Result<(), Failed> {
        self.shared.status.metrics().retries(1);
        tracing::warn!(connector = %self.shared.spec.connector, slot = %self.shared.slot.id, reason = %failed.reason, "poll asked to be called again");
        let wait = retries.wait(failed)?;
        tokio::select! {
            () = self.shared.stop.cancelled() => {}
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

/// The outcome of the oldest append; stays pending while there is none.
async fn oldest(
    pendings: &mut VecDeque<(Instant, Pending)>,
) -> Option<(Instant, Result<(), LogError>)> {
    let (asked, pending) = pendings.front_mut()?;
    let asked = *asked;
    let outcome = pending.map(|outcome| outcome.map(|_| ())).await;
    pendings.pop_front();
    Some((asked, outcome))
}

fn settle(
    shared: &Shared,
    task: &mut SourceTask<Position>,
    to_tell: &mut BTreeMap<String, Position>,
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
                tell(to_tell, settled.positions);
            }
        }
        // The first failure names the cause; those after it only follow from it.
        Err(error) if log_failure.is_none() => *log_failure = Some(error),
        Err(_) => {}
    }
}

fn tell(to_tell: &mut BTreeMap<String, Position>, positions: Vec<Position>) {
    let newer = positions.into_iter().map(|it| (it.partition.clone(), it));
    to_tell.extend(newer);
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
