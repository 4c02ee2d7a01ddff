//! Which partitions a task has: told what their targets hold, committed before they go, read again
//! from what was staged.

use super::{Command, Request, Task};
use crate::failures::Failed;
use jackfield_log::{Assignment, LogError, TopicPartition};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Longest wait for a commit before partitions are given up uncommitted: well below the time that a
/// log grants a member to release them (45 s on Kafka), after which they are lost to it. Heartbeats
/// go on meanwhile, whatever the session's time-out is.
const REVOKE_DRAIN_MAX: Duration = Duration::from_secs(10);

impl Task {
    pub(super) async fn assigned(&mut self, assigned: &[Assignment]) -> Result<(), Failed> {
        // Others were not told of these partitions.
        self.given.listeners.dismiss();
        let mut to_be_kept = Vec::new();
        for assignment in assigned {
            let begin = self.given.books.own(assignment, self.given.spec.start)?;
            self.frontier.assign(assignment.at.clone(), begin.offset);
            if begin.to_be_kept {
                to_be_kept.push((assignment.at.clone(), begin.offset));
            }
        }
        self.keep(to_be_kept).await?;
        for assignment in assigned {
            tracing::info!(
                connector = %self.given.spec.connector, topic = %assignment.at.topic,
                partition = assignment.at.partition,
                offset = self.given.books.read_of(&assignment.at), "reading from"
            );
        }
        let held = self.given.books.held();
        self.instance
            .assigned(held)
            .await
            .map_err(|e| Failed::call("assigned", e))?;
        if self.held_back {
            let own: Vec<TopicPartition> = assigned.iter().map(|it| it.at.clone()).collect();
            self.reader.pause(&own);
        }
        for assignment in assigned {
            if let Some(offset) = self.given.books.read_of(&assignment.at) {
                self.reader
                    .seek(&assignment.at, offset)
                    .map_err(|e| Failed::log("seek", e))?;
            }
        }
        Ok(())
    }

    /// What it was told of its partitions is done. The quiet time begins anew: nobody knows yet
    /// whether they hold anything, and what it let go is on its way to another.
    pub(super) fn told_of_shares(&mut self) {
        let (status, now) = (&self.given.status, self.given.host.clock.now());
        if std::mem::replace(&mut self.answered, true) {
            status.shares().changed(now);
        } else {
            status.shares().answered(now);
        }
        status.active(now);
    }

    /// Keeps where reading begins, each by itself: nothing is kept of those that are kept together
    /// if one of them is lost.
    async fn keep(&mut self, begins: Vec<(TopicPartition, i64)>) -> Result<(), Failed> {
        for begin in begins {
            match self.reader.commit(std::slice::from_ref(&begin)).await {
                Ok(()) => {}
                // Another's by now: the event that says so is on its way, and gives it up.
                Err(LogError::Fenced(reason)) => {
                    tracing::info!(
                        connector = %self.given.spec.connector, topic = %begin.0.topic,
                        partition = begin.0.partition, reason,
                        "where reading begins is not kept"
                    );
                }
                Err(
                    error @ (LogError::Retriable(_)
                    | LogError::Rejected(_)
                    | LogError::Unknown(_)
                    | LogError::Fatal(_)),
                ) => return Err(Failed::log("keep where reading begins", error)),
            }
        }
        Ok(())
    }

    /// Commits everything, or gives everything up; then lets go of the partitions.
    pub(super) async fn revoking(&mut self, partitions: &[TopicPartition]) -> Result<(), Failed> {
        if self.commit_now().await? {
            self.give_up(partitions);
        } else {
            tracing::warn!(connector = %self.given.spec.connector, "partitions are given up uncommitted");
            self.give_up(partitions);
            self.rewind().await?;
        }
        self.reader
            .release(partitions)
            .await
            .map_err(|e| Failed::log("release", e))
    }

    /// Asks for a commit and serves the coordinator until it is made; false: not in time, or not of
    /// all that was put.
    async fn commit_now(&mut self) -> Result<bool, Failed> {
        let (reply, mut done) = oneshot::channel();
        let deadline = Instant::now() + REVOKE_DRAIN_MAX;
        let mut asking = Box::pin({
            let requests = self.given.requests.clone();
            async move { requests.send(Request::CommitNow(reply)).await.is_ok() }
        });
        let mut asked = false;
        loop {
            tokio::select! {
                biased;
                command = self.given.commands.recv() => match command {
                    // A rest would have the partitions given up uncommitted.
                    Some(Command::Stage(reply)) => {
                        let tried = self.stage_whole(Some(deadline)).await?;
                        self.answer(reply, tried).await?;
                    }
                    Some(command) => self.obey(command).await?,
                    None => return Ok(false),
                },
                sent = &mut asking, if !asked => {
                    if !sent {
                        return Ok(false);
                    }
                    asked = true;
                }
                outcome = &mut done => return Ok(outcome.is_ok()),
                () = tokio::time::sleep_until(deadline) => return Ok(false),
            }
        }
    }

    pub(super) fn give_up(&mut self, partitions: &[TopicPartition]) {
        // What follows begins elsewhere.
        self.given.listeners.dismiss();
        for at in partitions {
            self.frontier.release(at);
            self.given.books.release(at);
        }
        self.told_of_shares();
        if self
            .again
            .as_ref()
            .is_some_and(|(fetched, _)| partitions.contains(&fetched.at))
        {
            self.again = None;
        }
        self.ahead.retain(|it| !partitions.contains(&it.at));
    }

    /// Reads again from the end of what was staged.
    pub(super) async fn rewind(&mut self) -> Result<(), Failed> {
        // What was told is given again.
        self.given.listeners.dismiss();
        self.instance
            .discard()
            .await
            .map_err(|e| Failed::call("discard", e))?;
        let held = self.given.books.held();
        self.instance
            .assigned(held)
            .await
            .map_err(|e| Failed::call("assigned", e))?;
        self.again = None;
        self.ahead.clear();
        self.unstaged.gone();
        self.awaits_stage = false;
        for (at, offset) in self.frontier.rewind() {
            self.reader
                .seek(&at, offset)
                .map_err(|e| Failed::log("seek", e))?;
            self.given.books.read(&at, offset);
        }
        Ok(())
    }
}
