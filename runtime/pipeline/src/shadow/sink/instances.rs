//! The instances of a sink's shadow, and what they are given.

use super::SinkFound;
use super::differences::{compare_commits, compare_rejections};
use crate::dead_letters::Reporter;
use crate::failures::Failed;
use crate::host::Host;
use crate::shadow::listen::{CommitSeen, SinkItem};
use crate::shadow::report::Figures;
use crate::sink::{bad_records, committer};
use crate::spec::{OnBadRecord, SinkSpec};
use crate::swap::Version;
use bytes::Bytes;
use jackfield_batch::{Batch, Limits};
use jackfield_core::{Next, after};
use jackfield_log::TopicPartition;
use jackfield_plugin::lake::LakeOverlay;
use jackfield_plugin::{
    CallError, Committed, Failure, Holding, Interrupt, Piece, Rejection, Role, SinkInstance, Span,
    Taken, Usage,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// A call that asks to be repeated is, so often: what it waits for is not there in an overlay.
const RETRIES_MAX: u32 = 10;

type Held = BTreeMap<String, BTreeMap<(String, i32), i64>>;

pub(super) struct SinkShadow {
    spec: SinkSpec,
    committer: SinkInstance,
    tasks: BTreeMap<u32, SinkInstance>,
    /// What the overlay's targets hold.
    held: Held,
    /// What the tasks staged and no commit has taken yet.
    pieces: Vec<Piece>,
}

impl SinkShadow {
    pub(super) async fn open(
        spec: &Arc<SinkSpec>,
        host: &Host,
        to: &Version,
        overlay: Option<&LakeOverlay>,
        known: Vec<String>,
        usage: &Arc<Usage>,
    ) -> Result<Self, Failed> {
        let mut spec = SinkSpec::clone(spec);
        spec.plugged = to.plugged.clone();
        spec.lake = overlay.map(|it| Arc::clone(it.lake()));
        // A request would reach the outside: none is allowed.
        spec.http = spec.http.nothing();
        let mut committer = open(&spec, host, Role::Committer, usage).await?;
        let stored = committer::stored_by(&mut committer, &known).await?;
        let mut tasks = BTreeMap::new();
        for number in 0..spec.tasks.max(1) {
            let mut task = open(&spec, host, Role::Task(number), usage).await?;
            let assigned = task.assigned(stored.clone()).await;
            assigned.map_err(|e| Failed::call("assigned", e))?;
            tasks.insert(number, task);
        }
        Ok(Self {
            spec,
            committer,
            tasks,
            held: held(stored),
            pieces: Vec::new(),
        })
    }

    pub(super) async fn take(
        &mut self,
        item: SinkItem,
        found: &mut SinkFound,
    ) -> Result<(), Failed> {
        match item {
            SinkItem::Put {
                task,
                span,
                batch,
                rejected,
            } => {
                if self.is_held(&span) {
                    return Ok(());
                }
                let own = self.put(task, &span, &batch).await?;
                found.given += 1;
                took(&mut found.running, &batch, &rejected);
                took(&mut found.new, &batch, &own);
                compare_rejections(&span, &rejected, &own, found);
                Ok(())
            }
            SinkItem::Staged { task } => {
                let pieces = self.stage(task).await?;
                self.pieces.extend(pieces);
                Ok(())
            }
            SinkItem::Interval { commits } => self.commit_all(commits, found).await,
        }
    }

    /// Whether every target has it already: the overlay began later than the listening.
    fn is_held(&self, span: &Span) -> bool {
        let at = (span.topic.clone(), span.partition);
        let mut ends = self.held.values().map(|held| held.get(&at).copied());
        let any = !self.held.is_empty();
        any && ends.all(|end| end.is_some_and(|end| span.next_offset <= end))
    }

    /// Puts a batch, without what the new version rejects of it, and tells what that is.
    async fn put(
        &mut self,
        task: u32,
        span: &Span,
        batch: &Bytes,
    ) -> Result<Vec<Rejection>, Failed> {
        let Err(rejected) = self.call_put(task, span, batch).await? else {
            return Ok(Vec::new());
        };
        let at = TopicPartition::new(span.topic.as_str(), span.partition);
        let skip = OnBadRecord::Skip;
        // What is skipped is reported nowhere.
        let by = Reporter {
            connector: &self.spec.connector,
            task,
            component: ("", ""),
        };
        let sorted = bad_records::sort(&skip, by, &at, batch, &rejected)?;
        let Some(rest) = sorted.rest else {
            return Ok(rejected);
        };
        match self.call_put(task, span, &rest).await? {
            Ok(_) => Ok(rejected),
            Err(more) => {
                let reason = format!(
                    "rejected {} more records of a batch after naming every bad one",
                    more.len()
                );
                Err(Failed::for_good("put", reason))
            }
        }
    }

    async fn call_put(
        &mut self,
        task: u32,
        span: &Span,
        batch: &Bytes,
    ) -> Result<Result<Taken, Vec<Rejection>>, Failed> {
        let instance = self.task(task)?;
        let mut retries = 0;
        loop {
            match instance.put(span.clone(), batch.clone()).await {
                Ok(taken) => return Ok(Ok(taken)),
                Err(CallError::Failure(Failure::Rejected(rejected))) => return Ok(Err(rejected)),
                Err(error) => again(Failed::call("put", error), &mut retries).await?,
            }
        }
    }

    fn task(&mut self, task: u32) -> Result<&mut SinkInstance, Failed> {
        let instance = self.tasks.get_mut(&task);
        instance.ok_or_else(|| Failed::for_good("put", format!("there is no task {task}")))
    }

    async fn stage(&mut self, task: u32) -> Result<Vec<Piece>, Failed> {
        let instance = self.task(task)?;
        let mut retries = 0;
        loop {
            match instance.stage().await {
                Ok(pieces) => return Ok(pieces),
                Err(error) => again(Failed::call("stage", error), &mut retries).await?,
            }
        }
    }

    async fn commit_all(
        &mut self,
        commits: Vec<CommitSeen>,
        found: &mut SinkFound,
    ) -> Result<(), Failed> {
        for seen in commits {
            let holds = self.held.entry(seen.target.clone()).or_default();
            let already = |span: &Span| {
                let end = holds.get(&(span.topic.clone(), span.partition));
                end.is_some_and(|end| span.next_offset <= *end)
            };
            if !seen.spans.is_empty() && seen.spans.iter().all(already) {
                continue;
            }
            let (pieces, rest) = std::mem::take(&mut self.pieces)
                .into_iter()
                .partition(|piece: &Piece| piece.target == seen.target);
            self.pieces = rest;
            let own = self.commit(&seen, pieces).await?;
            for span in &seen.spans {
                let holds = self.held.entry(seen.target.clone()).or_default();
                holds.insert((span.topic.clone(), span.partition), span.next_offset);
            }
            compare_commits(&seen, own, found);
        }
        for piece in std::mem::take(&mut self.pieces) {
            found.differs_by(format!(
                "the new version writes to {}, the running one does not",
                piece.target
            ));
        }
        Ok(())
    }

    async fn commit(&mut self, seen: &CommitSeen, pieces: Vec<Piece>) -> Result<Committed, Failed> {
        let id = Uuid::now_v7().to_string();
        let mut retries = 0;
        loop {
            let (target, spans) = (seen.target.clone(), seen.spans.clone());
            let committed = self
                .committer
                .commit(target, pieces.clone(), spans, id.clone())
                .await;
            match committed {
                Ok(committed) => return Ok(committed),
                Err(error) => again(Failed::call("commit", error), &mut retries).await?,
            }
        }
    }
}

async fn open(
    spec: &SinkSpec,
    host: &Host,
    role: Role,
    usage: &Arc<Usage>,
) -> Result<SinkInstance, Failed> {
    let usage = Arc::clone(usage);
    // What the running version would save is a cache: opening without it must be right too.
    committer::open(spec, host, role, usage, Interrupt::default(), None).await
}

/// Returns when a call may be repeated.
async fn again(failed: Failed, retries: &mut u32) -> Result<(), Failed> {
    *retries += 1;
    if after::sink_task(failed.consequence) != Next::CallAgain || *retries > RETRIES_MAX {
        return Err(failed);
    }
    tokio::time::sleep(failed.not_before).await;
    Ok(())
}

fn held(stored: Vec<Holding>) -> Held {
    let mut held = Held::new();
    for holding in stored {
        let positions = held.entry(holding.target).or_default();
        for it in holding.positions {
            positions.insert((it.topic, it.partition), it.next_offset);
        }
    }
    held
}

fn took(figures: &mut Figures, batch: &Bytes, rejected: &[Rejection]) {
    // What a task was given has been parsed before.
    let all = Batch::parse(batch, &Limits::default()).map_or(0, |batch| u64::from(batch.len()));
    figures.records += all.saturating_sub(rejected.len() as u64);
    figures.rejected += rejected.len() as u64;
}
