//! Partitions that are given up while what was staged of them is on its way.

use super::{Commit, Ledger, Moved, Staged};
use crate::sink_task::{SinkTask, Span};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const NEVER: Duration = Duration::MAX;

/// A record by its partition and its offset.
type Record = (u8, i64);

fn staged(partition: u8, first: i64, next: i64) -> Staged<u8, Record> {
    Staged {
        pieces: vec![("t".to_owned(), (partition, first))],
        spans: vec![Span {
            partition,
            first,
            next,
        }],
    }
}

/// A ledger of one target and two partitions, of which 0 stands at 5 and 1 at its beginning.
fn ledger() -> Ledger<u8> {
    let held = BTreeMap::from([(0u8, 5), (1, 0)]);
    let mut ledger = Ledger::new([("t".to_owned(), held)]);
    ledger.own(0, 5);
    ledger.own(1, 0);
    ledger
}

fn interval(
    ledger: &mut Ledger<u8>,
    staged: Vec<Staged<u8, Record>>,
) -> Result<Vec<Commit<u8, Record>>, Moved<u8>> {
    ledger.interval(staged, Duration::ZERO, NEVER)
}

#[test]
fn what_is_given_up_between_stage_and_commit_is_not_committed() {
    let mut ledger = ledger();
    let both = vec![staged(0, 5, 9), staged(1, 0, 3)];
    ledger.release(&0);
    let moved = interval(&mut ledger, both).unwrap_err();
    let given_up = Moved::GivenUp {
        partition: 0,
        first: 5,
        next: 9,
    };
    assert_eq!(moved, given_up);
}

#[test]
fn what_is_given_up_between_two_parts_of_an_interval_is_not_committed() {
    let mut ledger = ledger();
    let commits = interval(&mut ledger, vec![staged(1, 0, 3)]).unwrap();
    ledger.release(&0);
    assert_eq!(ledger.committed(&commits[0]), Ok(()));
    assert!(interval(&mut ledger, vec![staged(0, 5, 9)]).is_err());
}

#[test]
fn what_two_tasks_staged_is_not_committed() {
    let mut ledger = ledger();
    ledger.release(&0);
    let again = ledger.wanted(&0).unwrap();
    ledger.own(0, again);
    let both = vec![staged(0, 5, 9), staged(0, again, 7)];
    let moved = interval(&mut ledger, both).unwrap_err();
    let read_anew = Moved::ReadAnew {
        partition: 0,
        first: 5,
        next: 7,
        staged: 9,
    };
    assert_eq!(moved, read_anew);
}

#[test]
fn a_partition_of_which_nothing_was_staged_may_be_given_up() {
    let mut ledger = ledger();
    let both = vec![staged(0, 5, 5), staged(1, 0, 3)];
    ledger.release(&0);
    let commits = interval(&mut ledger, both).unwrap();
    assert_eq!(ledger.committed(&commits[0]), Ok(()));
}

#[test]
fn a_commit_that_lands_after_its_partition_was_taken_over_ends_it() {
    // Read again from where the commit began; and from behind its end.
    for again in [5, 30] {
        let mut ledger = ledger();
        let commits = interval(&mut ledger, vec![staged(0, 5, 9)]).unwrap();
        ledger.release(&0);
        ledger.own(0, again);
        let late = Moved::TakenLate {
            target: "t".to_owned(),
            partition: 0,
            next: 9,
            staged: again,
        };
        assert_eq!(ledger.committed(&commits[0]), Err(late));
    }
}

#[test]
fn a_commit_that_lands_before_its_partition_is_taken_over_counts() {
    let mut ledger = ledger();
    let commits = interval(&mut ledger, vec![staged(0, 5, 9)]).unwrap();
    ledger.release(&0);
    assert_eq!(ledger.committed(&commits[0]), Ok(()));
    assert_eq!(ledger.wanted(&0), Some(9), "where the next owner begins");
}

const PARTITIONS: u8 = 2;
/// Of each partition.
const RECORDS: i64 = 40;
const TARGETS: [&str; 2] = ["a", "b"];
const TASKS: usize = 2;
/// Rare orders of events matter, and a case takes well below a millisecond.
const CASES: u32 = 2000;

type Held = BTreeMap<String, BTreeMap<u8, i64>>;

fn target_of((partition, offset): Record) -> &'static str {
    let mixed = offset * 7 + offset / 5 + i64::from(partition);
    TARGETS[usize::from(mixed % 2 == 1)]
}

#[derive(Default)]
struct Table {
    positions: BTreeMap<u8, i64>,
    rows: Vec<Record>,
}

/// A task and its instance.
#[derive(Default)]
struct Task {
    frontier: SinkTask<u8>,
    /// Where its reader stands.
    reads: BTreeMap<u8, i64>,
    /// What the instance was told that the targets hold.
    told: Held,
    /// What the instance was given and has not staged.
    put: Vec<Record>,
}

