//! One sink task: reads its partitions, puts, and stages when told to.
//!
//! It puts ahead while the coordinator commits, and is held back from there on until it has staged:
//! when as much is put ahead as one interval takes, and when its component asked for a stage or has
//! no room. While it is held back, or waits to give a batch again, it stages, hands over and gives
//! up partitions as ever; only records wait, in the log.

mod hand_over;
mod offer;
mod partitions;
mod put;
mod stage_wait;
mod unstaged;

use super::books::Books;
use super::committer;
use super::pending::Pending;
use super::traced;
use crate::failures::Failed;
use crate::host::Host;
use crate::retries::Retries;
use crate::shadow::{Listeners, SinkItem};
use crate::spec::SinkSpec;
use crate::status::Status;
pub(crate) use hand_over::HandOver;
use jackfield_core::{Next, SinkTask, Staged, after};
use jackfield_log::{Fetched, Reader, ReaderEvent, ReaderSpec, TopicPartition, Writer};
use jackfield_plugin::{Interrupt, Piece, Role, SinkInstance, Usage};
use jackfield_telemetry::{CounterHandle, Step};
use offer::{Again, Offer};
use stage_wait::{MORE_LEFT_PAUSE, STAGES_FAILED_MIN, stage_wait};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use unstaged::Unstaged;

/// What the coordinator asks of a task.
pub(crate) enum Command {
    /// Close what was put into pieces.
    Stage(oneshot::Sender<Tried>),
    /// Show the group's offsets of the task's own partitions.
    MirrorOffsets,
    /// Close what was put into pieces, and let another instance go on from there.
    HandOver(Box<HandOver>),
}

/// What a task asks of the coordinator.
pub(crate) enum Request {
    /// Commit all that was put now, since partitions are about to be taken away.
    CommitNow(oneshot::Sender<()>),
}

/// Longest pause of a task that may not be told to stage yet: the coordinator waits for it, and has
/// other things to look at.
const STAGE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// What a task is given.
pub(crate) struct Given {
    pub(crate) number: u32,
    pub(crate) spec: Arc<SinkSpec>,
    pub(crate) host: Host,
    pub(crate) status: Arc<Status>,
    pub(crate) books: Arc<Books>,
    pub(crate) pending: Arc<Pending>,
    /// Who wants to know what it is given.
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) requests: mpsc::Sender<Request>,
    /// No more reading; what was put can still be staged.
    pub(crate) stop: CancellationToken,
    pub(crate) usage: Arc<Usage>,
}

struct Task {
    given: Given,
    reader: Box<dyn Reader>,
    instance: SinkInstance,
    frontier: SinkTask<TopicPartition>,
    dead_letters: Option<Box<dyn Writer>>,
    put_retries: Retries,
    /// A `put` only fills memory: it is no progress of a stage that never works.
    stage_retries: Retries,
    /// Calls of `stage` since the last one that staged all, which left a rest and asked for no wait.
    more_left: u32,
    /// A batch that the component asked to be given again, and when.
    again: Option<(Fetched, Again)>,
    /// What is put and not staged.
    unstaged: Unstaged,
    /// Nothing more is put before the next stage.
    awaits_stage: bool,
    /// The reader was told to deliver nothing.
    held_back: bool,
    /// What it delivered nevertheless: a batch that it had taken apart already.
    ahead: VecDeque<Fetched>,
    /// Targets that get no more commits, of which the component was told.
    failed_targets_told: usize,
    /// Count the records of each topic.
    counted: BTreeMap<Arc<str>, CounterHandle>,
    /// The component asked not to be told to stage sooner.
    stage_from: Option<Instant>,
    /// It was told what its joining the group brought.
    answered: bool,
}

/// How a call to stage ended that is not the task's end. Without pieces all that was put stays put.
pub(crate) enum Tried {
    /// All that was put is in these pieces.
    Staged(Staged<TopicPartition, Piece>),
    /// Not all is staged, and the component asks for no wait before the next call.
    MoreLeft,
    /// Not now.
    Later,
}

/// Runs a task until the coordinator lets go of it, or until it fails.
pub(crate) async fn run(given: Given) -> Result<(), Failed> {
    let mut task = Task::open(given).await?;
    let ended = task.serve().await;
    let closed = task
        .reader
        .close()
        .await
        .map_err(|e| Failed::log("close reader", e));
    ended?;
    task.instance
        .close()
        .await
        .map_err(|e| Failed::call("close", e))?;
    closed
}

