//! The commits of one interval. A target that fails for good, or for too long, gets no more of them:
//! what it holds stays where it is, and the others go on.

use super::Coordinator;
use crate::failures::Failed;
use crate::retries::Retries;
use crate::shadow::CommitSeen;
use crate::sink::traced;
use jackfield_core::{Commit, Next};
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
        self.known
            .remember(commits.iter().map(|commit| commit.target.as_str()))
            .await?;
        for holding in self.books.held_by_failed() {
            self.known.keep(&holding).await?;
        }
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
    async fn round(
        &mut self,
        attempts: Vec<Attempt>,
        started: Instant,
        seen: &mut Vec<CommitSeen>,
    ) -> Result<Option<Left>, Failed> {
        let targets: BTreeSet<String> = attempts
            .iter()
            .map(|attempt| attempt.commit.target.clone())
            .collect();
        let mut left: Option<Left> = None;
        for attempt in attempts {
            let target = &attempt.commit.target;
            if !self.books.works(target) {
                continue;
            }
            if let Some(left) = &mut left
                && left.attempts.iter().any(|it| it.commit.target == *target)
            {
                left.attempts.push(attempt);
                continue;
            }
            let failed = match self.attempt(&attempt, started).await {
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
                Next::Reopen => return Err(failed),
                Next::Fail => {
                    self.keep_beginning(&attempt.commit).await?;
                    self.give_up(target, &targets, &failed).await?;
                }
                Next::CallAgain | Next::CallAgainOnNewInstance => {
                    // The others are about to go on, and it may never be told.
                    self.keep_beginning(&attempt.commit).await?;
                    let attempts = left.take().map(|it| it.attempts);
                    let mut attempts = attempts.unwrap_or_default();
                    attempts.push(attempt);
                    left = Some(Left { attempts, failed });
                }
            }
        }
        Ok(left)
    }

    async fn attempt(&mut self, attempt: &Attempt, started: Instant) -> Result<Committed, Failed> {
        let Attempt { commit, spans, id } = attempt;
        let target = &commit.target;
        let committed = self
            .committer
            .commit(target, &commit.pieces, spans, id)
            .await?;
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

    /// Where a target begins that was never told: as safe in the log as it would be in the target.
    async fn keep_beginning(
        &mut self,
        commit: &Commit<TopicPartition, Piece>,
    ) -> Result<(), Failed> {
        match self.books.begins(commit) {
            Some(holding) => self.known.keep(&holding).await,
            None => Ok(()),
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
        // Also if someone removes it to have it made again.
        self.known.keep(&self.books.held_by(target)).await?;
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