/// From what the targets hold to the first failure.
struct Life {
    ledger: Ledger<u8>,
    tasks: [Task; TASKS],
    /// What tasks answered in this interval; `None`: not now.
    replies: BTreeMap<usize, Option<Staged<u8, Record>>>,
    /// Of an interval that all tasks have answered for: a part for each task.
    parts: VecDeque<Staged<u8, Record>>,
    commits: VecDeque<Commit<u8, Record>>,
}

impl Life {
    fn new(held: Held) -> Self {
        Self {
            ledger: Ledger::new(held),
            tasks: Default::default(),
            replies: BTreeMap::new(),
            parts: VecDeque::new(),
            commits: VecDeque::new(),
        }
    }

    /// Nothing is on its way.
    fn rests(&self) -> bool {
        self.replies.is_empty() && self.parts.is_empty() && self.commits.is_empty()
    }

    fn told(&self) -> Held {
        let failed = self.ledger.failed();
        let mut told = self.ledger.held().clone();
        for target in failed {
            let all = (0..PARTITIONS).map(|partition| (partition, i64::MAX));
            told.insert(target.clone(), all.collect());
        }
        told
    }

    fn take(&mut self, task: usize, partition: u8) {
        if self.tasks.iter().any(|it| it.frontier.owns(&partition)) {
            return;
        }
        let on_its_way = self.ledger.staged(&partition);
        let stored = on_its_way.or_else(|| self.ledger.wanted(&partition));
        let offset = stored.unwrap_or(0);
        self.ledger.own(partition, offset);
        let told = self.told();
        let task = &mut self.tasks[task];
        task.frontier.assign(partition, offset);
        task.reads.insert(partition, offset);
        task.told = told;
    }

    fn give_up(&mut self, task: usize, partition: u8) {
        if !self.tasks[task].frontier.owns(&partition) {
            return;
        }
        self.ledger.release(&partition);
        let told = self.told();
        let task = &mut self.tasks[task];
        task.frontier.release(&partition);
        task.put.clear();
        task.told = told;
        task.reads = task.frontier.rewind().into_iter().collect();
    }

    fn put(&mut self, task: usize, partition: u8, records: i64) {
        let task = &mut self.tasks[task];
        let Some(&position) = task.reads.get(&partition) else {
            return;
        };
        let next = (position + records).min(RECORDS);
        let span = task.frontier.span(&partition, position, next);
        let span = span.unwrap().unwrap();
        for record in (position..next).map(|offset| (partition, offset)) {
            let held = task.told.get(target_of(record));
            let held = held.and_then(|held| held.get(&partition));
            if held.is_none_or(|held| record.1 >= *held) {
                task.put.push(record);
            }
        }
        task.frontier.put(&span);
        task.reads.insert(partition, next);
    }

    fn stage(&mut self, number: usize, can: bool) {
        if !self.parts.is_empty() || !self.commits.is_empty() || self.replies.contains_key(&number)
        {
            return;
        }
        let task = &mut self.tasks[number];
        let staged = can.then(|| {
            let pieces = std::mem::take(&mut task.put).into_iter();
            Staged {
                pieces: pieces.map(|it| (target_of(it).to_owned(), it)).collect(),
                spans: task.frontier.staged(),
            }
        });
        self.replies.insert(number, staged);
        if self.replies.len() == TASKS {
            let replies = std::mem::take(&mut self.replies);
            self.parts = replies.into_values().flatten().collect();
        }
    }
}

/// The targets, what is kept of them, and who writes to them.
struct World {
    tables: BTreeMap<&'static str, Table>,
    /// Where targets begin that could not be told.
    kept: Held,
    /// After how long a target that is behind is advanced.
    idle_max: Duration,
    life: Life,
    /// Lives that ended by themselves.
    ended: u32,
}

impl World {
    fn new(idle_max: Duration) -> Self {
        Self {
            tables: BTreeMap::new(),
            kept: Held::new(),
            idle_max,
            life: Life::new(Held::new()),
            ended: 0,
        }
    }

    fn new_life(&mut self) {
        let mut held = self.kept.clone();
        for (target, table) in &self.tables {
            let known = held.entry((*target).to_owned()).or_default();
            known.extend(table.positions.clone());
        }
        self.life = Life::new(held);
    }

    /// The next step on the way from what was staged to the targets.
    fn go(&mut self) {
        let goes_on = match self.life.commits.pop_front() {
            Some(commit) => self.land(&commit),
            None => self.make_out(),
        };
        if !goes_on {
            self.ended += 1;
            self.new_life();
        }
    }