impl Task {
    async fn open(given: Given) -> Result<Self, Failed> {
        let (spec, host) = (&given.spec, &given.host);
        let usage = Arc::clone(&given.usage);
        let instance = committer::open(
            spec,
            host,
            Role::Task(given.number),
            usage,
            Interrupt::default(),
            None,
        )
        .await?;
        let reader = host
            .log
            .reader(&ReaderSpec {
                group: spec.connector.clone(),
                member: format!("{}-{}", spec.connector, given.number),
                topics: spec.topics.iter().map(|topic| topic.name.clone()).collect(),
                start: spec.start,
            })
            .await
            .map_err(|e| Failed::log("open reader", e))?;
        let put_retries = Retries::new(spec.patience, host.clock);
        let stage_retries = Retries::new(spec.patience, host.clock);
        let stage_retries = stage_retries.after_failures(STAGES_FAILED_MIN);
        let frontier = SinkTask::default();
        Ok(Self {
            given,
            reader,
            instance,
            frontier,
            dead_letters: None,
            put_retries,
            stage_retries,
            more_left: 0,
            again: None,
            unstaged: Unstaged::default(),
            awaits_stage: false,
            held_back: false,
            ahead: VecDeque::new(),
            failed_targets_told: 0,
            counted: BTreeMap::new(),
            stage_from: None,
            answered: false,
        })
    }

    async fn serve(&mut self) -> Result<(), Failed> {
        let stop = self.given.stop.clone();
        loop {
            let stopping = stop.is_cancelled();
            let held_back = self.hold_back();
            let asked = Instant::now();
            let again_at = self.again.as_ref().and_then(|(_, again)| again.at);
            tokio::select! {
                biased;
                command = self.given.commands.recv() => match command {
                    Some(command) => self.obey(command).await?,
                    None => return Ok(()),
                },
                () = stop.cancelled(), if !stopping => {}
                () = tokio::time::sleep_until(again_at.unwrap_or_else(Instant::now)), if again_at.is_some() && !stopping => {
                    if let Some((fetched, again)) = self.again.take() {
                        self.put(fetched, again.offer).await?;
                    }
                }
                () = std::future::ready(()), if !held_back && !stopping && !self.ahead.is_empty() => {
                    if let Some(fetched) = self.ahead.pop_front() {
                        self.put_whole(fetched).await?;
                    }
                }
                event = self.reader.next(), if !stopping => {
                    let event = event.map_err(|e| Failed::log("read", e))?;
                    if let ReaderEvent::Batch(fetched) = &event {
                        traced::read(&self.given.status, fetched, asked);
                    }
                    self.take(event).await?;
                }
            }
        }
    }

    /// Has the reader deliver records or not; it tells of partitions that come and go in any case.
    fn hold_back(&mut self) -> bool {
        // Whatever is full is due: every task is told to stage.
        self.awaits_stage |= self.given.pending.is_full();
        let hold = self.awaits_stage || self.again.is_some();
        if hold != self.held_back {
            let own: Vec<TopicPartition> = self.frontier.partitions().cloned().collect();
            if hold {
                self.reader.pause(&own);
            } else {
                self.reader.resume(&own);
            }
            self.held_back = hold;
        }
        hold
    }

    async fn obey(&mut self, command: Command) -> Result<(), Failed> {
        match command {
            Command::Stage(reply) => {
                let tried = self.stage().await?;
                self.answer(reply, tried).await
            }
            Command::MirrorOffsets => self.mirror_offsets().await,
            Command::HandOver(hand_over) => self.hand_over(*hand_over).await,
        }
    }

    /// Tells the coordinator how its call to stage ended.
    async fn answer(&mut self, reply: oneshot::Sender<Tried>, tried: Tried) -> Result<(), Failed> {
        if matches!(tried, Tried::Staged(_)) {
            self.tell_of_failed_targets().await?;
        }
        // Nobody waits any more: the pieces are lost with the life that is ending.
        if reply.send(tried).is_err() {
            tracing::debug!(connector = %self.given.spec.connector, "staged for nobody");
        }
        Ok(())
    }

    /// Nothing is put and not staged now: what comes for such a target from here on is dropped.
    async fn tell_of_failed_targets(&mut self) -> Result<(), Failed> {
        let failed = self.given.books.failed();
        if failed == self.failed_targets_told {
            return Ok(());
        }
        let held = self.given.books.held();
        self.instance
            .assigned(held)
            .await
            .map_err(|e| Failed::call("assigned", e))?;
        self.failed_targets_told = failed;
        Ok(())
    }

