//! Whether a reader's topics are still the same.

use crate::native::Described;
use crate::poller::Poller;
use crate::stand::Answer;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Before a topic that was not found is looked for once more.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Poller {
    /// Looks now and then, and when one was deleted through this log, whether topics are the same.
    pub(crate) fn check_topics(&mut self) {
        let deletions = self.shared.deletions();
        if self.checking || (deletions == self.deletions && Instant::now() < self.check_at) {
            return;
        }
        if deletions != self.deletions {
            self.deletions = deletions;
            // It was deleted for certain: there is no need to look twice.
            self.missing.extend(self.topics.iter().cloned());
        }
        self.check_at = Instant::now() + self.shared.config.topic_check_every;
        self.checking = true;
        let (shared, answer) = (Arc::clone(&self.shared), self.answer.clone());
        let (topics, both) = (self.topics.clone(), Arc::clone(&self.both));
        self.runtime.spawn_blocking(move || {
            let described = shared.describe_now(&topics);
            let described = described.map(|it| topics.into_iter().zip(it).collect());
            answer.send(Answer::Topics(described)).ok();
            both.wake_poller();
        });
    }

    /// Whether topics are the same that the reader was told of.
    pub(crate) fn compare(&mut self, described: Vec<(String, Option<Described>)>) {
        let mut gone = Vec::new();
        let mut state = self.both.state();
        let mut missing = BTreeSet::new();
        for (name, now) in described {
            // A broker may not know of a new topic yet, so one look is not enough.
            if now.is_none() && !self.missing.contains(&name) {
                missing.insert(name);
                self.check_at = Instant::now() + LOOK_AGAIN;
                continue;
            }
            let other = |id| now.as_ref().is_none_or(|now| now.id != id);
            let held = state.held.iter();
            let of = held.filter(|(at, it)| *at.topic == *name && other(it.assignment.topic_id));
            gone.extend(of.map(|(at, _)| at.clone()));
            if now.is_none() {
                missing.insert(name);
            }
        }
        self.missing = missing;
        if !gone.is_empty() {
            tracing::warn!(?gone, "topics were deleted, or created anew");
            state.lose(&gone);
            self.both.wake_reader();
        }
        drop(state);
        self.ask_of_unheld();
    }
}
