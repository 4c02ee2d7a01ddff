//! When a sink connector commits, and in which order.

mod commits;
mod keeping;
mod last_stages;
mod swap;

use super::books::Books;
use super::committer::Committer;
use super::known_targets::KnownTargets;
use super::pending::Pending;
use super::standing::{self, Standing};
use super::task::{self, Command, Given, Request, Tried};
use super::track_records::TrackRecords;
use super::watch;
use crate::failures::Failed;
use crate::host::Host;
use crate::meter::{self, Meter};
use crate::shadow::{Listeners, SinkItem, SinkWatch, WatchOrder, Watched};
use crate::spec::SinkSpec;
use crate::status::{State, Status};
use crate::swap::{Order, Refused};
use crate::topics;
use jackfield_core::{Consequence, Staged};
use jackfield_log::TopicPartition;
use jackfield_plugin::{COMMIT_BYTES_MAX, Piece, Usage};
use last_stages::LastStages;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use swap::Preparing;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Commands a task may have waiting: a stage and a mirror of offsets, never more.
const COMMANDS_MAX: usize = 4;
/// Requests that wait for the coordinator while it commits: one a task is enough.
const REQUESTS_MAX: usize = 64;
/// Between two tries to stage what was put before a stop; a task that may not be told to stage yet
/// waits by itself.
const LAST_STAGE_EVERY: Duration = Duration::from_millis(250);
/// How often a version on probation is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a life achieved, for the decision how soon to try again.
#[derive(Debug, Default)]
pub(crate) struct Life {
    committed: AtomicBool,
    /// In its last interval a task could not stage what it has.
    stuck: AtomicBool,
}

/// A life that lasted so long was healthy, also where there was nothing to commit.
const HEALTHY_AFTER: Duration = Duration::from_secs(120);

impl Life {
    /// Whether the failure that ends this life, after so long, is counted as a first one.
    pub(crate) fn was_healthy(&self, lived: Duration) -> bool {
        let stuck = self.stuck.load(Ordering::Acquire);
        self.committed.load(Ordering::Acquire) || (lived >= HEALTHY_AFTER && !stuck)
    }
}

struct Coordinator<'a> {
    spec: Arc<SinkSpec>,
    host: &'a Host,
    status: &'a Arc<Status>,
    life: &'a Life,
    /// Of its targets, in all lives.
    records: &'a mut TrackRecords,
    known: KnownTargets,
    committer: Committer,
    books: Arc<Books>,
    pending: Arc<Pending>,
    listeners: Arc<Listeners>,
    commands: Vec<mpsc::Sender<Command>>,
    /// Of the tasks, in their order.
    usages: Vec<Arc<Usage>>,
    /// Another version that is being prepared.
    preparing: Option<Preparing>,
}

