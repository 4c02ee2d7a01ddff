//! What a reader's handle and its polling thread both see: the partitions, what is to be told, and
//! the batches that lie ready.
//!
//! The handle never waits for the thread: a seek or a pause takes effect here at once, and what the
//! thread makes ready for a place where the reader no longer stands is thrown away.

use bytes::Bytes;
use jackfield_log::{Assignment, Fetched, LogError, ReaderEvent, TopicPartition};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
#[cfg(test)]
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use tokio::sync::Notify;

/// Batches of a partition that lie ready while the sink works on another.
pub(crate) const READY_MAX: usize = 2;

/// Shared by both sides.
#[derive(Default)]
pub(crate) struct Both {
    state: Mutex<State>,
    /// Wakes the handle.
    told: Notify,
    /// Wakes the polling thread.
    poller: OnceLock<Thread>,
    /// Counts the thread's looks at partitions.
    #[cfg(test)]
    pub(crate) looks: AtomicU64,
    /// Counts errors that were taken in place of records.
    #[cfg(test)]
    pub(crate) errors: AtomicU64,
    /// Counts changes of the group that the thread has answered or begun to.
    #[cfg(test)]
    pub(crate) rebalances: AtomicU64,
    /// How long the thread sleeps, and how often it looks at every partition, if not as always.
    #[cfg(test)]
    pub(crate) every: OnceLock<std::time::Duration>,
}

#[derive(Default)]
pub(crate) struct State {
    /// To be told, in order.
    pub(crate) told: VecDeque<ReaderEvent>,
    /// This member's partitions, from when they are about to be told to when they are released, or
    /// when it was told that they are lost.
    pub(crate) held: BTreeMap<TopicPartition, Held>,
    /// Released by the reader, and not yet noticed by the thread.
    pub(crate) released: BTreeSet<TopicPartition>,
    /// Of which the reader wants something that it did not want before, and at which the thread has
    /// not looked since.
    pub(crate) wanted: BTreeSet<TopicPartition>,
    /// Why there is nothing more to be told.
    pub(crate) failed: Option<LogError>,
    pub(crate) leaving: bool,
    /// The reader was told what its join brought, be it nothing; or its newest one, after it had lost
    /// everything.
    answered: bool,
    /// Which partition delivered last: the next one is looked at first.
    last: Option<TopicPartition>,
    /// Counts the seeks of all partitions, so that no two are taken for the same.
    seeks: u64,
}

/// One of the member's partitions.
pub(crate) struct Held {
    pub(crate) assignment: Assignment,
    /// The reader was told that it is its own.
    pub(crate) announced: bool,
    /// It is being taken away.
    pub(crate) going: Going,
    /// Where the reader stands; `None` until a seek.
    pub(crate) position: Option<i64>,
    /// Another with each seek: what was made ready before is of no use.
    pub(crate) seeks: u64,
    pub(crate) paused: bool,
    pub(crate) ready: VecDeque<Ready>,
    /// Why nothing comes after what is ready; until the reader stands elsewhere.
    pub(crate) stuck: Option<LogError>,
}

/// Whether a partition is being taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Going {
    /// It stays.
    Stays,
    /// It is to be released. `told`: the reader knows.
    Revoked { told: bool },
    /// It is gone, which the reader is about to be told.
    Lost,
}

/// A batch that can be delivered.
pub(crate) struct Ready {
    pub(crate) batch: Bytes,
    pub(crate) next_offset: i64,
    pub(crate) end: i64,
}

impl Both {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wake_reader(&self) {
        self.told.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.told.notified().await;
    }

    pub(crate) fn polled_by(&self, thread: Thread) {
        self.poller.set(thread).ok();
    }

    pub(crate) fn wake_poller(&self) {
        if let Some(thread) = self.poller.get() {
            thread.unpark();
        }
    }

    /// Nothing more comes after this error.
    pub(crate) fn fail(&self, error: LogError) {
        let mut state = self.state();
        if state.failed.is_none() {
            tracing::warn!(%error, "a reader has ended");
            state.failed = Some(error);
        }
        drop(state);
        self.wake_reader();
    }
}

impl Held {
    pub(crate) fn new(assignment: Assignment) -> Self {
        Self {
            assignment,
            announced: false,
            going: Going::Stays,
            position: None,
            seeks: 0,
            paused: false,
            ready: VecDeque::new(),
            stuck: None,
        }
    }

    /// As far as the reader knows it is its own.
    pub(crate) fn is_readers(&self) -> bool {
        self.announced && self.going != (Going::Revoked { told: true })
    }
}

impl State {
    /// Whether it is gone, which the reader was not told yet.
    pub(crate) fn is_lost(&self, at: &TopicPartition) -> bool {
        let held = self.held.get(at);
        held.is_some_and(|held| held.going == Going::Lost)
    }

    /// The next event there is, if there is one.
    pub(crate) fn next(&mut self) -> Option<Result<ReaderEvent, LogError>> {
        while let Some(event) = self.told.pop_front() {
            if self.tell(&event) {
                return Some(Ok(event));
            }
        }
        if let Some(error) = &self.failed {
            return Some(Err(error.clone()));
        }
        if let Some(fetched) = self.batch() {
            return Some(Ok(ReaderEvent::Batch(fetched)));
        }
        let wanted = |held: &&Held| held.announced && !held.paused && held.going == Going::Stays;
        let stuck = self.held.values().filter(wanted);
        stuck.filter_map(|held| held.stuck.clone()).map(Err).next()
    }

