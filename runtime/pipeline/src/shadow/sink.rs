//! The shadow of a sink: the same batches, on a lake whose writes are thrown away.

use super::listen::{CommitSeen, SinkItem, SinkItems};
use super::report::{Figures, ShadowEnd, SinkCompared, Written};
use super::watch::SinkWatch;
use crate::dead_letters::Reporter;
use crate::failures::Failed;
use crate::host::Host;
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
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Bytes of files that a shadow may write before it is thrown away.
const OVERLAY_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Bytes of batches that are kept while the running version makes the commit after which the shadow
/// begins.
const BEHIND_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Differences that are listed.
const DIFFERENCES_MAX: usize = 50;
/// Bytes of a reason in a report.
const REASON_BYTES_MAX: usize = 512;
/// A call that asks to be repeated is, so often: what it waits for is not there in an overlay.
const RETRIES_MAX: u32 = 10;

/// What a sink's shadow found.
#[derive(Debug, Default)]
pub(super) struct SinkFound {
    pub(super) sink: SinkCompared,
    pub(super) running: Figures,
    pub(super) new: Figures,
    pub(super) given: u64,
    pub(super) cpu: Duration,
}

impl SinkFound {
    fn differs_by(&mut self, difference: String) {
        if self.sink.differences.len() < DIFFERENCES_MAX {
            self.sink.differences.push(difference);
        } else {
            self.sink.more += 1;
        }
    }

    /// Whether rows, rejections or schemas differ.
    pub(super) fn differs(&self) -> bool {
        !self.sink.differences.is_empty()
    }
}

impl Written {
    fn add(&mut self, committed: Committed) {
        self.commits += 1;
        self.rows += committed.rows;
        self.files += u64::from(committed.files);
        self.bytes += committed.bytes;
    }
}

/// Runs the new version until `until`, beginning with the next interval of the running one.
pub(super) async fn run(
    watch: SinkWatch,
    to: &Version,
    until: Instant,
    scratch: &Path,
) -> (ShadowEnd, SinkFound) {
    let usage = Arc::new(Usage::default());
    let mut found = SinkFound::default();
    let shadowed = shadow(watch, to, until, scratch, &usage, &mut found).await;
    found.cpu = usage.snapshot().cpu;
    let end = shadowed.unwrap_or_else(|failed| ShadowEnd::Failed {
        reason: failed.to_string(),
    });
    (end, found)
}

async fn shadow(
    watch: SinkWatch,
    to: &Version,
    until: Instant,
    scratch: &Path,
    usage: &Arc<Usage>,
    found: &mut SinkFound,
) -> Result<ShadowEnd, Failed> {
    let SinkWatch {
        spec,
        host,
        mut known,
        mut items,
        ..
    } = watch;
    let Beginning {
        end,
        behind,
        targets,
    } = boundary(&mut items, spec.tasks.max(1), until).await;
    if let Some(end) = end {
        return Ok(end);
    }
    // One that the running version made meanwhile lies below the shadow too.
    known.extend(targets);
    known.sort_unstable();
    known.dedup();
    let overlay = spec
        .lake
        .as_ref()
        .map(|lake| LakeOverlay::over(lake, scratch, OVERLAY_BYTES_MAX));
    let mut shadow = SinkShadow::open(&spec, &host, to, overlay.as_ref(), known, usage).await?;
    for item in behind {
        shadow.take(item, found).await?;
    }
    let end = loop {
        match tokio::time::timeout_at(until, items.next()).await {
            Ok(Some(item)) => shadow.take(item, found).await?,
            Ok(None) => break running_ended(),
            Err(_) => break ShadowEnd::Over,
        }
    };
    if let Some(overlay) = &overlay {
        let told = overlay.schema_differences().await;
        let told = told.map_err(|e| Failed::for_good("compare schemas", e.to_string()))?;
        told.into_iter().for_each(|it| found.differs_by(it));
    }
    Ok(end)
}

fn running_ended() -> ShadowEnd {
    ShadowEnd::RunningEnded {
        reason: "it began anew, was given other partitions, was replaced, or was not kept up with"
            .to_owned(),
    }
}

/// Where the shadow begins.
struct Beginning {
    end: Option<ShadowEnd>,
    /// What the tasks were given since they staged for the interval that has just ended.
    behind: Vec<SinkItem>,
    /// To which the running version has committed meanwhile.
    targets: BTreeSet<String>,
}

/// Waits for the end of an interval in which every task staged: what comes after it is on top of
/// what the targets hold then.
async fn boundary(items: &mut SinkItems, tasks: u32, until: Instant) -> Beginning {
    let mut behind: Vec<SinkItem> = Vec::new();
    let mut staged = BTreeSet::new();
    let mut targets = BTreeSet::new();
    let ended = |end| Beginning {
        end: Some(end),
        behind: Vec::new(),
        targets: BTreeSet::new(),
    };
    loop {
        let item = match tokio::time::timeout_at(until, items.next()).await {
            Ok(Some(item)) => item,
            Ok(None) => return ended(running_ended()),
            Err(_) => return ended(ShadowEnd::Over),
        };
        if behind.iter().map(SinkItem::bytes).sum::<usize>() > BEHIND_BYTES_MAX {
            let reason = "the commit that it was to begin after takes too long".to_owned();
            return ended(ShadowEnd::TooSlow { reason });
        }
        match item {
            SinkItem::Put { task, .. } if staged.contains(&task) => behind.push(item),
            SinkItem::Put { .. } => {}
            SinkItem::Staged { task } => {
                staged.insert(task);
                behind.retain(|it| match it {
                    SinkItem::Put { task: of, .. } => *of != task,
                    SinkItem::Staged { .. } | SinkItem::Interval { .. } => false,
                });
            }
            SinkItem::Interval { commits } => {
                targets.extend(commits.into_iter().map(|it| it.target));
                if staged.len() >= tasks as usize {
                    return Beginning {
                        end: None,
                        behind,
                        targets,
                    };
                }
                staged.clear();
                behind.clear();
            }
        }
    }
}