    async fn take(&mut self, event: ReaderEvent) -> Result<(), Failed> {
        match event {
            ReaderEvent::Assigned(assigned) => {
                if !assigned.is_empty() {
                    self.assigned(&assigned).await?;
                }
                self.told_of_shares();
                Ok(())
            }
            ReaderEvent::Revoking(partitions) => self.revoking(&partitions).await,
            ReaderEvent::Lost(partitions) => {
                self.give_up(&partitions);
                self.rewind().await
            }
            ReaderEvent::Batch(fetched) if self.held_back => {
                self.ahead.push_back(fetched);
                Ok(())
            }
            ReaderEvent::Batch(fetched) => self.put_whole(fetched).await,
        }
    }

    /// Passes offsets that no record has: there is nothing to put, and the next span begins where
    /// this one does. Alone they make a stage due, which commits nothing unless a target has been
    /// behind for long.
    fn pass(&mut self, fetched: &Fetched) -> Result<(), Failed> {
        let (position, next) = (fetched.position, fetched.next_offset);
        let Some(span) = self.frontier.span(&fetched.at, position, next)? else {
            // Fetched before the partition was given up.
            return Ok(());
        };
        self.frontier.passed_over(&span);
        let given = &self.given;
        given.books.read(&fetched.at, next);
        let (bytes, now) = (fetched.batch.len() as u64, given.host.clock.now());
        self.unstaged.add(&given.pending, (0, bytes), false, now);
        Ok(())
    }

    async fn stage(&mut self) -> Result<Tried, Failed> {
        let tried = self.try_to_stage().await?;
        self.put_back_unstaged(&tried);
        Ok(tried)
    }

    /// Without a stage, all that was put is due again.
    fn put_back_unstaged(&self, tried: &Tried) {
        let (pending, now) = (&self.given.pending, self.given.host.clock.now());
        match tried {
            Tried::Staged(_) => {}
            Tried::MoreLeft => {
                self.unstaged.ask_for_rest(pending);
                self.unstaged.put_back(pending, now);
            }
            Tried::Later => self.unstaged.put_back(pending, now),
        }
    }

    async fn try_to_stage(&mut self) -> Result<Tried, Failed> {
        if let Some(from) = self.stage_from {
            tokio::time::sleep_until(from.min(Instant::now() + STAGE_PAUSE_MAX)).await;
            if Instant::now() < from {
                return Ok(Tried::Later);
            }
        }
        let began = Instant::now();
        let staged = self.instance.stage().await;
        match staged {
            Ok(pieces) => {
                self.stage_retries.progressed();
                self.more_left = 0;
                self.unstaged.gone();
                self.awaits_stage = false;
                if let Some((_, again)) = &mut self.again {
                    again.at.get_or_insert_with(Instant::now);
                }
                self.given.listeners.tell(|| SinkItem::Staged {
                    task: self.given.number,
                });
                let pieces = pieces
                    .into_iter()
                    .map(|piece| (piece.target.clone(), piece))
                    .collect();
                let spans = self.frontier.staged();
                if self.given.status.metrics().traces() {
                    let told: Vec<_> = spans.iter().map(|it| self.given.books.span(it)).collect();
                    traced::spans(&self.given.status, Step::Stage, &told, began);
                }
                Ok(Tried::Staged(Staged { pieces, spans }))
            }
            Err(error) => {
                let failed = Failed::call("stage", error);
                if after::sink_task(failed.consequence) != Next::CallAgain {
                    return Err(failed);
                }
                let wait = stage_wait(&mut self.stage_retries, &mut self.more_left, &failed)?;
                self.count_retry(&failed);
                tracing::warn!(connector = %self.given.spec.connector, %failed, "stage is tried again");
                let Some(wait) = wait else {
                    // A pause of ours, which whoever asks next waits for.
                    self.stage_from = Some(Instant::now() + MORE_LEFT_PAUSE);
                    return Ok(Tried::MoreLeft);
                };
                // The next interval asks again.
                self.stage_from = Some(Instant::now() + wait);
                Ok(Tried::Later)
            }
        }
    }

    fn count_retry(&self, failed: &Failed) {
        self.given.status.failed(failed);
        self.given.status.metrics().retries(1);
    }

    async fn mirror_offsets(&mut self) -> Result<(), Failed> {
        let own: Vec<TopicPartition> = self.frontier.partitions().cloned().collect();
        let offsets = self.given.books.group_offsets(&own);
        if offsets.is_empty() {
            return Ok(());
        }
        match self.reader.commit(&offsets).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // The targets' own positions decide; the group's are for displays.
                tracing::warn!(connector = %self.given.spec.connector, %error, "the group's offsets lag behind");
                Ok(())
            }
        }
    }
}