    /// The commits of a part, if there is one. Whether the life goes on.
    fn make_out(&mut self) -> bool {
        let Some(part) = self.life.parts.pop_front() else {
            return true;
        };
        let ledger = &mut self.life.ledger;
        let commits = ledger.interval(vec![part], Duration::ZERO, self.idle_max);
        let Ok(commits) = commits else {
            return false;
        };
        if !commits.is_empty() {
            for target in ledger.failed() {
                let held = ledger.held()[target].clone();
                self.kept.entry(target.clone()).or_default().extend(held);
            }
        }
        self.life.commits = commits.into();
        true
    }

    /// A target takes a commit if it stands where the spans begin. Whether the life goes on.
    fn land(&mut self, commit: &Commit<u8, Record>) -> bool {
        let target = TARGETS.into_iter().find(|it| *it == commit.target);
        let table = self.tables.entry(target.unwrap()).or_default();
        let fenced = commit.spans.iter().any(|it| {
            let stands = table.positions.get(&it.partition);
            stands.is_some_and(|stands| *stands != it.first)
        });
        if fenced {
            return false;
        }
        for span in &commit.spans {
            table.positions.insert(span.partition, span.next);
            if let Some(kept) = self.kept.get_mut(&commit.target) {
                kept.remove(&span.partition);
            }
        }
        table.rows.extend(&commit.pieces);
        self.life.ledger.committed(commit).is_ok()
    }

    /// A commit does not succeed: it waits until those of the others are made, or `for_good` its
    /// target gets no more of them.
    fn refuse(&mut self, for_good: bool) {
        let life = &mut self.life;
        let Some(commit) = life.commits.front() else {
            return;
        };
        let target = commit.target.clone();
        let begins = life.ledger.begins(commit);
        self.kept.entry(target.clone()).or_default().extend(begins);
        let commits = std::mem::take(&mut life.commits).into_iter();
        let (own, others): (VecDeque<_>, VecDeque<_>) = commits.partition(|it| it.target == target);
        life.commits = others;
        if !for_good {
            life.commits.extend(own);
            return;
        }
        let queued = life.commits.iter().map(|it| it.target.as_str());
        let known: BTreeSet<&str> = life.ledger.targets().chain(queued).collect();
        let works = |it: &str| it != target && !life.ledger.failed().contains(it);
        if known.into_iter().any(works) {
            life.ledger.fail(&target);
        } else {
            self.new_life();
        }
    }

    /// What happens, by a number; `at_rest`: partitions are given up only while nothing is on its
    /// way.
    fn happens(&mut self, (what, whose, records): (u8, u8, i64), at_rest: bool) {
        let (task, partition) = (usize::from(whose % 2), whose / 2 % PARTITIONS);
        match what {
            0..=3 => self.life.put(task, partition, records),
            4..=6 => self.life.stage(task, true),
            7 => self.life.stage(task, false),
            8..=11 => self.go(),
            12 if at_rest && !self.life.rests() => {}
            12 => self.life.give_up(task, partition),
            13..=14 => self.life.take(task, partition),
            15 => self.refuse(false),
            16 if whose == 0 => self.refuse(true),
            17 if whose == 0 => self.new_life(),
            _ => {}
        }
    }

    /// A last life that nothing happens to.
    fn finish(&mut self) {
        self.new_life();
        let before = self.ended;
        for partition in 0..PARTITIONS {
            let task = usize::from(partition) % TASKS;
            self.life.take(task, partition);
            self.life.put(task, partition, RECORDS);
        }
        for task in 0..TASKS {
            self.life.stage(task, true);
        }
        while !self.life.rests() {
            self.go();
        }
        assert_eq!(self.ended, before, "the last life ended by itself");
    }
}

fn happenings() -> impl Strategy<Value = Vec<(u8, u8, i64)>> {
    proptest::collection::vec((0u8..18, 0u8..4, 1i64..8), 1..200)
}

fn idle_max() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(NEVER), Just(Duration::ZERO)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    /// Whenever partitions are given up and taken over, tasks can't stage, commits wait or fail for
    /// good, and lives end: each record is visible in its target once.
    #[test]
    fn each_record_lands_once_whenever_partitions_are_given_up(
        what in happenings(), idle in idle_max()
    ) {
        let mut world = World::new(idle);
        for it in what {
            world.happens(it, false);
        }
        world.finish();
        let all = (0..PARTITIONS).flat_map(|p| (0..RECORDS).map(move |offset| (p, offset)));
        let all: Vec<Record> = all.collect();
        for target in TARGETS {
            let mut rows = world.tables.remove(target).unwrap_or_default().rows;
            rows.sort_unstable();
            let mut expected = all.clone();
            expected.retain(|it| target_of(*it) == target);
            prop_assert_eq!(rows, expected, "target {}", target);
        }
    }

    /// No life ends of it where partitions are given up after all that was staged has landed.
    #[test]
    fn partitions_that_are_given_up_at_rest_end_no_life(
        what in happenings(), idle in idle_max()
    ) {
        let mut world = World::new(idle);
        for it in what {
            world.happens(it, true);
        }
        prop_assert_eq!(world.ended, 0);
    }
}
