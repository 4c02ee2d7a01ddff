//! What each target of a sink connector holds, and what to commit next.

#[cfg(test)]
mod given_up;
mod moved;
#[cfg(test)]
mod tests;

use crate::sink_task::Span;
pub use moved::Moved;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What one task staged.
#[derive(Debug)]
pub struct Staged<P, X> {
    /// Pieces by the target they belong to.
    pub pieces: Vec<(String, X)>,
    /// One span for each of the task's partitions.
    pub spans: Vec<Span<P>>,
}

/// One call of `commit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit<P, X> {
    /// The target.
    pub target: String,
    /// What becomes visible; empty: positions only.
    pub pieces: Vec<X>,
    /// From what the target holds to what it will hold, for every owned partition.
    pub spans: Vec<Span<P>>,
}

/// The positions of each target.
///
/// Each target fences its own positions: a commit's spans begin where that target stands, which
/// is behind the others if it had no pieces for a while.
#[derive(Debug)]
pub struct Ledger<P> {
    /// What each target holds, as it said itself or as was committed since.
    held: BTreeMap<String, BTreeMap<P, i64>>,
    /// Of each owned partition: what was staged before this interval, and by now.
    owned: BTreeMap<P, Owned>,
    /// Since when a target has been behind.
    behind_since: BTreeMap<String, Duration>,
    /// Targets that get no more commits. What they hold stays as it is.
    failed: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy)]
struct Owned {
    before: i64,
    staged: i64,
}

impl<P: Ord + Clone> Ledger<P> {
    /// A ledger of what the targets say they hold.
    pub fn new(held: impl IntoIterator<Item = (String, BTreeMap<P, i64>)>) -> Self {
        Self {
            held: held.into_iter().collect(),
            owned: BTreeMap::new(),
            behind_since: BTreeMap::new(),
            failed: BTreeSet::new(),
        }
    }

    /// What the targets hold, for `assigned` of a task.
    pub fn held(&self) -> &BTreeMap<String, BTreeMap<P, i64>> {
        &self.held
    }

    /// The partitions that are read.
    pub fn owned(&self) -> impl Iterator<Item = &P> {
        self.owned.keys()
    }

