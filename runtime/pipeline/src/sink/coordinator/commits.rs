//! The commits of one interval. A target that fails for good, or for too long, gets no more of them:
//! what it holds stays where it is, and the others go on.

use super::Coordinator;
use crate::failures::Failed;
use crate::retries::Retries;
use crate::shadow::CommitSeen;
use crate::sink::books::Books;
use crate::sink::known_targets::KnownTargets;
use crate::sink::traced;
use crate::sink::track_records::TrackRecords;
use jackfield_core::{Commit, Consequence, Next};
use jackfield_log::TopicPartition;
use jackfield_plugin::{Committed, Piece, Span};
use jackfield_telemetry::Step;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use tokio::time::Instant;
use uuid::Uuid;

/// A commit with what its repetitions share.
struct Attempt {
    commit: Commit<TopicPartition, Piece>,
    spans: Vec<Span>,
    id: String,
}

impl Attempt {
    /// Whether it does more than tell its target where it begins.
    fn moves(&self) -> bool {
        let mut spans = self.commit.spans.iter();
        !self.commit.pieces.is_empty() || spans.any(|span| span.first < span.next)
    }
}

/// One is made after the other: those go last that are to a target whose commit took long the last
/// time. Where targets begin is told before any of them moves on, and each target's commits stay in
/// their order.
fn arrange(attempts: &mut [Attempt], records: &TrackRecords) {
    attempts.sort_by_key(|it| (it.moves(), records.last_took(&it.commit.target)));
}

/// What a round of attempts left over, in order, and why the last of them failed.
struct Left {
    attempts: Vec<Attempt>,
    failed: Failed,
}

/// What the next life has to know once commits are made: the targets' names, and where those begin
/// that no commit tells. Where a target has begun anew is among it, since the group's offset moves
/// with the others' commits.
async fn keep_before(
    known: &mut KnownTargets,
    books: &Books,
    commits: &[Commit<TopicPartition, Piece>],
) -> Result<(), Failed> {
    let targets = commits.iter().map(|commit| commit.target.as_str());
    known.remember(targets).await?;
    for begins in books.begins_of_failed() {
        known.keep(&begins).await?;
    }
    for begun in books.begun_anew() {
        known.keep_anew(&begun).await?;
    }
    Ok(())
}

/// Where a target begins that was never told: as safe in the log as it would be in the target.
async fn keep_beginning(
    known: &mut KnownTargets,
    books: &Books,
    commit: &Commit<TopicPartition, Piece>,
) -> Result<(), Failed> {
    match books.begins(commit) {
        Some(holding) => known.keep(&holding).await,
        None => Ok(()),
    }
}

/// Where a target stands whose rows are to be read again, while others go on: one that was made anew
/// holds nothing, and reading would begin where the others stand. It counts only if the target itself
/// says nothing at all.
async fn keep_standing(
    known: &mut KnownTargets,
    books: &Books,
    commit: &Commit<TopicPartition, Piece>,
    beside: &BTreeSet<String>,
) -> Result<(), Failed> {
    let target = &commit.target;
    // From now on it holds where this commit begins in partitions that it was never told of.
    keep_beginning(known, books, commit).await?;
    let held = books.held();
    let mut others = held.iter().map(|it| &it.target).chain(beside);
    if others.any(|other| other != target) {
        known.keep_stood(&books.held_by(target)).await?;
    }
    Ok(())
}

