//! What each target of a sink connector holds, and what to commit next.

#[cfg(test)]
mod given_up;
mod moved;

use crate::sink_task::Span;
pub use moved::Moved;
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

    /// The commits of one interval, in the order in which they must be made.
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

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::MAX;

    fn staged(pieces: &[&str], spans: &[(u8, i64, i64)]) -> Staged<u8, u32> {
        Staged {
            pieces: pieces.iter().map(|t| ((*t).to_owned(), 1)).collect(),
            spans: spans
                .iter()
                .map(|&(partition, first, next)| Span {
                    partition,
                    first,
                    next,
                })
                .collect(),
        }
    }

    /// A commit's target, how many pieces, and where each span begins and ends.
    type Named<'a> = (&'a str, usize, Vec<(i64, i64)>);

    fn names(commits: &[Commit<u8, u32>]) -> Vec<Named<'_>> {
        commits
            .iter()
            .map(|c| {
                (
                    c.target.as_str(),
                    c.pieces.len(),
                    c.spans.iter().map(|s| (s.first, s.next)).collect(),
                )
            })
            .collect()
    }

    fn apply(ledger: &mut Ledger<u8>, commits: &[Commit<u8, u32>]) {
        for commit in commits {
            ledger.committed(commit).unwrap();
        }
    }

    #[test]
    fn one_target_costs_one_commit_an_interval() {
        let mut ledger = Ledger::new([]);
        ledger.own(0u8, 5);
        ledger.own(1, 0);
        let commits = ledger.interval(
            vec![staged(&["t"], &[(0, 5, 9)]), staged(&["t"], &[(1, 0, 3)])],
            Duration::ZERO,
            NEVER,
        );
        let commits = commits.unwrap();
        assert_eq!(names(&commits), [("t", 2, vec![(5, 9), (0, 3)])]);
        apply(&mut ledger, &commits);
        assert_eq!(ledger.stored(&0), Some(9));
        let nothing = staged(&[], &[(0, 9, 9), (1, 3, 3)]);
        let commits = ledger.interval(vec![nothing], Duration::ZERO, NEVER);
        assert!(commits.unwrap().is_empty());
    }

    #[test]
    fn a_new_target_is_told_where_the_interval_began_before_any_other_commits() {
        let mut ledger = Ledger::new([("a".to_owned(), BTreeMap::from([(0u8, 5)]))]);
        ledger.own(0, 5);
        let commits = ledger.interval(
            vec![staged(&["b", "a"], &[(0, 5, 9)])],
            Duration::ZERO,
            NEVER,
        );
        let commits = commits.unwrap();
        assert_eq!(
            names(&commits),
            [
                ("b", 0, vec![(5, 5)]),
                ("a", 1, vec![(5, 9)]),
                ("b", 1, vec![(5, 9)])
            ]
        );
    }

    #[test]
    fn an_idle_target_lags_and_is_then_advanced() {
        let mut ledger = Ledger::new([
            ("a".to_owned(), BTreeMap::from([(0u8, 5)])),
            ("b".to_owned(), BTreeMap::from([(0u8, 5)])),
        ]);
        ledger.own(0, 5);
        let idle_max = Duration::from_secs(60);
        let commits = ledger.interval(vec![staged(&["a"], &[(0, 5, 9)])], Duration::ZERO, idle_max);
        let commits = commits.unwrap();
        assert_eq!(names(&commits), [("a", 1, vec![(5, 9)])]);
        apply(&mut ledger, &commits);
        assert_eq!(
            ledger.stored(&0),
            Some(5),
            "a restart reads from the lowest"
        );
        let commits = ledger.interval(vec![staged(&["a"], &[(0, 9, 12)])], idle_max, idle_max);
        assert_eq!(
            names(&commits.unwrap()),
            [("a", 1, vec![(9, 12)]), ("b", 0, vec![(5, 12)])]
        );
    }

    #[test]
    fn a_target_ahead_of_a_rewind_never_goes_back() {
        let mut ledger = Ledger::new([
            ("a".to_owned(), BTreeMap::from([(0u8, 50)])),
            ("b".to_owned(), BTreeMap::from([(0u8, 5)])),
        ]);
        ledger.own(0, 5);
        let commits = ledger.interval(vec![staged(&["b"], &[(0, 5, 20)])], Duration::ZERO, NEVER);
        let commits = commits.unwrap();
        assert_eq!(names(&commits), [("b", 1, vec![(5, 20)])]);
        apply(&mut ledger, &commits);
        assert_eq!(ledger.held()["a"][&0], 50);
    }

    #[test]
    fn a_failed_target_stays_where_it_is_and_the_others_go_on() {
        let mut ledger = Ledger::new([
            ("a".to_owned(), BTreeMap::from([(0u8, 5)])),
            ("b".to_owned(), BTreeMap::from([(0u8, 5)])),
        ]);
        ledger.own(0, 5);
        ledger.fail("b");
        let idle_max = Duration::from_secs(60);
        for (from, to, now) in [(5, 9, Duration::ZERO), (9, 12, idle_max * 2)] {
            let staged = staged(&["a", "b"], &[(0, from, to)]);
            let commits = ledger.interval(vec![staged], now, idle_max).unwrap();
            assert_eq!(names(&commits), [("a", 1, vec![(from, to)])]);
            apply(&mut ledger, &commits);
        }
        assert_eq!(ledger.stored(&0), Some(5), "a new life reads what it lacks");
        assert_eq!(ledger.wanted(&0), Some(12), "this one does not");
    }

    #[test]
    fn a_failed_target_begins_where_partitions_did_that_came_later() {
        let mut ledger = Ledger::new(["a", "b"].map(|target| {
            let held = BTreeMap::from([(0u8, 5)]);
            (target.to_owned(), held)
        }));
        ledger.own(0, 5);
        ledger.fail("b");
        ledger.own(1, 0);
        for (from, to) in [(0, 4), (4, 7)] {
            let staged = staged(&["a", "b"], &[(0, 5, 5), (1, from, to)]);
            let commits = ledger.interval(vec![staged], Duration::ZERO, NEVER);
            assert_eq!(ledger.held()["b"], BTreeMap::from([(0, 5), (1, 0)]));
            apply(&mut ledger, &commits.unwrap());
        }
        assert_eq!(ledger.stored(&1), Some(0), "a new life reads what it lacks");
        assert_eq!(ledger.wanted(&1), Some(7), "this one does not");
    }

    #[test]
    fn a_target_that_fails_at_its_first_commit_begins_there_in_another_life() {
        let mut ledger = Ledger::new([("a".to_owned(), BTreeMap::from([(0u8, 5)]))]);
        ledger.own(0, 5);
        let staged = staged(&["a", "b"], &[(0, 5, 9)]);
        let commits = ledger.interval(vec![staged], Duration::ZERO, NEVER);
        let commits = commits.unwrap();
        assert_eq!(commits[0].target, "b");
        assert_eq!(ledger.begins(&commits[0]), BTreeMap::from([(0, 5)]));
        ledger.fail("b");
        ledger.committed(&commits[1]).unwrap();
        assert_eq!(ledger.stored(&0), Some(5));
        assert!(ledger.begins(&commits[0]).is_empty(), "it is told by now");
    }

    /// Kills at every point of a run over three targets: after a restart from what the targets
    /// hold, each record reaches its target exactly once.
    #[test]
    fn a_kill_between_any_two_commits_loses_and_doubles_nothing() {
        const RECORDS: i64 = 60;
        let target_of = |offset: i64| ["a", "b", "c"][((offset * 7 + offset / 9) % 3) as usize];
        for kill_after in 0..40 {
            let mut tables: BTreeMap<String, (BTreeMap<u8, i64>, Vec<i64>)> = BTreeMap::new();
            let mut commits_made = 0;
            for life in 0..2 {
                let held: Vec<_> = tables
                    .iter()
                    .map(|(t, (p, _))| (t.clone(), p.clone()))
                    .collect();
                let mut ledger = Ledger::new(held);
                let mut at = ledger.stored(&0u8).unwrap_or(0);
                ledger.own(0, at);
                'life: while at < RECORDS {
                    let end = (at + 7).min(RECORDS);
                    let pieces = (at..end)
                        .filter(|&o| {
                            ledger
                                .held()
                                .get(target_of(o))
                                .and_then(|h| h.get(&0))
                                .is_none_or(|&h| o >= h)
                        })
                        .map(|o| (target_of(o).to_owned(), o))
                        .collect();
                    let staged = Staged {
                        pieces,
                        spans: vec![Span {
                            partition: 0,
                            first: at,
                            next: end,
                        }],
                    };
                    at = end;
                    let commits = ledger.interval(vec![staged], Duration::ZERO, NEVER);
                    for commit in commits.unwrap() {
                        if life == 0 && commits_made == kill_after {
                            break 'life;
                        }
                        commits_made += 1;
                        let table = tables.entry(commit.target.clone()).or_default();
                        for span in &commit.spans {
                            let stored = table.0.get(&0).copied();
                            assert!(stored.is_none_or(|s| s == span.first), "fenced: {commit:?}");
                            table.0.insert(0, span.next);
                        }
                        table.1.extend(&commit.pieces);
                        ledger.committed(&commit).unwrap();
                    }
                }
            }
            for target in ["a", "b", "c"] {
                let expected: Vec<i64> = (0..RECORDS).filter(|&o| target_of(o) == target).collect();
                assert_eq!(
                    tables[target].1, expected,
                    "target {target}, killed after {kill_after} commits"
                );
            }
        }
    }
}