/// One life of a sink connector: from what its targets hold to a drain or the first failure.
pub(crate) async fn run(
    spec: &Arc<SinkSpec>,
    host: &Host,
    status: &Arc<Status>,
    stop: &CancellationToken,
    life: &Life,
    standing: &mut Standing<'_>,
    records: &mut TrackRecords,
) -> Result<(), Failed> {
    status.metrics().new_life();
    let partitions = topics::partitions(host, &spec.topics).await?;
    let known = KnownTargets::load(&*host.log, &host.cluster, &spec.connector).await?;
    let mut committer = Committer::new(spec, host, status);
    committer.on_probation(standing.until());
    let names = known.names();
    let held = tokio::select! {
        biased;
        // A call that is cut off takes its instance with it, which has nothing yet.
        () = stop.cancelled() => return Ok(()),
        held = committer.stored(&names) => held?,
    };
    let anew = known.anew(&held);
    let books = Arc::new(Books::new(known.complete(held)).beginning_anew(anew));
    let pending = Arc::new(Pending::new(spec.commit));
    let listeners = Arc::new(Listeners::default());
    let (requests, mut asked) = mpsc::channel(REQUESTS_MAX);
    let mut meters = vec![Meter::new(committer.usage(), status)];
    let mut tasks = JoinSet::new();
    let mut commands = Vec::new();
    let mut usages = Vec::new();
    let shares = status.shares();
    shares.begin(spec.tasks.max(1), partitions, host.clock.now());
    for number in 0..spec.tasks.max(1) {
        let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
        commands.push(sender);
        let span = tracing::info_span!("task", connector = %spec.connector, task = number);
        let usage = meter::usage(status.metrics());
        meters.push(Meter::new(&usage, status));
        usages.push(Arc::clone(&usage));
        let given = Given {
            number,
            spec: Arc::clone(spec),
            host: host.clone(),
            status: Arc::clone(status),
            books: Arc::clone(&books),
            pending: Arc::clone(&pending),
            listeners: Arc::clone(&listeners),
            commands: receiver,
            requests: requests.clone(),
            stop: stop.clone(),
            usage: Arc::clone(&usage),
        };
        tasks.spawn(task::run(given).instrument(span));
    }
    drop(requests);
    status.set_tasks(spec.tasks.max(1));
    status.targets_work();
    status.set_state(State::Running);
    status.active(host.clock.now());
    let mut coordinator = Coordinator {
        spec: Arc::clone(spec),
        host,
        status,
        life,
        records,
        known,
        committer,
        books: Arc::clone(&books),
        pending,
        listeners,
        commands,
        usages,
        preparing: None,
    };
    let watch = watch::run(host, status, &books, &mut meters);
    let ended = tokio::select! {
        ended = coordinator.serve(&mut tasks, &mut asked, stop, standing) => ended,
        never = watch => match never {},
    };
    let failed_targets = coordinator.failed_targets();
    let Coordinator {
        committer,
        commands,
        ..
    } = coordinator;
    drop(commands);
    let mut ended = ended;
    while let Some(joined) = tasks.join_next().await {
        let task_ended = task_end(joined);
        ended = ended.and_then(|ended| task_ended.map(|()| ended));
    }
    // A task's own failure says more than that it could not stage.
    if let Ended::Unstaged = ended? {
        let reason = "what was put before the stop could not be staged: it is read again";
        return Err(Failed::new("stage", Consequence::Rewind, reason));
    }
    failed_targets?;
    let closed = committer.close().await;
    // Only now is all counted that the instances used.
    drop(meters);
    closed
}

/// How a life ended that was told to.
enum Ended {
    /// All that was put is committed.
    Drained,
    /// A task could not stage what it has.
    Unstaged,
}

/// How much the tasks staged of what they have, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Extent {
    All,
    /// Who did not stage all goes on with the rest when called again.
    MoreLeft,
    /// A task could not stage.
    NotAll,
}

fn ended_early(joined: Result<Result<(), Failed>, tokio::task::JoinError>) -> Failed {
    let early = "a sink task ended before it was told to";
    task_end(joined).map_or_else(
        |failed| failed,
        |()| Failed::for_good_by_host("task", early),
    )
}

fn task_end(joined: Result<Result<(), Failed>, tokio::task::JoinError>) -> Result<(), Failed> {
    match joined {
        Ok(ended) => ended,
        Err(panic) => Err(Failed::for_good_by_host(
            "task",
            format!("a sink task panicked: {panic}"),
        )),
    }
}

