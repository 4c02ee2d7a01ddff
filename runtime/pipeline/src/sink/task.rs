//! One sink task: reads its partitions, puts, and stages when told to.

use super::bad_records;
use super::books::Books;
use super::committer;
use super::pending::Pending;
use super::traced;
use crate::dead_letters::Reporter;
use crate::failures::Failed;
use crate::host::Host;
use crate::retries::Retries;
use crate::shadow::{Listeners, SinkItem};
use crate::spec::SinkSpec;
use crate::status::Status;
use bytes::Bytes;
use jackfield_batch::{Batch, Limits};
use jackfield_core::{Next, SinkTask, Span as CoreSpan, Staged, after};
use jackfield_log::{
    Assignment, Fetched, Identity, Reader, ReaderEvent, ReaderSpec, TopicPartition, Writer,
};
use jackfield_plugin::{
    CallError, Failure, Interrupt, Piece, Rejection, Role, SinkInstance, Taken, Usage,
};
use jackfield_telemetry::{CounterHandle, Step};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the coordinator asks of a task.
pub(crate) enum Command {
    /// Close what was put into pieces. `None`: not now, all that was put stays put.
    Stage(oneshot::Sender<Option<Staged<TopicPartition, Piece>>>),
    /// Show the group's offsets of the task's own partitions.
    MirrorOffsets,
    /// Close what was put into pieces, and let another instance go on from there.
    HandOver(Box<HandOver>),
}

/// How a task changes to another version. Once it has staged, a failure is the life's.
pub(crate) struct HandOver {
    /// The connector as it will be.
    pub(crate) spec: Arc<SinkSpec>,
    /// The instance that goes on, open and told what the targets hold.
    pub(crate) instance: SinkInstance,
    /// As for [`Command::Stage`]; with none the old instance goes on.
    pub(crate) staged: oneshot::Sender<Option<Staged<TopicPartition, Piece>>>,
    /// For how long nothing was put.
    pub(crate) paused: oneshot::Sender<Duration>,
}

/// What a task asks of the coordinator.
pub(crate) enum Request {
    /// Commit all that was put now, since partitions are about to be taken away.
    CommitNow(oneshot::Sender<()>),
}

