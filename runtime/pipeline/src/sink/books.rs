//! What the targets hold, and where reading goes on: shared by a connector's tasks.

use crate::failures::Failed;
use jackfield_core::{Commit, Consequence, Ledger, Moved, Span as CoreSpan, Staged};
use jackfield_log::{Assignment, Start, TopicPartition};
use jackfield_plugin::{Holding, LogPosition, Piece, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// A target that has been behind for so long is advanced by a commit without pieces: well within
/// any retention that makes sense, and rare enough to cost nothing.
const IDLE_TARGET_MAX: Duration = Duration::from_secs(60 * 60);

/// Where a partition is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(crate) offset: i64,
    /// Nothing durable says so, and what follows makes it another: whoever dies before the first
    /// commit would begin behind the records that came meanwhile.
    pub(crate) to_be_kept: bool,
}

/// Whose a position is where no target holds one.
const THE_GROUPS: &str = "the group's position";

impl Begin {
    /// Where one begins that stores no position of the partition: at the group's, if there is one.
    fn fresh(assigned: &Assignment, start: Start) -> Self {
        let (offset, to_be_kept) = match (assigned.committed, start) {
            (Some(offset), _) => (offset, false),
            (None, Start::Earliest) => (assigned.ends.start, false),
            (None, Start::Latest) => (assigned.ends.end, true),
        };
        Self { offset, to_be_kept }
    }
}

/// The ledger of one connector. The lock is held for a few map look-ups, never over a wait.
#[derive(Debug)]
pub(crate) struct Books {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger<TopicPartition>,
    topic_ids: BTreeMap<String, BTreeSet<String>>,
    ids: BTreeMap<TopicPartition, Uuid>,
    /// The readers' positions, for the lag.
    read: BTreeMap<TopicPartition, i64>,
    /// Partitions that came after a target had failed: no commit tells it where it begins in them.
    begun_late: BTreeMap<String, BTreeSet<TopicPartition>>,
    /// Partitions whose offsets were set by hand, by the target that is to go by them where it holds
    /// nothing itself.
    anew: BTreeMap<String, BTreeSet<TopicPartition>>,
    /// Those that it has begun there, which is not kept yet.
    begun_anew: BTreeMap<String, BTreeSet<TopicPartition>>,
}

impl Books {
    pub(crate) fn new(held: Vec<Holding>) -> Self {
        let mut topic_ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut targets: BTreeMap<String, BTreeMap<TopicPartition, i64>> = BTreeMap::new();
        for holding in held {
            let positions = targets.entry(holding.target).or_default();
            for p in holding.positions {
                topic_ids
                    .entry(p.topic.clone())
                    .or_default()
                    .insert(p.topic_id);
                positions.insert(
                    TopicPartition {
                        topic: p.topic.into(),
                        partition: p.partition,
                    },
                    p.next_offset,
                );
            }
        }
        Self {
            inner: Mutex::new(Inner {
                ledger: Ledger::new(targets),
                topic_ids,
                ids: BTreeMap::new(),
                read: BTreeMap::new(),
                begun_late: BTreeMap::new(),
                anew: BTreeMap::new(),
                begun_anew: BTreeMap::new(),
            }),
        }
    }