    /// Notes what the reader knows from now on; false: there is nothing left of it to be told.
    fn tell(&mut self, event: &ReaderEvent) -> bool {
        match event {
            ReaderEvent::Assigned(assigned) => {
                for assignment in assigned {
                    if let Some(held) = self.held.get_mut(&assignment.at) {
                        held.announced = true;
                    }
                }
                let first = !std::mem::replace(&mut self.answered, true);
                first || !assigned.is_empty()
            }
            ReaderEvent::Revoking(partitions) => {
                for at in partitions {
                    if let Some(held) = self.held.get_mut(at) {
                        held.going = Going::Revoked { told: true };
                        held.ready.clear();
                    }
                }
                !partitions.is_empty()
            }
            ReaderEvent::Lost(partitions) => {
                for at in partitions {
                    self.held.remove(at);
                }
                // The member joins anew, and is answered anew.
                self.answered &= !self.held.is_empty();
                !partitions.is_empty()
            }
            ReaderEvent::Batch(_) => true,
        }
    }

    /// Is to tell that these are the member's; none, that the group has nothing more for it.
    pub(crate) fn assign(&mut self, assigned: Vec<Assignment>) {
        for assignment in &assigned {
            let held = Held::new(assignment.clone());
            self.held.insert(assignment.at.clone(), held);
        }
        self.told.push_back(ReaderEvent::Assigned(assigned));
    }

    /// Is to tell that these are wanted by another; gives those that have to be released. What the
    /// reader was never told of is gone without a word.
    pub(crate) fn revoke(&mut self, partitions: &[TopicPartition]) -> BTreeSet<TopicPartition> {
        let revoked = self.go(partitions, Going::Revoked { told: false });
        if !revoked.is_empty() {
            let revoked = revoked.iter().cloned().collect();
            self.told.push_back(ReaderEvent::Revoking(revoked));
        }
        revoked
    }

    /// Is to tell that these are gone.
    pub(crate) fn lose(&mut self, partitions: &[TopicPartition]) {
        // One that is lost before it was told that it is wanted need not be released.
        for event in &mut self.told {
            if let ReaderEvent::Revoking(revoking) = event {
                revoking.retain(|at| !partitions.contains(at));
            }
        }
        let lost = self.go(partitions, Going::Lost);
        if !lost.is_empty() {
            let lost = lost.into_iter().collect();
            self.told.push_back(ReaderEvent::Lost(lost));
        }
    }

    fn go(&mut self, partitions: &[TopicPartition], going: Going) -> BTreeSet<TopicPartition> {
        let mut announced = BTreeSet::new();
        for at in partitions {
            let Some(held) = self.held.get_mut(at) else {
                continue;
            };
            if held.going == Going::Lost {
                continue;
            }
            if held.announced {
                held.going = going;
                held.ready.clear();
                announced.insert(at.clone());
            } else {
                self.held.remove(at);
            }
        }
        for event in &mut self.told {
            if let ReaderEvent::Assigned(assigned) = event {
                assigned.retain(|it| self.held.contains_key(&it.at));
            }
        }
        announced
    }

    /// The reader stands elsewhere from now on.
    pub(crate) fn seek(&mut self, at: &TopicPartition, offset: i64) {
        self.seeks += 1;
        self.wanted.insert(at.clone());
        if let Some(held) = self.held.get_mut(at) {
            held.position = Some(offset);
            held.seeks = self.seeks;
            held.ready.clear();
            held.stuck = None;
        }
    }

    /// The reader takes these again.
    pub(crate) fn resume(&mut self, at: &[TopicPartition]) {
        for at in at {
            if let Some(held) = self.held.get_mut(at) {
                held.paused = false;
                self.wanted.insert(at.clone());
            }
        }
    }

    /// A batch of the next partition that has one.
    fn batch(&mut self) -> Option<Fetched> {
        let last = self.last.take();
        let ready = |(_, held): &(&TopicPartition, &Held)| held.delivers();
        let next = self
            .held
            .iter()
            .filter(ready)
            .map(|(at, _)| at)
            .find(|at| last.as_ref().is_none_or(|last| *at > last))
            .or_else(|| self.held.iter().find(ready).map(|(at, _)| at))
            .cloned();
        let Some(at) = next else {
            self.last = last;
            return None;
        };
        let held = self.held.get_mut(&at)?;
        let ready = held.ready.pop_front()?;
        let position = held.position?;
        held.position = Some(ready.next_offset);
        held.assignment.ends.end = held.assignment.ends.end.max(ready.end);
        // There is room for another.
        self.wanted.insert(at.clone());
        self.last = Some(at.clone());
        Some(Fetched {
            topic_id: held.assignment.topic_id,
            at,
            position,
            next_offset: ready.next_offset,
            batch: ready.batch,
            end: ready.end,
        })
    }
}

impl Held {
    fn delivers(&self) -> bool {
        self.announced && !self.paused && self.going == Going::Stays && !self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_log::Ends;
    use uuid::Uuid;

    fn assignment(at: &TopicPartition) -> Assignment {
        Assignment {
            at: at.clone(),
            topic_id: Uuid::nil(),
            committed: None,
            ends: Ends { start: 0, end: 0 },
        }
    }

    #[test]
    fn a_member_that_lost_everything_is_answered_anew() {
        let at = TopicPartition::new("topic", 0);
        let assigned = assignment(&at);
        let mut state = State::default();
        state.assign(vec![assigned.clone()]);
        let told = Some(Ok(ReaderEvent::Assigned(vec![assigned])));
        assert_eq!(state.next(), told);
        state.assign(Vec::new());
        assert_eq!(state.next(), None, "it knows what it has");
        state.lose(std::slice::from_ref(&at));
        assert_eq!(state.next(), Some(Ok(ReaderEvent::Lost(vec![at]))));
        state.assign(Vec::new());
        assert_eq!(state.next(), Some(Ok(ReaderEvent::Assigned(Vec::new()))));
        state.assign(Vec::new());
        assert_eq!(state.next(), None, "once");
    }
}