impl Coordinator<'_> {
    async fn serve(
        &mut self,
        tasks: &mut JoinSet<Result<(), Failed>>,
        asked: &mut mpsc::Receiver<Request>,
        stop: &CancellationToken,
        standing: &mut Standing<'_>,
    ) -> Result<Ended, Failed> {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let pending = Arc::clone(&self.pending);
        loop {
            let due_in = pending.due_in(self.host.clock.now());
            let due_at = Instant::now() + due_in.unwrap_or_default();
            let judged_in = standing.due_in();
            tokio::select! {
                biased;
                Some(joined) = tasks.join_next() => return Err(ended_early(joined)),
                () = stop.cancelled() => break,
                Some(Request::CommitNow(done)) = asked.recv() => {
                    // Where a task could not stage nobody is told that it is committed: rows of
                    // the partitions that go may still be in an instance, and would become visible
                    // later, without a position.
                    if self.interval().await? == Extent::All {
                        // The task may have given up waiting.
                        let _gone = done.send(());
                    }
                }
                prepared = swap::prepared(&mut self.preparing) => {
                    self.change(prepared, standing).await?;
                }
                Some(order) = standing.orders.recv() => self.obey(order, standing),
                _ = look.tick() => {
                    self.judge(standing)?;
                }
                () = tokio::time::sleep(judged_in.unwrap_or_default()), if judged_in.is_some() => {
                    self.judge(standing)?;
                }
                // Last: where commits take longer than their interval one is due all the time.
                () = pending.bell.notified() => {}
                () = tokio::time::sleep_until(due_at), if due_in.is_some() => {}
            }
            if let Some(why) = pending.due(self.host.clock.now()) {
                tracing::debug!(connector = %self.spec.connector, ?why, "commit is due");
                self.interval().await?;
            }
        }
        self.last_interval(tasks).await
    }

    /// Stages and commits what was put before the stop; again and again, since who starts the next
    /// life relies on it.
    async fn last_interval(
        &mut self,
        tasks: &mut JoinSet<Result<(), Failed>>,
    ) -> Result<Ended, Failed> {
        let mut stages = LastStages::begin();
        loop {
            // Nobody loses anything where nothing was put.
            let extent = self.interval().await?;
            if extent == Extent::All || self.pending.is_empty() {
                return Ok(Ended::Drained);
            }
            if !stages.once_more(extent == Extent::MoreLeft) {
                return Ok(Ended::Unstaged);
            }
            tokio::select! {
                biased;
                Some(joined) = tasks.join_next() => return Err(ended_early(joined)),
                () = tokio::time::sleep(LAST_STAGE_EVERY) => {}
            }
        }
    }

    fn judge(&mut self, standing: &mut Standing<'_>) -> Result<(), Failed> {
        standing.judge(self.status)?;
        self.committer.on_probation(standing.until());
        Ok(())
    }

    /// Stages on all tasks, and commits each target once.
    async fn interval(&mut self) -> Result<Extent, Failed> {
        let started = Instant::now();
        let rows = self.pending.take();
        let mut stages = Vec::with_capacity(self.commands.len());
        let mut replies = Vec::with_capacity(self.commands.len());
        for _ in &self.commands {
            let (reply, staged) = oneshot::channel();
            stages.push(Command::Stage(reply));
            replies.push(staged);
        }
        // Each task counts again what it could not stage.
        let (staged, extent) = self.stage_all(stages, replies).await;
        let stuck = extent != Extent::All;
        self.life.stuck.store(stuck, Ordering::Release);
        self.commit_staged(staged, rows, started).await?;
        Ok(extent)
    }

    /// Commits each target once, of what the tasks staged.
    async fn commit_staged(
        &mut self,
        staged: Vec<Staged<TopicPartition, Piece>>,
        rows: u64,
        started: Instant,
    ) -> Result<(), Failed> {
        self.status.set_open(rows + self.pending.rows());
        let mut any = false;
        let mut seen = Vec::new();
        for part in parts(staged) {
            let commits = self.books.interval(part, self.host.clock.now())?;
            any |= !commits.is_empty();
            self.commit_all(commits, started, &mut seen).await?;
        }
        self.listeners.tell(|| SinkItem::Interval { commits: seen });
        self.status.set_open(self.pending.rows());
        if !any {
            return Ok(());
        }
        for task in &self.commands {
            // A task that ended is noticed by its exit.
            let _ended = task.send(Command::MirrorOffsets).await;
        }
        Ok(())
    }

    /// What all tasks staged, and how much of what they have that is.
    async fn stage_all(
        &mut self,
        commands: Vec<Command>,
        replies: Vec<oneshot::Receiver<Tried>>,
    ) -> (Vec<Staged<TopicPartition, Piece>>, Extent) {
        for (task, command) in self.commands.iter().zip(commands) {
            // A task that ended drops the reply, which counts as not staged.
            let _ended = task.send(command).await;
        }
        let mut extent = Extent::All;
        let mut staged = Vec::with_capacity(replies.len());
        for reply in replies {
            match reply.await {
                Ok(Tried::Staged(part)) => staged.push(part),
                Ok(Tried::MoreLeft) => extent = extent.max(Extent::MoreLeft),
                Ok(Tried::Later) | Err(_) => extent = Extent::NotAll,
            }
        }
        (staged, extent)
    }

    fn obey(&mut self, order: Order, standing: &Standing<'_>) {
        match order {
            Order::Swap(order) => self.prepare(order, standing),
            Order::Watch(order) => self.watch_out(order, standing),
        }
    }

    /// Lets someone listen to all tasks.
    fn watch_out(&self, order: WatchOrder, standing: &Standing<'_>) {
        let answer = match self.listeners.add() {
            Some(items) => Ok(Watched::Sink(Box::new(SinkWatch {
                spec: Arc::clone(&self.spec),
                version: Arc::clone(standing.version()),
                given: standing::given(&self.spec),
                host: self.host.clone(),
                known: self.known.names(),
                items,
            }))),
            None => Err(Refused::Busy("listened to by others")),
        };
        // Nobody waits any more: what is dropped here ends the listening.
        let _gone = order.reply.send(answer);
    }
}