    /// These targets begin these partitions where one begins of which nothing is stored, if they hold
    /// nothing of them.
    pub(crate) fn beginning_anew(self, anew: BTreeMap<String, BTreeSet<TopicPartition>>) -> Self {
        self.lock().anew = anew;
        self
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change below leaves the maps whole, so what a panicking holder left can be read.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over an assigned partition: where it must be read from.
    ///
    /// # Errors
    /// The topic is not the one that the targets' positions are of or that was read before, or a
    /// stored position lies outside the log: going on would lose, double, or filter records in
    /// silence.
    pub(crate) fn own(&self, assigned: &Assignment, start: Start) -> Result<Begin, Failed> {
        let mut inner = self.lock();
        let at = &assigned.at;
        let id = assigned.topic_id.to_string();
        if let Some(known) = inner.topic_ids.get(&*at.topic)
            && !known.contains(&id)
        {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            return Err(Failed::for_good_by_host(
                "assign",
                format!(
                    "the topic {} was created anew: the targets hold positions of topic id {}, its id now is {id}. Reset the connector's offsets to read the new topic from its start",
                    at.topic,
                    known.join(", ")
                ),
            ));
        }
        if let Some(was) = inner.ids.get(at)
            && *was != assigned.topic_id
        {
            // What is held of it is of the old one, and nobody has said so.
            return Err(Failed::new(
                "assign",
                Consequence::Rewind,
                format!("the topic {} was created anew while it was read", at.topic),
            ));
        }
        inner.ids.insert(at.clone(), assigned.topic_id);
        let ends = assigned.ends;
        let within = |offset: i64, whose: &str| {
            if offset <= ends.end && offset >= ends.start {
                return Ok(());
            }
            Err(Failed::for_good_by_host(
                "assign",
                format!(
                    "{whose} {offset} of {at} lies outside the log, which holds {} to {}: records are gone, or the log is not the one they were read from. Reset the connector's offsets to go on from what the log holds",
                    ends.start, ends.end
                ),
            ))
        };
        let fresh = Begin::fresh(assigned, start);
        let anew = inner.begin_anew(at, fresh.offset);
        if anew {
            within(fresh.offset, THE_GROUPS)?;
        }
        // What is staged in this process and not committed yet is still on its way to the targets.
        let on_its_way = inner.ledger.staged(at).or_else(|| inner.ledger.wanted(at));
        let begin = if let Some(offset) = on_its_way {
            within(offset, "the stored position")?;
            Begin {
                offset,
                to_be_kept: anew && fresh.to_be_kept,
            }
        } else {
            within(fresh.offset, THE_GROUPS)?;
            fresh
        };
        inner.ledger.own(at.clone(), begin.offset);
        inner.read.insert(at.clone(), begin.offset);
        Ok(begin)
    }

    /// Gives up a partition.
    pub(crate) fn release(&self, at: &TopicPartition) {
        let mut inner = self.lock();
        inner.ledger.release(at);
        inner.read.remove(at);
    }

    /// A reader stands at `next`.
    pub(crate) fn read(&self, at: &TopicPartition, next: i64) {
        if let Some(read) = self.lock().read.get_mut(at) {
            *read = next;
        }
    }

    /// Where the reader of a partition stands; `None` when it is not assigned.
    pub(crate) fn read_of(&self, at: &TopicPartition) -> Option<i64> {
        self.lock().read.get(at).copied()
    }

    /// The readers' positions in the partitions that are assigned.
    pub(crate) fn reads(&self) -> Vec<(TopicPartition, i64)> {
        self.lock()
            .read
            .iter()
            .map(|(at, next)| (at.clone(), *next))
            .collect()
    }

    /// What each target holds, for a task's `assigned`: everything, if it gets no more commits.
    pub(crate) fn held(&self) -> Vec<Holding> {
        let inner = self.lock();
        let (held, failed) = (inner.ledger.held(), inner.ledger.failed());
        let working = held.iter().filter(|(target, _)| !failed.contains(*target));
        let working = working.map(|(target, positions)| Holding {
            target: target.clone(),
            positions: positions
                .iter()
                .map(|(at, next)| inner.position(at, *next))
                .collect(),
        });
        let failed = failed.iter().map(|target| Holding {
            target: target.clone(),
            positions: inner
                .ledger
                .owned()
                .map(|at| inner.position(at, i64::MAX))
                .collect(),
        });
        working.chain(failed).collect()
    }

    /// The target gets no more commits: what is put for it from now on is dropped.
    pub(crate) fn fail(&self, target: &str) {
        self.lock().ledger.fail(target);
    }

    /// How many targets get no more commits.
    pub(crate) fn failed(&self) -> usize {
        self.lock().ledger.failed().len()
    }

    /// Whether a target gets commits.
    pub(crate) fn works(&self, target: &str) -> bool {
        !self.lock().ledger.failed().contains(target)
    }

    /// The targets that hold something and get commits.
    pub(crate) fn working(&self) -> Vec<String> {
        let inner = self.lock();
        let targets = inner.ledger.targets();
        let failed = inner.ledger.failed();
        let working = targets.filter(|target| !failed.contains(*target));
        working.map(str::to_owned).collect()
    }

    /// Where a target begins that has not taken this commit and was never told: from now on it holds
    /// that, if it is kept. None: it was told.
    pub(crate) fn begins(&self, commit: &Commit<TopicPartition, Piece>) -> Option<Holding> {
        let mut inner = self.lock();
        let begins = inner.ledger.begins(commit);
        (!begins.is_empty()).then(|| Holding {
            target: commit.target.clone(),
            positions: begins
                .iter()
                .map(|(at, next)| inner.position(at, *next))
                .collect(),
        })
    }

    /// What a target holds, as far as this connector knows.
    pub(crate) fn held_by(&self, target: &str) -> Holding {
        let inner = self.lock();
        let positions = inner.ledger.held().get(target).into_iter().flatten();
        Holding {
            target: target.to_owned(),
            positions: positions
                .map(|(at, next)| inner.position(at, *next))
                .collect(),
        }
    }

    /// Where the targets that get no more commits begin in partitions that came since. What they
    /// held before was told them, or was kept when they failed.
    pub(crate) fn begins_of_failed(&self) -> Vec<Holding> {
        let inner = self.lock();
        inner.held_in(&inner.begun_late)
    }

    /// Where targets have begun anew since this was asked last: to be kept before any commit is made.
    /// The group's offset goes by all targets, and by then says nothing of them.
    pub(crate) fn begun_anew(&self) -> Vec<Holding> {
        let mut inner = self.lock();
        let begun = std::mem::take(&mut inner.begun_anew);
        inner.held_in(&begun)
    }

    /// The commits of an interval, in their order. Where failed targets begin is to be kept before
    /// they are made: it may be more by now.
    ///
    /// # Errors
    /// A partition was given up after a task had staged it.
    pub(crate) fn interval(
        &self,
        staged: Vec<Staged<TopicPartition, Piece>>,
        now: Duration,
    ) -> Result<Vec<Commit<TopicPartition, Piece>>, Moved<TopicPartition>> {
        let mut inner = self.lock();
        let ledger = &inner.ledger;
        let mut late = Vec::new();
        for target in ledger.failed() {
            let held = ledger.held().get(target);
            for at in ledger.owned() {
                if held.is_none_or(|held| !held.contains_key(at)) {
                    late.push((target.clone(), at.clone()));
                }
            }
        }
        for (target, at) in late {
            inner.begun_late.entry(target).or_default().insert(at);
        }
        inner.ledger.interval(staged, now, IDLE_TARGET_MAX)
    }

    /// The commit succeeded.
    ///
    /// # Errors
    /// A partition was given up meanwhile and is read from elsewhere than the commit's end.
    pub(crate) fn committed(
        &self,
        commit: &Commit<TopicPartition, Piece>,
    ) -> Result<(), Moved<TopicPartition>> {
        self.lock().ledger.committed(commit)
    }

    /// The offsets that the group shows as committed: the lowest that a target holds. None where a
    /// target has begun at the group's, and that is not kept yet.
    pub(crate) fn group_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Vec<(TopicPartition, i64)> {
        let inner = self.lock();
        let begun = |at: &TopicPartition| inner.begun_anew.values().any(|it| it.contains(at));
        partitions
            .iter()
            .filter(|at| !begun(at))
            .filter_map(|at| Some((at.clone(), inner.ledger.stored(at)?)))
            .collect()
    }

    /// A span as the contract has it.
    pub(crate) fn span(&self, span: &CoreSpan<TopicPartition>) -> Span {
        let at = &span.partition;
        Span {
            topic: at.topic.to_string(),
            topic_id: self.lock().id(at),
            partition: at.partition,
            first_offset: span.first,
            next_offset: span.next,
        }
    }
}

impl From<Moved<TopicPartition>> for Failed {
    /// The next life asks the targets what they hold: what is staged is lost with this one.
    fn from(moved: Moved<TopicPartition>) -> Self {
        Self::new("commit", Consequence::Rewind, moved.to_string())
    }
}

impl Inner {
    /// The targets that begin a partition anew, and hold nothing of it, hold this from now on.
    /// Whether there are any.
    fn begin_anew(&mut self, at: &TopicPartition, offset: i64) -> bool {
        let mut any = false;
        for (target, partitions) in &self.anew {
            if partitions.contains(at) && self.ledger.begin(target, at, offset) {
                let begun = self.begun_anew.entry(target.clone()).or_default();
                begun.insert(at.clone());
                any = true;
            }
        }
        any
    }

