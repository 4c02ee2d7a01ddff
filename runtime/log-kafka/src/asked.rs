//! What the polling thread has others ask about its partitions, and what it does with the answers.

use crate::poller::Poller;
use crate::stand::{Answer, stand};
use jackfield_log::{Assignment, LogError, TopicPartition};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Before a question to the cluster is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

impl Poller {
    /// Asks where partitions stand.
    pub(crate) fn ask(&mut self, partitions: Vec<TopicPartition>) {
        let numbered: Vec<(TopicPartition, u64)> = partitions
            .into_iter()
            .filter_map(|at| {
                let number = self.cursors.get(&at)?.number;
                Some((at, number))
            })
            .collect();
        if numbered.is_empty() {
            return;
        }
        self.asked.extend(numbered.iter().map(|(at, _)| at.clone()));
        let (shared, consumer) = (Arc::clone(&self.shared), Arc::clone(&self.consumer));
        let (answer, both) = (self.answer.clone(), Arc::clone(&self.both));
        self.runtime.spawn_blocking(move || {
            let stand = stand(&shared, &consumer, &numbered);
            // Nobody waits when the reader has left.
            answer.send(Answer::Stand(numbered, stand)).ok();
            both.wake_poller();
        });
    }

    /// Takes the answers that have come.
    pub(crate) fn hear(&mut self) {
        while let Ok(answer) = self.answers.try_recv() {
            match answer {
                Answer::Stand(numbered, answered) => {
                    self.note_answered(&numbered);
                    match answered {
                        Ok(assigned) => self.tell_assigned(&numbered, assigned),
                        Err(LogError::Retriable(error) | LogError::Unknown(error)) => {
                            tracing::warn!(error, "it is asked again where partitions stand");
                            self.ask_again = Some(Instant::now() + ASK_AGAIN);
                        }
                        // A topic that is gone comes with the next look at them.
                        Err(LogError::Rejected(_)) => {
                            self.check_at = Instant::now();
                            self.ask_again = Some(Instant::now() + ASK_AGAIN);
                        }
                        // The group changes once more, or the member is fenced, which is told.
                        Err(LogError::Fenced(_)) => {
                            self.ask_again = Some(Instant::now() + ASK_AGAIN);
                        }
                        Err(error @ LogError::Fatal(_)) => self.both.fail(error),
                    }
                }
                Answer::Topics(described) => {
                    self.checking = false;
                    match described {
                        Ok(described) => self.compare(described),
                        Err(error) => tracing::debug!(%error, "topics could not be looked at"),
                    }
                }
            }
        }
        if self.ask_again.is_some_and(|at| Instant::now() >= at) {
            self.ask_again = None;
            self.ask_of_unheld();
        }
    }

    /// Whether the partition is still assigned as it was when it had this number.
    fn is_current(&self, at: &TopicPartition, number: u64) -> bool {
        let cursor = self.cursors.get(at);
        cursor.is_some_and(|cursor| cursor.number == number)
    }

    /// Notes an answer; of those that were assigned once more since, another is on its way.
    fn note_answered(&mut self, numbered: &[(TopicPartition, u64)]) {
        for (at, number) in numbered {
            if self.is_current(at, *number) {
                self.asked.remove(at);
            }
        }
    }

    /// Tells the reader of what it does not have yet and still is the member's.
    fn tell_assigned(&mut self, numbered: &[(TopicPartition, u64)], mut assigned: Vec<Assignment>) {
        let mut state = self.both.state();
        assigned.retain(|it| {
            let mut numbered = numbered.iter();
            numbered.any(|(at, number)| *at == it.at && self.is_current(at, *number))
                && !self.is_revoked(&it.at)
        });
        // The reader is first to hear that it lost them.
        let lost = assigned.iter().any(|it| state.is_lost(&it.at));
        assigned.retain(|it| !state.held.contains_key(&it.at));
        // Nothing may be left of an answer that comes late, which says nothing about the others.
        if !assigned.is_empty() || self.cursors.is_empty() {
            state.assign(assigned);
        }
        drop(state);
        self.both.wake_reader();
        if lost {
            self.ask_again = Some(Instant::now() + ASK_AGAIN);
        }
    }

    /// Asks of the partitions that the reader has not been told of.
    pub(crate) fn ask_of_unheld(&mut self) {
        let state = self.both.state();
        // These are asked of once the reader has heard that.
        if self.cursors.keys().any(|at| state.is_lost(at)) {
            self.ask_again = Some(Instant::now() + ASK_AGAIN);
        }
        let unheld = self.cursors.keys().filter(|at| {
            !state.held.contains_key(*at) && !self.asked.contains(*at) && !self.is_revoked(at)
        });
        let unheld = unheld.cloned().collect();
        drop(state);
        self.ask(unheld);
    }
}