/// What all tasks staged, in parts that a commit can take: each task's whole, since its spans go
/// with all of its pieces.
fn parts(staged: Vec<Staged<TopicPartition, Piece>>) -> Vec<Vec<Staged<TopicPartition, Piece>>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for task in staged {
        let own: usize = task.pieces.iter().map(|(_, piece)| piece.bytes.len()).sum();
        if bytes > 0 && bytes + own > COMMIT_BYTES_MAX {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += own;
        if let Some(part) = parts.last_mut() {
            part.push(task);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_that_could_not_stage_was_not_healthy_however_long_it_was() {
        let life = Life::default();
        assert!(life.was_healthy(HEALTHY_AFTER) && !life.was_healthy(HEALTHY_AFTER / 2));
        life.stuck.store(true, Ordering::Release);
        assert!(!life.was_healthy(HEALTHY_AFTER));
        life.committed.store(true, Ordering::Release);
        assert!(life.was_healthy(Duration::ZERO));
    }

    async fn panics() -> Result<(), Failed> {
        panic!("as told")
    }

    #[tokio::test]
    async fn a_component_is_not_blamed_for_the_end_of_a_task_of_ours() {
        let failed = task_end(tokio::spawn(panics()).await).unwrap_err();
        assert!(failed.reason.contains("panicked"), "{failed}");
        assert!(!failed.component);
        let early = ended_early(Ok(Ok(())));
        assert_eq!(early.consequence, Consequence::Fail);
        assert!(!early.component);
    }

    fn staged(bytes: usize) -> Staged<TopicPartition, Piece> {
        let piece = Piece {
            target: "t".into(),
            version: 1,
            bytes: vec![0; bytes],
        };
        Staged {
            pieces: vec![("t".into(), piece)],
            spans: Vec::new(),
        }
    }

    #[test]
    fn no_part_is_larger_than_a_commit_takes() {
        let half = COMMIT_BYTES_MAX / 2;
        let parts = parts(vec![staged(half), staged(half), staged(1), staged(half)]);
        let counts: Vec<usize> = parts.iter().map(Vec::len).collect();
        assert_eq!(counts, [2, 2]);
    }

    #[test]
    fn nothing_staged_is_one_part_so_that_idle_targets_are_looked_at() {
        assert_eq!(parts(Vec::new()).len(), 1);
    }
}