/// Longest wait for a commit before partitions are given up uncommitted: well below a consumer
/// group's session time-out.
const REVOKE_DRAIN_MAX: Duration = Duration::from_secs(10);

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
    retries: Retries,
    /// A batch that the component asked to be given again, and when.
    again: Option<(Fetched, Instant)>,
    /// Targets that get no more commits, of which the component was told.
    failed_targets_told: usize,
    /// Count the records of each topic.
    counted: BTreeMap<Arc<str>, CounterHandle>,
    /// The component asked not to be told to stage sooner.
    stage_from: Option<Instant>,
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
        let retries = Retries::new(spec.patience, host.clock);
        let frontier = SinkTask::default();
        Ok(Self {
            given,
            reader,
            instance,
            frontier,
            dead_letters: None,
            retries,
            again: None,
            failed_targets_told: 0,
            counted: BTreeMap::new(),
            stage_from: None,
        })
    }

    async fn serve(&mut self) -> Result<(), Failed> {
        let stop = self.given.stop.clone();
        loop {
            let stopping = stop.is_cancelled();
            let asked = Instant::now();
            let again_at = self.again.as_ref().map(|(_, at)| *at);
            tokio::select! {
                biased;
                command = self.given.commands.recv() => match command {
                    Some(command) => self.obey(command).await?,
                    None => return Ok(()),
                },
                () = stop.cancelled(), if !stopping => {}
                () = tokio::time::sleep_until(again_at.unwrap_or_else(Instant::now)), if again_at.is_some() && !stopping => {
                    if let Some((fetched, _)) = self.again.take() {
                        self.put(fetched).await?;
                    }
                }
                event = self.reader.next(), if again_at.is_none() && !stopping => {
                    let event = event.map_err(|e| Failed::log("read", e))?;
                    if let ReaderEvent::Batch(fetched) = &event {
                        traced::read(&self.given.status, fetched, asked);
                    }
                    self.take(event).await?;
                }
            }
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), Failed> {
        match command {
            Command::Stage(reply) => {
                let staged = self.stage().await?;
                if staged.is_some() {
                    self.tell_of_failed_targets().await?;
                }
                // Nobody waits any more: the pieces are lost with the life that is ending.
                if reply.send(staged).is_err() {
                    tracing::debug!(connector = %self.given.spec.connector, "staged for nobody");
                }
                Ok(())
            }
            Command::MirrorOffsets => self.mirror_offsets().await,
            Command::HandOver(hand_over) => self.hand_over(*hand_over).await,
        }
    }

    async fn hand_over(&mut self, hand_over: HandOver) -> Result<(), Failed> {
        let HandOver {
            spec,
            instance,
            staged,
            paused,
        } = hand_over;
        let began = Instant::now();
        let Some(pieces) = self.stage().await? else {
            let _gone = staged.send(None);
            return Ok(());
        };
        // The old one is only dropped: what it would do in `close` is not its turn any more.
        self.instance = instance;
        self.given.spec = spec;
        self.stage_from = None;
        // Who does not wait any more ends this life.
        let _gone = staged.send(Some(pieces));
        let _gone = paused.send(began.elapsed());
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
            ReaderEvent::Assigned(assigned) => self.assigned(&assigned).await,
            ReaderEvent::Revoking(partitions) => self.revoking(&partitions).await,
            ReaderEvent::Lost(partitions) => {
                self.give_up(&partitions);
                self.rewind().await
            }
            ReaderEvent::Batch(fetched) => self.put(fetched).await,
        }
    }

    async fn assigned(&mut self, assigned: &[Assignment]) -> Result<(), Failed> {
        // Others were not told of these partitions.
        self.given.listeners.dismiss();
        for assignment in assigned {
            let offset = self.given.books.own(assignment, self.given.spec.start)?;
            tracing::info!(
                connector = %self.given.spec.connector, topic = %assignment.at.topic,
                partition = assignment.at.partition, offset, "reading from"
            );
            self.frontier.assign(assignment.at.clone(), offset);
        }
        let held = self.given.books.held();
        self.instance
            .assigned(held)
            .await
            .map_err(|e| Failed::call("assigned", e))?;
        for assignment in assigned {
            if let Some(offset) = self.given.books.read_of(&assignment.at) {
                self.reader
                    .seek(&assignment.at, offset)
                    .map_err(|e| Failed::log("seek", e))?;
            }
        }
        Ok(())
    }

    /// Commits everything, or gives everything up; then lets go of the partitions.
    async fn revoking(&mut self, partitions: &[TopicPartition]) -> Result<(), Failed> {
        self.again = None;
        if !self.commit_now().await? {
            tracing::warn!(connector = %self.given.spec.connector, "partitions are given up uncommitted");
            self.instance
                .discard()
                .await
                .map_err(|e| Failed::call("discard", e))?;
            self.give_up(partitions);
            self.rewind().await?;
        }
        self.give_up(partitions);
        self.reader
            .release(partitions)
            .await
            .map_err(|e| Failed::log("release", e))
    }

    /// Asks for a commit and serves the coordinator until it is made; false: not in time.
    async fn commit_now(&mut self) -> Result<bool, Failed> {
        let (reply, mut done) = oneshot::channel();
        let deadline = Instant::now() + REVOKE_DRAIN_MAX;
        let mut asking = Box::pin({
            let requests = self.given.requests.clone();
            async move { requests.send(Request::CommitNow(reply)).await.is_ok() }
        });
        let mut asked = false;
        loop {
            tokio::select! {
                biased;
                command = self.given.commands.recv() => match command {
                    Some(command) => self.obey(command).await?,
                    None => return Ok(false),
                },
                sent = &mut asking, if !asked => {
                    if !sent {
                        return Ok(false);
                    }
                    asked = true;
                }
                outcome = &mut done => return Ok(outcome.is_ok()),
                () = tokio::time::sleep_until(deadline) => return Ok(false),
            }
        }
    }

    fn give_up(&mut self, partitions: &[TopicPartition]) {
        // What follows begins elsewhere.
        self.given.listeners.dismiss();
        for at in partitions {
            self.frontier.release(at);
            self.given.books.release(at);
        }
        if self
            .again
            .as_ref()
            .is_some_and(|(fetched, _)| partitions.contains(&fetched.at))
        {
            self.again = None;
        }
    }

    /// Reads again from the end of what was staged.
    async fn rewind(&mut self) -> Result<(), Failed> {
        // What was told is given again.
        self.given.listeners.dismiss();
        self.instance
            .discard()
            .await
            .map_err(|e| Failed::call("discard", e))?;
        let held = self.given.books.held();
        self.instance
            .assigned(held)
            .await
            .map_err(|e| Failed::call("assigned", e))?;
        self.again = None;
        for (at, offset) in self.frontier.rewind() {
            self.reader
                .seek(&at, offset)
                .map_err(|e| Failed::log("seek", e))?;
            self.given.books.read(&at, offset);
        }
        Ok(())
    }

    async fn put(&mut self, fetched: Fetched) -> Result<(), Failed> {
        let Some(span) = self
            .frontier
            .span(&fetched.at, fetched.position, fetched.next_offset)?
        else {
            // Fetched before the partition was given up.
            return Ok(());
        };
        let count = u64::from(
            Batch::parse(&fetched.batch, &Limits::default())
                .map_err(|e| {
                    Failed::for_good(
                        "read",
                        format!(
                            "a batch of {}-{} is malformed: {e}",
                            fetched.at.topic, fetched.at.partition
                        ),
                    )
                })?
                .len(),
        );
        let bytes = fetched.batch.len() as u64;
        let began = Instant::now();
        let outcome = self.call_put(&span, fetched.batch.clone()).await;
        let mut rejected = Vec::new();
        let outcome = match outcome {
            Err(CallError::Failure(Failure::Rejected(rejections))) => {
                let rest = self.put_rest(&span, &fetched, &rejections).await?;
                rejected = rejections;
                rest
            }
            other => other.map(Some),
        };
        match outcome {
            Ok(taken) => {
                self.given.listeners.tell(|| SinkItem::Put {
                    task: self.given.number,
                    span: self.given.books.span(&span),
                    batch: fetched.batch.clone(),
                    rejected,
                });
                match &taken {
                    Some(taken) => {
                        self.frontier.put(&span);
                        traced::put(&self.given.status, &fetched, began);
                        self.given.status.metrics().counts(
                            taken.counts.duplicates,
                            taken.counts.missing,
                            taken.counts.recovered,
                            taken.counts.event_time_max_ms,
                        );
                    }
                    None => self.frontier.passed_over(&span),
                }
                self.account(&fetched, count, bytes, taken.is_some_and(|t| t.stage_now));
                self.retries.progressed();
                Ok(())
            }
            Err(error) => {
                let failed = Failed::call("put", error);
                if after::sink_task(failed.consequence) != Next::CallAgain {
                    return Err(failed);
                }
                let wait = self.retries.wait(&failed)?;
                self.count_retry(&failed);
                tracing::warn!(connector = %self.given.spec.connector, %failed, wait_ms = wait.as_millis() as u64, "put is tried again");
                self.again = Some((fetched, Instant::now() + wait));
                Ok(())
            }
        }
    }

    async fn call_put(
        &mut self,
        span: &CoreSpan<TopicPartition>,
        batch: Bytes,
    ) -> Result<Taken, CallError> {
        let at = self.given.books.span(span);
        self.instance.put(at, batch).await
    }

    /// Nothing of the batch was taken: dead letters first, then the rest under the same span.
    async fn put_rest(
        &mut self,
        span: &CoreSpan<TopicPartition>,
        fetched: &Fetched,
        rejections: &[Rejection],
    ) -> Result<Result<Option<Taken>, CallError>, Failed> {
        let spec = Arc::clone(&self.given.spec);
        let plugged = &spec.plugged;
        let description = plugged.plugin.describe(&plugged.limits).await;
        let description = description.map_err(|e| Failed::call("describe", e))?;
        let by = Reporter {
            connector: &spec.connector,
            task: self.given.number,
            component: (&description.name, &description.version),
        };
        let sorted = bad_records::sort(
            &spec.on_bad_record,
            by,
            &fetched.at,
            &fetched.batch,
            rejections,
        )?;
        self.given.status.rejected(sorted.rejected);
        self.keep_dead_letters(sorted.letters).await?;
        let Some(rest) = sorted.rest else {
            return Ok(Ok(None));
        };
        match self.call_put(span, rest).await {
            Err(CallError::Failure(Failure::Rejected(more))) => Err(Failed::new(
                "put",
                jackfield_core::Consequence::Replace,
                format!(
                    "rejected {} more records of a batch after naming every bad one",
                    more.len()
                ),
            )),
            other => Ok(other.map(Some)),
        }
    }

    async fn keep_dead_letters(
        &mut self,
        letters: Vec<jackfield_log::Output>,
    ) -> Result<(), Failed> {
        if letters.is_empty() {
            return Ok(());
        }
        let spec = &self.given.spec;
        if self.dead_letters.is_none() {
            let identity = Identity {
                cluster: self.given.host.cluster.clone(),
                connector: spec.connector.clone(),
                slot: format!("dead-letters-{}", self.given.number),
            };
            let writer = self.given.host.log.writer(&identity).await;
            self.dead_letters = Some(writer.map_err(|e| Failed::log("open dead letters", e))?);
        }
        let count: u64 = letters
            .iter()
            .filter_map(|l| Batch::parse(&l.batch, &Limits::default()).ok())
            .map(|batch| u64::from(batch.len()))
            .sum();
        if let Some(writer) = &mut self.dead_letters {
            let appended = writer.append(bad_records::append(letters)).await;
            appended
                .map_err(|e| Failed::log("dead letter", e))?
                .await
                .map_err(|e| Failed::log("dead letter", e))?;
        }
        self.given.status.metrics().dead_letters(count);
        Ok(())
    }

    fn account(&mut self, fetched: &Fetched, count: u64, bytes: u64, stage_now: bool) {
        let now = self.given.host.clock.now();
        self.given.books.read(&fetched.at, fetched.next_offset);
        self.given.pending.add(count, bytes, stage_now, now);
        let status = &self.given.status;
        status.took(count, now);
        status.took_of(&fetched.at.topic, count);
        let metrics = status.metrics();
        metrics.records(count);
        metrics.bytes(bytes);
        metrics.batches(1);
        let counted = self.counted.entry(Arc::clone(&fetched.at.topic));
        let counted = counted.or_insert_with_key(|topic| metrics.topic_records(topic));
        counted.add(count);
        status.set_open(self.given.pending.rows());
    }

    async fn stage(&mut self) -> Result<Option<Staged<TopicPartition, Piece>>, Failed> {
        if let Some(from) = self.stage_from {
            tokio::time::sleep_until(from.min(Instant::now() + STAGE_PAUSE_MAX)).await;
            if Instant::now() < from {
                return Ok(None);
            }
        }
        let began = Instant::now();
        let staged = self.instance.stage().await;
        match staged {
            Ok(pieces) => {
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
                Ok(Some(Staged { pieces, spans }))
            }
            Err(error) => {
                let failed = Failed::call("stage", error);
                if after::sink_task(failed.consequence) != Next::CallAgain {
                    return Err(failed);
                }
                let wait = self.retries.wait(&failed)?;
                self.count_retry(&failed);
                tracing::warn!(connector = %self.given.spec.connector, %failed, "stage is tried again");
                // The next interval asks again.
                self.stage_from = Some(Instant::now() + wait);
                Ok(None)
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