type Held = BTreeMap<String, BTreeMap<(String, i32), i64>>;

struct SinkShadow {
    spec: SinkSpec,
    committer: SinkInstance,
    tasks: BTreeMap<u32, SinkInstance>,
    /// What the overlay's targets hold.
    held: Held,
    /// What the tasks staged and no commit has taken yet.
    pieces: Vec<Piece>,
}

impl SinkShadow {
    async fn open(
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
        let stored = committer.stored(known).await;
        let stored = stored.map_err(|e| Failed::call("stored", e))?;
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

    async fn take(&mut self, item: SinkItem, found: &mut SinkFound) -> Result<(), Failed> {
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
    committer::open(spec, host, role, Arc::clone(usage), Interrupt::default()).await
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

fn compare_rejections(
    span: &Span,
    running: &[Rejection],
    new: &[Rejection],
    found: &mut SinkFound,
) {
    let alone = |of: &[Rejection], others: &[Rejection], who: &str| -> Vec<String> {
        let only = of
            .iter()
            .filter(|it| others.iter().all(|other| other.index != it.index));
        only.map(|it| {
            let cut = it.reason.floor_char_boundary(REASON_BYTES_MAX);
            format!(
                "only {who} rejects record {} of the batch at {}-{} offset {}: {}",
                it.index,
                span.topic,
                span.partition,
                span.first_offset,
                &it.reason[..cut]
            )
        })
        .collect()
    };
    let of_running = alone(running, new, "the running version");
    let of_new = alone(new, running, "the new version");
    of_running
        .into_iter()
        .chain(of_new)
        .for_each(|it| found.differs_by(it));
}

fn compare_commits(seen: &CommitSeen, own: Committed, found: &mut SinkFound) {
    let target = &seen.target;
    let written = found.sink.running.entry(target.clone()).or_default();
    written.add(seen.committed);
    let written = found.sink.new.entry(target.clone()).or_default();
    written.add(own);
    if own.rows != seen.committed.rows {
        found.differs_by(format!(
            "a commit to {target} makes {} rows visible, the running version's {}",
            own.rows, seen.committed.rows
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::listen::Listeners;
    use super::*;

    fn span(first_offset: i64) -> Span {
        Span {
            topic: "t".into(),
            topic_id: String::new(),
            partition: 0,
            first_offset,
            next_offset: first_offset + 1,
        }
    }

    fn put(task: u32, first_offset: i64) -> SinkItem {
        SinkItem::Put {
            task,
            span: span(first_offset),
            batch: Bytes::new(),
            rejected: Vec::new(),
        }
    }

    fn interval() -> SinkItem {
        SinkItem::Interval {
            commits: Vec::new(),
        }
    }

    fn firsts(items: &[SinkItem]) -> Vec<i64> {
        let first = |it: &SinkItem| match it {
            SinkItem::Put { span, .. } => span.first_offset,
            SinkItem::Staged { .. } | SinkItem::Interval { .. } => -1,
        };
        items.iter().map(first).collect()
    }

    #[tokio::test]
    async fn it_begins_with_what_was_given_after_every_task_had_staged() {
        let listeners = Listeners::default();
        let mut items = listeners.add().unwrap();
        let staged = |task| SinkItem::Staged { task };
        for item in [
            put(0, 0),
            staged(0),
            put(0, 1),
            // One task could not stage: its records are in no commit yet.
            interval(),
            staged(0),
            put(0, 2),
            put(1, 5),
            staged(1),
            interval(),
            put(0, 3),
        ] {
            listeners.tell(|| item);
        }
        let until = Instant::now() + Duration::from_secs(60);
        let begin = boundary(&mut items, 2, until).await;
        assert_eq!(begin.end, None);
        assert_eq!(firsts(&begin.behind), [2]);
        let next = items.next().await.unwrap();
        assert_eq!(firsts(&[next]), [3]);
        listeners.dismiss();
        let begin = boundary(&mut items, 2, until).await;
        assert_eq!(begin.end, Some(running_ended()));
    }

    #[test]
    fn a_record_that_only_one_rejects_is_a_difference() {
        let rejection = |index| Rejection {
            index,
            reason: format!("reason {index}"),
        };
        let mut found = SinkFound::default();
        let (running, new) = ([rejection(1), rejection(2)], [rejection(2), rejection(3)]);
        compare_rejections(&span(7), &running, &new, &mut found);
        let told = &found.sink.differences;
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("only the running version rejects record 1"));
        assert!(told[1].contains("only the new version rejects record 3"));
        let seen = CommitSeen {
            target: "a".into(),
            spans: Vec::new(),
            committed: Committed {
                rows: 3,
                ..Committed::default()
            },
        };
        compare_commits(&seen, seen.committed, &mut found);
        compare_commits(&seen, Committed::default(), &mut found);
        assert_eq!(found.sink.differences.len(), 3, "rows differ once");
        assert_eq!(found.sink.running["a"].rows, 6);
    }
}