    /// The targets that ever held anything.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.held.keys().map(String::as_str)
    }

    /// The target gets no more commits: from now on its pieces are dropped, and it is not advanced.
    /// Reading begins at what it holds when there is a new ledger.
    pub fn fail(&mut self, target: &str) {
        self.failed.insert(target.to_owned());
    }

    /// The targets that get no more commits.
    pub fn failed(&self) -> &BTreeSet<String> {
        &self.failed
    }

    /// Where a target begins in the partitions that it was never told a position of, according to a
    /// commit that it has not taken. From now on it holds these: whoever calls keeps them.
    pub fn begins<X>(&mut self, commit: &Commit<P, X>) -> BTreeMap<P, i64> {
        let held = self.held.entry(commit.target.clone()).or_default();
        let lacking = commit.spans.iter();
        let lacking = lacking.filter(|span| !held.contains_key(&span.partition));
        let begins: BTreeMap<P, i64> = lacking
            .map(|span| (span.partition.clone(), span.first))
            .collect();
        held.extend(begins.clone());
        begins
    }

    /// A target that holds nothing of a partition begins it at `offset`: from now on it holds that.
    /// Whether it held nothing: then whoever calls keeps it before any commit is made.
    pub fn begin(&mut self, target: &str, partition: &P, offset: i64) -> bool {
        let held = self.held.entry(target.to_owned()).or_default();
        match held.entry(partition.clone()) {
            Entry::Vacant(nothing) => {
                nothing.insert(offset);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Where a partition must be read from: the lowest position that a target holds. `None` when
    /// no target knows the partition.
    pub fn stored(&self, partition: &P) -> Option<i64> {
        self.held
            .values()
            .filter_map(|positions| positions.get(partition))
            .min()
            .copied()
    }

    /// Where a partition that was read before is read again: as [`Self::stored`], but what targets
    /// hold that get no more commits does not count.
    pub fn wanted(&self, partition: &P) -> Option<i64> {
        let working = self.held.iter();
        let working = working.filter(|(target, _)| !self.failed.contains(*target));
        working
            .filter_map(|(_, positions)| positions.get(partition))
            .min()
            .copied()
            .or_else(|| self.stored(partition))
    }

    /// The highest position that a target holds of a partition.
    pub fn stored_max(&self, partition: &P) -> Option<i64> {
        self.held
            .values()
            .filter_map(|positions| positions.get(partition))
            .max()
            .copied()
    }

    /// A partition is read from `offset` on.
    pub fn own(&mut self, partition: P, offset: i64) {
        self.owned.insert(
            partition,
            Owned {
                before: offset,
                staged: offset,
            },
        );
    }

    /// A partition is no longer this connector's.
    pub fn release(&mut self, partition: &P) {
        self.owned.remove(partition);
    }

    /// The end of what was staged of an owned partition: where a new task goes on.
    pub fn staged(&self, partition: &P) -> Option<i64> {
        self.owned.get(partition).map(|owned| owned.staged)
    }

    /// The commits of one interval, in an order in which they can be made: those that tell where a
    /// target begins before all others, and each target's own as they stand here.
    ///
    /// A target that lacks an owned partition is first committed without pieces at the interval's
    /// beginning, if any other target commits: else a kill in between would lose its first
    /// records, since reading would go on from the other's positions. `idle_max`: a target that has been
    /// behind for so long is advanced by a commit without pieces, before its position can fall
    /// out of the log's retention.
    ///
    /// A failed target holds from now on where it begins in partitions that it was never told a
    /// position of: whoever calls keeps what failed targets hold, before the commits are made.
    ///
    /// # Errors
    /// A partition was given up after a task had staged it: its records are among the pieces, and
    /// who reads it next reads them again. The ledger counts for nothing then.
    pub fn interval<X>(
        &mut self,
        staged: Vec<Staged<P, X>>,
        now: Duration,
        idle_max: Duration,
    ) -> Result<Vec<Commit<P, X>>, Moved<P>> {
        let mut pieces: BTreeMap<String, Vec<X>> = BTreeMap::new();
        for (partition, owned) in &mut self.owned {
            owned.before = owned.staged;
            // A partition that came after such a target had failed: no commit tells it where it
            // begins, and the others' positions are about to pass that.
            for target in &self.failed {
                let held = self.held.entry(target.clone()).or_default();
                held.entry(partition.clone()).or_insert(owned.before);
            }
        }
        for task in staged {
            for (target, piece) in task.pieces {
                pieces.entry(target).or_default().push(piece);
            }
            for span in task.spans {
                self.stage(span)?;
            }
        }
        let mut targets: BTreeSet<String> =
            self.held.keys().chain(pieces.keys()).cloned().collect();
        let several = targets.len() > 1;
        targets.retain(|target| !self.failed.contains(target));
        pieces.retain(|target, _| !self.failed.contains(target));
        let mut commits = Vec::new();
        for target in targets
            .iter()
            .filter(|t| several && !pieces.is_empty() && self.lacks_any(t))
        {
            // It goes nowhere: the target's next commit of this interval begins where it stands now.
            let spans = self.spans(target, |first, _| first);
            commits.push(Commit {
                target: target.clone(),
                pieces: Vec::new(),
                spans,
            });
        }
        for target in targets {
            let pieces = pieces.remove(&target).unwrap_or_default();
            // A target may hold more than was staged again after a rewind to a lower one.
            let spans = self.spans(&target, |first, owned| owned.staged.max(first));
            let behind = spans.iter().any(|span| span.first < span.next);
            if !behind {
                self.behind_since.remove(&target);
            }
            let since = *self.behind_since.entry(target.clone()).or_insert(now);
            let idle_too_long = behind && now.saturating_sub(since) >= idle_max;
            if !pieces.is_empty() || idle_too_long {
                commits.push(Commit {
                    target,
                    pieces,
                    spans,
                });
            }
        }
        Ok(commits)
    }

    /// The target now holds the spans' ends.
    ///
    /// # Errors
    /// A partition was given up while the commit was on its way, and is read from elsewhere than the
    /// span's end: the next commit would begin behind records that it contains, or before some that
    /// it lacks. The ledger counts for nothing then.
    pub fn committed<X>(&mut self, commit: &Commit<P, X>) -> Result<(), Moved<P>> {
        let held = self.held.entry(commit.target.clone()).or_default();
        for span in &commit.spans {
            held.insert(span.partition.clone(), span.next);
        }
        self.behind_since.remove(&commit.target);
        let late = commit.spans.iter().find_map(|span| self.late(commit, span));
        late.map_or(Ok(()), Err)
    }

    /// A task staged this span, which must begin where the partition stands.
    fn stage(&mut self, span: Span<P>) -> Result<(), Moved<P>> {
        match self.owned.get_mut(&span.partition) {
            Some(owned) if owned.staged == span.first => {
                owned.staged = span.next;
                Ok(())
            }
            // Nothing of it is among the pieces.
            None if span.first == span.next => Ok(()),
            Some(owned) => Err(Moved::ReadAnew {
                staged: owned.staged,
                partition: span.partition,
                first: span.first,
                next: span.next,
            }),
            None => Err(Moved::GivenUp {
                partition: span.partition,
                first: span.first,
                next: span.next,
            }),
        }
    }

    /// Whether a partition is read otherwise by now than when the commit that has landed was made
    /// out.
    ///
    /// One that is not read here any more is right: who reads it next in this process begins at
    /// what the target holds from now on. Another process asks the targets when its life begins; if
    /// that was before this commit, the target refuses its first one, and it asks again.
    fn late<X>(&self, commit: &Commit<P, X>, span: &Span<P>) -> Option<Moved<P>> {
        let owned = self.owned.get(&span.partition)?;
        let known = owned.before..=owned.staged;
        (span.first < span.next && !known.contains(&span.next)).then(|| Moved::TakenLate {
            target: commit.target.clone(),
            partition: span.partition.clone(),
            next: span.next,
            staged: owned.staged,
        })
    }

    /// Whether a target has never been told a position of some owned partition.
    fn lacks_any(&self, target: &str) -> bool {
        let held = self.held.get(target);
        self.owned
            .keys()
            .any(|partition| held.is_none_or(|held| !held.contains_key(partition)))
    }

    /// From where a target stands, in each owned partition, to where `next` says.
    fn spans(&self, target: &str, next: impl Fn(i64, &Owned) -> i64) -> Vec<Span<P>> {
        let held = self.held.get(target);
        self.owned
            .iter()
            .map(|(partition, owned)| {
                let first = held
                    .and_then(|held| held.get(partition))
                    .copied()
                    .unwrap_or(owned.before);
                Span {
                    partition: partition.clone(),
                    first,
                    next: next(first, owned),
                }
            })
            .collect()
    }
}