    /// What targets hold of these partitions.
    fn held_in(&self, of: &BTreeMap<String, BTreeSet<TopicPartition>>) -> Vec<Holding> {
        let held = self.ledger.held();
        let holdings = of.iter().map(|(target, partitions)| {
            let next = |at: &TopicPartition| held.get(target)?.get(at).copied();
            let positions = partitions.iter();
            Holding {
                target: target.clone(),
                positions: positions
                    .filter_map(|at| Some(self.position(at, next(at)?)))
                    .collect(),
            }
        });
        holdings.collect()
    }

    fn id(&self, at: &TopicPartition) -> String {
        match self.ids.get(at) {
            Some(id) => id.to_string(),
            // Not assigned to this process: what the targets said of its topic is all there is.
            None => self
                .topic_ids
                .get(&*at.topic)
                .and_then(|ids| ids.first())
                .cloned()
                .unwrap_or_default(),
        }
    }

    fn position(&self, at: &TopicPartition, next_offset: i64) -> LogPosition {
        LogPosition {
            topic: at.topic.to_string(),
            topic_id: self.id(at),
            partition: at.partition,
            next_offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_log::Ends;

    fn books(topic_id: Uuid, next_offset: i64) -> Books {
        let position = LogPosition {
            topic: "t".into(),
            topic_id: topic_id.to_string(),
            partition: 0,
            next_offset,
        };
        Books::new(vec![Holding {
            target: "table".into(),
            positions: vec![position],
        }])
    }

    fn assigned(topic_id: Uuid) -> Assignment {
        Assignment {
            at: TopicPartition::new("t", 0),
            topic_id,
            committed: Some(7),
            ends: Ends { start: 5, end: 10 },
        }
    }

    fn stays_at(offset: i64) -> Begin {
        Begin {
            offset,
            to_be_kept: false,
        }
    }

    #[test]
    fn a_stored_position_outside_the_log_stops_the_sink() {
        let id = Uuid::new_v4();
        for inside in [5, 8, 10] {
            let from = books(id, inside).own(&assigned(id), Start::Earliest);
            let why = "the group's offset counts for nothing";
            assert_eq!(from.unwrap(), stays_at(inside), "{why}");
        }
        for outside in [4, 11] {
            let failed = books(id, outside).own(&assigned(id), Start::Earliest);
            let failed = failed.unwrap_err();
            assert_eq!(failed.consequence, Consequence::Fail);
            assert!(failed.reason.starts_with("the stored position"), "{failed}");
            assert!(failed.reason.contains("outside the log"), "{failed}");
            assert!(
                failed.reason.contains("Reset the connector's offsets"),
                "{failed}"
            );
        }
    }

    #[test]
    fn a_groups_position_outside_the_log_stops_a_sink_that_stores_none() {
        let id = Uuid::new_v4();
        let own = |committed| {
            let assigned = Assignment {
                committed: Some(committed),
                ..assigned(id)
            };
            Books::new(Vec::new()).own(&assigned, Start::Latest)
        };
        for inside in [5, 8, 10] {
            assert_eq!(own(inside).unwrap(), stays_at(inside));
        }
        for outside in [4, 11] {
            let failed = own(outside).unwrap_err();
            assert_eq!(failed.consequence, Consequence::Fail);
            assert!(
                failed.reason.starts_with("the group's position"),
                "{failed}"
            );
            assert!(failed.reason.contains("outside the log"), "{failed}");
        }
    }

    #[test]
    fn only_a_beginning_at_the_end_is_to_be_kept() {
        let fresh = Assignment {
            committed: None,
            ..assigned(Uuid::new_v4())
        };
        let latest = Books::new(Vec::new()).own(&fresh, Start::Latest);
        let begin = Begin {
            offset: 10,
            to_be_kept: true,
        };
        assert_eq!(latest.unwrap(), begin);
        let earliest = Books::new(Vec::new()).own(&fresh, Start::Earliest);
        assert_eq!(earliest.unwrap(), stays_at(5));
    }

    #[test]
    fn a_topic_of_another_id_stops_the_sink() {
        let failed = books(Uuid::new_v4(), 8).own(&assigned(Uuid::new_v4()), Start::Earliest);
        assert!(failed.unwrap_err().reason.contains("created anew"));
    }

    #[test]
    fn a_topic_of_another_id_while_it_is_read_ends_the_life() {
        let (old, new) = (Uuid::new_v4(), Uuid::new_v4());
        let at = TopicPartition::new("t", 0);
        let anew = BTreeMap::from([("silent".to_owned(), BTreeSet::from([at.clone()]))]);
        let life = || Books::new(Vec::new()).beginning_anew(anew.clone());
        let reads = life();
        let begin = reads.own(&assigned(old), Start::Earliest);
        assert_eq!(begin.unwrap(), stays_at(7));
        reads.release(&at);
        let again = Assignment {
            committed: None,
            ..assigned(new)
        };
        let failed = reads.own(&again, Start::Earliest).unwrap_err();
        assert_eq!(failed.consequence, Consequence::Rewind);
        assert!(failed.reason.contains("while it was read"), "{failed}");
        let begin = life().own(&again, Start::Earliest);
        assert_eq!(begin.unwrap(), stays_at(5), "what was held is forgotten");

        let told = books(old, 8);
        told.own(&assigned(old), Start::Earliest).unwrap();
        let failed = told.own(&again, Start::Earliest).unwrap_err();
        let why = "a target holds a position of the old one";
        assert_eq!(failed.consequence, Consequence::Fail, "{why}");
    }

    #[test]
    fn a_failed_target_begins_only_in_partitions_that_it_was_never_told_of() {
        let id = Uuid::new_v4();
        let books = books(id, 8);
        books.own(&assigned(id), Start::Earliest).unwrap();
        books.fail("table");
        books.interval(Vec::new(), Duration::ZERO).unwrap();
        assert!(books.begins_of_failed().is_empty());
        let came = Assignment {
            at: TopicPartition::new("t", 1),
            ..assigned(id)
        };
        let begin = books.own(&came, Start::Earliest).unwrap();
        for _ in 0..2 {
            books.interval(Vec::new(), Duration::ZERO).unwrap();
            let position = LogPosition {
                topic: "t".into(),
                topic_id: id.to_string(),
                partition: 1,
                next_offset: begin.offset,
            };
            let begins = Holding {
                target: "table".into(),
                positions: vec![position],
            };
            assert_eq!(books.begins_of_failed(), [begins]);
        }
    }
}