impl Coordinator<'_> {
    /// Makes all commits, each target's in their order. Those that may succeed later wait until the
    /// others are made; together they may take as long as the connector's patience lasts. Those that
    /// were made are added to `seen`.
    ///
    /// # Errors
    /// The connector can't go on: a target was moved by someone else, or none is left.
    pub(super) async fn commit_all(
        &mut self,
        commits: Vec<Commit<TopicPartition, Piece>>,
        started: Instant,
        seen: &mut Vec<CommitSeen>,
    ) -> Result<(), Failed> {
        if commits.is_empty() {
            return Ok(());
        }
        keep_before(&mut self.known, &self.books, &commits).await?;
        let mut attempts: Vec<Attempt> = Vec::with_capacity(commits.len());
        for commit in commits {
            let spans = commit.spans.iter().map(|span| self.books.span(span));
            attempts.push(Attempt {
                spans: spans.collect(),
                id: Uuid::now_v7().to_string(),
                commit,
            });
        }
        let mut retries = Retries::new(self.spec.patience, self.host.clock);
        while let Some(left) = self.round(attempts, started, seen).await? {
            match retries.wait(&left.failed) {
                Ok(wait) => self.committer.rest(&left.failed, wait).await?,
                Err(given_up) => {
                    let targets: BTreeSet<&str> = left
                        .attempts
                        .iter()
                        .map(|attempt| attempt.commit.target.as_str())
                        .collect();
                    for target in targets {
                        self.give_up(target, &BTreeSet::new(), &given_up).await?;
                    }
                    return Ok(());
                }
            }
            attempts = left.attempts;
        }
        Ok(())
    }

    /// Tries each once.
    ///
    /// # Errors
    /// As for [`Self::commit_all`]; or all begins again, where the rows of some have to be read again.
    async fn round(
        &mut self,
        mut attempts: Vec<Attempt>,
        started: Instant,
        seen: &mut Vec<CommitSeen>,
    ) -> Result<Option<Left>, Failed> {
        let targets: BTreeSet<String> = attempts
            .iter()
            .map(|attempt| attempt.commit.target.clone())
            .collect();
        arrange(&mut attempts, self.records);
        let mut left: Option<Left> = None;
        let mut rewound = BTreeSet::new();
        let mut end: Option<Failed> = None;
        for attempt in attempts {
            let target = &attempt.commit.target;
            if !self.books.works(target) || rewound.contains(target) {
                continue;
            }
            if let Some(left) = &mut left
                && left.attempts.iter().any(|it| it.commit.target == *target)
            {
                left.attempts.push(attempt);
                continue;
            }
            let told = self.call(&attempt).await;
            let by_target = told.is_err();
            let landed = match told {
                Ok(committed) => self.landed(&attempt, committed, started).await,
                Err(failed) => Err(failed),
            };
            let failed = match landed {
                Ok(committed) => {
                    seen.push(CommitSeen {
                        target: attempt.commit.target,
                        spans: attempt.spans,
                        committed,
                    });
                    continue;
                }
                Err(failed) => failed,
            };
            match self.committer.after(&failed) {
                Next::Reopen if by_target && failed.consequence == Consequence::Rewind => {
                    rewound.insert(target.clone());
                    let ends = self.rewound(&attempt, &targets, failed).await?;
                    end = end.or(ends);
                }
                Next::Reopen => return Err(failed),
                Next::Fail => {
                    keep_beginning(&mut self.known, &self.books, &attempt.commit).await?;
                    self.give_up(target, &targets, &failed).await?;
                }
                Next::CallAgain | Next::CallAgainOnNewInstance => {
                    // The others are about to go on, and it may never be told.
                    keep_beginning(&mut self.known, &self.books, &attempt.commit).await?;
                    let attempts = left.take().map(|it| it.attempts);
                    let mut attempts = attempts.unwrap_or_default();
                    attempts.push(attempt);
                    left = Some(Left { attempts, failed });
                }
            }
        }
        match end {
            Some(failed) => Err(failed),
            None => Ok(left),
        }
    }

    /// What a target says of its commit.
    async fn call(&mut self, attempt: &Attempt) -> Result<Committed, Failed> {
        let Attempt { commit, spans, id } = attempt;
        let target = &commit.target;
        let began = Instant::now();
        let committed = self
            .committer
            .commit(target, &commit.pieces, spans, id)
            .await;
        self.records.took(target, began.elapsed());
        committed.inspect(|_| self.records.committed(target, spans))
    }

    /// The target has taken its commit.
    async fn landed(
        &mut self,
        attempt: &Attempt,
        committed: Committed,
        started: Instant,
    ) -> Result<Committed, Failed> {
        let Attempt { commit, spans, id } = attempt;
        let target = &commit.target;
        let taken = self.books.committed(commit);
        self.known.told(target, spans).await?;
        traced::spans(self.status, Step::Commit, spans, started);
        self.life.committed.store(true, Ordering::Release);
        let now = self.host.clock.now();
        self.status.committed(committed.rows, now);
        self.status.active(now);
        self.status.metrics().commit(
            started.elapsed(),
            committed.rows,
            u64::from(committed.files),
            committed.bytes,
        );
        tracing::info!(
            connector = %self.spec.connector, %target, rows = committed.rows,
            files = committed.files, bytes = committed.bytes, %id,
            took_ms = started.elapsed().as_millis() as u64, "committed"
        );
        // Only now: the target has it, whatever that means for this life.
        taken?;
        Ok(committed)
    }

    /// The rows of a target have to be read again: why this life ends once the others' commits are
    /// made. None: it goes on without that target, for which they were read again often enough.
    async fn rewound(
        &mut self,
        attempt: &Attempt,
        beside: &BTreeSet<String>,
        failed: Failed,
    ) -> Result<Option<Failed>, Failed> {
        let target = &attempt.commit.target;
        keep_standing(&mut self.known, &self.books, &attempt.commit, beside).await?;
        match self.records.rewound(target, &attempt.spans, &failed) {
            Ok(()) => {
                tracing::warn!(connector = %self.spec.connector, target, %failed, "a target's rows are to be read again");
                Ok(Some(failed))
            }
            Err(given_up) => {
                self.status.failed(&given_up);
                self.give_up(target, beside, &given_up).await?;
                Ok(None)
            }
        }
    }

    /// The target gets no more commits in this life, while others do.
    ///
    /// # Errors
    /// There are no others.
    async fn give_up(
        &mut self,
        target: &str,
        beside: &BTreeSet<String>,
        failed: &Failed,
    ) -> Result<(), Failed> {
        let working = self.books.working();
        let others = working.iter().chain(beside);
        if !others
            .into_iter()
            .any(|other| other != target && self.books.works(other))
        {
            return Err(failed.clone());
        }
        // For whoever removes it to have it made again.
        self.known.keep_stood(&self.books.held_by(target)).await?;
        self.books.fail(target);
        self.status.target_failed(target, &failed.to_string());
        tracing::error!(connector = %self.spec.connector, target, %failed, "a target has failed: it stays where it is until the connector begins again, the others go on");
        Ok(())
    }

    /// Whether all targets hold what was read.
    ///
    /// # Errors
    /// Those that failed, with their reasons.
    pub(super) fn failed_targets(&self) -> Result<(), Failed> {
        let failed = self.status.failed_targets();
        if failed.is_empty() {
            return Ok(());
        }
        let each: Vec<String> = failed
            .iter()
            .map(|(target, reason)| format!("{target}: {reason}"))
            .collect();
        Err(Failed::for_good(
            "commit",
            format!("targets that stayed behind: {}", each.join("; ")),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::sink::by_hand::ByHand;
    use crate::sink::known_targets::fake::FakeKeyed;
    use jackfield_core::{Patience, Span as CoreSpan, Staged};
    use jackfield_log::{Assignment, Ends, Start};
    use jackfield_plugin::{Holding, LogPosition};
    use std::sync::Arc;
    use std::time::Duration;

    const TOPIC_ID: Uuid = Uuid::from_u128(7);

    /// What a target holds of some partitions.
    fn holds(target: &str, next_offsets: &[(i32, i64)]) -> Holding {
        let position = |(partition, next_offset): &(i32, i64)| LogPosition {
            topic: "t".to_owned(),
            topic_id: TOPIC_ID.to_string(),
            partition: *partition,
            next_offset: *next_offset,
        };
        Holding {
            target: target.to_owned(),
            positions: next_offsets.iter().map(position).collect(),
        }
    }

    fn holding(target: &str, next_offset: i64) -> Holding {
        holds(target, &[(0, next_offset)])
    }

    /// Where reading of a partition begins.
    fn begin(books: &Books, partition: i32, committed: Option<i64>) -> i64 {
        let ends = Ends {
            start: 0,
            end: 1000,
        };
        let assigned = Assignment {
            at: TopicPartition::new("t", partition),
            topic_id: TOPIC_ID,
            committed,
            ends,
        };
        books.own(&assigned, Start::Earliest).unwrap().offset
    }

    /// A life that begins with what the targets say.
    fn life(known: &KnownTargets, told: Vec<Holding>) -> (Books, i64) {
        life_of_group(known, told, None)
    }

    /// The same where the group has committed this.
    fn life_of_group(
        known: &KnownTargets,
        told: Vec<Holding>,
        committed: Option<i64>,
    ) -> (Books, i64) {
        let anew = known.anew(&told);
        let books = Books::new(known.complete(told)).beginning_anew(anew);
        let from = begin(&books, 0, committed);
        (books, from)
    }

    /// The same of two partitions.
    fn life_of_two(known: &KnownTargets, told: Vec<Holding>) -> (Books, [i64; 2]) {
        let (books, from) = life(known, told);
        let second = begin(&books, 1, None);
        (books, [from, second])
    }

    #[tokio::test]
    async fn a_target_made_anew_beside_one_that_went_on_begins_where_it_stood() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = KnownTargets::open(log.clone(), "topic", "c").await.unwrap();
        let (books, from) = life(&known, vec![holding("a", 50), holding("b", 50)]);
        assert_eq!(from, 50);
        let piece = |target: &str| {
            let piece = Piece {
                target: target.to_owned(),
                version: 1,
                bytes: Vec::new(),
            };
            (target.to_owned(), piece)
        };
        let staged = Staged {
            pieces: vec![piece("a"), piece("b")],
            spans: vec![CoreSpan {
                partition: TopicPartition::new("t", 0),
                first: 50,
                next: 100,
            }],
        };
        let commits = books.interval(vec![staged], Duration::ZERO).unwrap();
        let of = |target: &str| commits.iter().find(|it| it.target == target).unwrap();
        let names = commits.iter().map(|it| it.target.as_str());
        known.remember(names).await.unwrap();
        books.committed(of("b")).unwrap();
        // What `a` was asked is answered with a rewind: it is another table by now.
        let beside = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let kept = keep_standing(&mut known, &books, of("a"), &beside).await;
        kept.unwrap();

        let mut known = KnownTargets::open(log.clone(), "topic", "c").await.unwrap();
        let (books, from) = life(&known, vec![holding("b", 100)]);
        assert_eq!(from, 50, "reading begins where `a` stood");
        assert_eq!(books.held_by("a"), holding("a", 50));
        // What it says itself counts more, and once it has taken a commit nothing is kept.
        let (_, from) = life(&known, vec![holding("a", 30), holding("b", 100)]);
        assert_eq!(from, 30, "it was taken back");
        let spans: Vec<Span> = of("a").spans.iter().map(|it| books.span(it)).collect();
        known.told("a", &spans).await.unwrap();
        let known = KnownTargets::open(log, "topic", "c").await.unwrap();
        let (_, from) = life(&known, vec![holding("b", 100)]);
        assert_eq!(from, 100, "nothing is kept of it");
    }

    /// A table of one topic says nothing of the others, whatever it was told: where others have gone
    /// on there, nothing is read again.
    #[tokio::test]
    async fn where_a_target_stood_counts_only_if_it_says_nothing_at_all() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = KnownTargets::open(log.clone(), "topic", "c").await.unwrap();
        let stood = holds("a", &[(0, 50), (1, 500)]);
        let (books, from) = life_of_two(&known, vec![stood.clone(), holds("b", &[(1, 500)])]);
        assert_eq!(from, [50, 500]);
        let span = CoreSpan {
            partition: TopicPartition::new("t", 1),
            first: 500,
            next: 600,
        };
        let commit = Commit {
            target: "a".to_owned(),
            pieces: Vec::new(),
            spans: vec![span],
        };
        let beside = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let kept = keep_standing(&mut known, &books, &commit, &beside).await;
        kept.unwrap();

        let mut known = KnownTargets::open(log, "topic", "c").await.unwrap();
        let goes_on = holds("b", &[(1, 900)]);
        let told = vec![holds("a", &[(0, 50)]), goes_on.clone()];
        let (_, from) = life_of_two(&known, told);
        assert_eq!(from, [50, 900], "it says where it stands");
        let (books, from) = life_of_two(&known, vec![goes_on.clone()]);
        assert_eq!(from, [50, 500], "it was made anew");
        assert_eq!(books.held_by("a"), stood);
        let spans: Vec<Span> = commit.spans.iter().map(|it| books.span(it)).collect();
        known.told("a", &spans).await.unwrap();
        let (_, from) = life_of_two(&known, vec![goes_on]);
        assert_eq!(from, [50, 900], "it was told of that one");
    }

    /// The group's offset, where such a target begins, moves with what others commit.
    #[tokio::test]
    async fn a_target_that_has_begun_anew_begins_there_in_the_next_life_too() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = KnownTargets::open(log.clone(), "topic", "c").await.unwrap();
        known.keep(&holding("a", 30)).await.unwrap();
        let at = TopicPartition::new("t", 0);
        let set = ByHand::Of(std::slice::from_ref(&at));
        known.give_way(set).await.unwrap();
        let (books, from) = life_of_group(&known, vec![holding("b", 100)], Some(500));
        assert_eq!(from, 100);
        assert_eq!(books.held_by("a"), holding("a", 500));
        let piece = Piece {
            target: "b".to_owned(),
            version: 1,
            bytes: Vec::new(),
        };
        let staged = Staged {
            pieces: vec![("b".to_owned(), piece)],
            spans: vec![CoreSpan {
                partition: at.clone(),
                first: 100,
                next: 150,
            }],
        };
        let commits = books.interval(vec![staged], Duration::ZERO).unwrap();
        let places = std::slice::from_ref(&at);
        assert_eq!(books.group_offsets(places), [], "it is not kept yet");
        let kept = keep_before(&mut known, &books, &commits).await;
        kept.unwrap();
        for commit in &commits {
            books.committed(commit).unwrap();
        }
        assert_eq!(books.group_offsets(places), [(at.clone(), 150)]);

        let known = KnownTargets::open(log, "topic", "c").await.unwrap();
        let (books, from) = life_of_group(&known, vec![holding("b", 150)], Some(150));
        assert_eq!(from, 150);
        assert_eq!(books.held_by("a"), holding("a", 500));
    }

    #[tokio::test]
    async fn where_a_target_has_begun_anew_that_had_stood_counts_only_if_it_says_nothing_at_all() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = KnownTargets::open(log.clone(), "topic", "c").await.unwrap();
        let stood = holds("a", &[(0, 50), (1, 50)]);
        known.keep_stood(&stood).await.unwrap();
        known.give_way(ByHand::All).await.unwrap();
        let goes_on = holds("b", &[(0, 100), (1, 100)]);
        let (books, from) = life_of_two(&known, vec![goes_on.clone()]);
        assert_eq!(from, [0, 0]);
        keep_before(&mut known, &books, &[]).await.unwrap();

        let known = KnownTargets::open(log, "topic", "c").await.unwrap();
        let (_, from) = life_of_two(&known, vec![goes_on.clone()]);
        assert_eq!(from, [0, 0]);
        let told = vec![goes_on, holding("a", 60)];
        let (_, from) = life_of_two(&known, told);
        assert_eq!(from, [60, 100]);
    }

    #[tokio::test]
    async fn nothing_is_kept_of_the_only_target() {
        let log = Arc::new(FakeKeyed::default());
        let mut known = KnownTargets::open(log, "topic", "c").await.unwrap();
        let (books, _) = life(&known, vec![holding("a", 50)]);
        let commit = Commit {
            target: "a".to_owned(),
            pieces: Vec::new(),
            spans: Vec::new(),
        };
        let beside = BTreeSet::from(["a".to_owned()]);
        let kept = keep_standing(&mut known, &books, &commit, &beside).await;
        kept.unwrap();
        assert!(known.complete(Vec::new()).is_empty());
    }

    fn attempt(target: &str, pieces: usize, next: i64) -> Attempt {
        let piece = Piece {
            target: target.to_owned(),
            version: 1,
            bytes: Vec::new(),
        };
        let span = CoreSpan {
            partition: TopicPartition::new("t", 0),
            first: 5,
            next,
        };
        Attempt {
            commit: Commit {
                target: target.to_owned(),
                pieces: vec![piece; pieces],
                spans: vec![span],
            },
            spans: Vec::new(),
            id: format!("{target} {pieces} {next}"),
        }
    }

    #[test]
    fn a_slow_target_goes_last_and_none_moves_before_all_know_where_they_begin() {
        let patience = Patience {
            deadline: Duration::from_secs(300),
        };
        let mut records = TrackRecords::new(patience, Clock::start());
        records.took("a", Duration::from_secs(60));
        records.took("b", Duration::from_secs(1));
        let mut attempts = vec![
            attempt("a", 0, 5),
            attempt("d", 0, 5),
            attempt("a", 1, 9),
            attempt("b", 1, 9),
            // Moved on without rows, since it was idle for long.
            attempt("c", 0, 9),
            attempt("d", 1, 9),
        ];
        arrange(&mut attempts, &records);
        let order: Vec<&str> = attempts.iter().map(|it| it.id.as_str()).collect();
        let expected = ["d 0 5", "a 0 5", "c 0 9", "d 1 9", "b 1 9", "a 1 9"];
        assert_eq!(order, expected);
    }
}
