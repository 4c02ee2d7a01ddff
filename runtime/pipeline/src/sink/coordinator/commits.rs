//! The commits of one interval. A target that fails for good, or for too long, gets no more of them:
//! what it holds stays where it is, and the others go on.

use super::Coordinator;
use super::keeping::{keep_before, keep_beginning, keep_standing};
use crate::failures::Failed;
use crate::retries::Retries;
use crate::shadow::CommitSeen;
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
    use jackfield_core::{Patience, Span as CoreSpan};
    use std::time::Duration;

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
