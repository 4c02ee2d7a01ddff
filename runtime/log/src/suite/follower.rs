//! A reader that keeps what it reads, and checks of every event what holds for all of them.

use super::bounds::within;
use super::records::{Seen, unpack};
use crate::{Assignment, Fetched, Log, LogError, Reader, ReaderEvent, ReaderSpec, TopicPartition};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

pub(crate) struct Follower {
    reader: Box<dyn Reader>,
    held: BTreeMap<TopicPartition, Held>,
    seen: BTreeMap<TopicPartition, Vec<Seen>>,
}

/// A partition of this member's.
struct Held {
    assignment: Assignment,
    /// `None` until it was sought.
    stands: Option<i64>,
    paused: bool,
    revoking: bool,
}

impl Follower {
    /// Joins a group.
    pub(crate) async fn open(log: &Arc<dyn Log>, spec: &ReaderSpec) -> Self {
        Self {
            reader: within("a member joins", log.reader(spec)).await.unwrap(),
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// The next event. May be dropped while it waits, like the reader's own.
    pub(crate) async fn try_next(&mut self) -> Result<ReaderEvent, LogError> {
        let event = self.reader.next().await?;
        match &event {
            ReaderEvent::Assigned(assigned) => assigned.iter().for_each(|it| self.assigned(it)),
            ReaderEvent::Revoking(partitions) => {
                for at in partitions {
                    let held = self.held.get_mut(at);
                    let held = held.unwrap_or_else(|| panic!("{at} is revoked of a stranger"));
                    assert!(!held.revoking, "{at} is revoked twice");
                    held.revoking = true;
                }
            }
            ReaderEvent::Lost(partitions) => {
                for at in partitions {
                    assert!(self.held.remove(at).is_some(), "a stranger loses {at}");
                }
            }
            ReaderEvent::Batch(fetched) => self.fetched(fetched),
        }
        Ok(event)
    }

    /// The next event, which must come.
    pub(crate) async fn next(&mut self) -> ReaderEvent {
        within("a reader has an event", self.try_next())
            .await
            .unwrap()
    }

    fn assigned(&mut self, assignment: &Assignment) {
        let at = &assignment.at;
        let ends = assignment.ends;
        assert!(0 <= ends.start && ends.start <= ends.end, "{at}: {ends:?}");
        let held = Held {
            assignment: assignment.clone(),
            stands: None,
            paused: false,
            revoking: false,
        };
        let before = self.held.insert(at.clone(), held);
        assert!(before.is_none(), "{at} is assigned twice");
    }

    fn fetched(&mut self, fetched: &Fetched) {
        let at = &fetched.at;
        let held = self.held.get_mut(at);
        let held = held.unwrap_or_else(|| panic!("{at} delivers to a stranger"));
        assert!(!held.paused, "{at} delivers though it is paused");
        assert!(!held.revoking, "{at} delivers though it is revoked");
        assert_eq!(
            held.stands,
            Some(fetched.position),
            "{at} delivers from elsewhere than its reader stands"
        );
        let topic_id = held.assignment.topic_id;
        assert_eq!(fetched.topic_id, topic_id, "{at}: the topic's id");
        let records = unpack(&fetched.batch);
        assert_eq!(fetched.is_empty(), records.is_empty(), "{at}");
        assert!(
            records.is_sorted_by(|a, b| a.offset < b.offset),
            "{at}: offsets that do not rise"
        );
        let passed = fetched.position..fetched.next_offset;
        assert!(!passed.is_empty(), "{at} delivers nothing");
        let outside = records.iter().find(|it| !passed.contains(&it.offset));
        assert!(
            outside.is_none(),
            "{at} was passed at {passed:?}, not at {outside:?}"
        );
        assert!(
            fetched.next_offset <= fetched.end,
            "{at}: the reader stands at {}, past the end {}",
            fetched.next_offset,
            fetched.end
        );
        held.stands = Some(fetched.next_offset);
        self.seen.entry(at.clone()).or_default().extend(records);
    }

    /// Takes events until a condition holds, which is asked before each.
    pub(crate) async fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        within(what, async {
            while !holds(self) {
                self.try_next().await.unwrap();
            }
        })
        .await;
    }

    /// Takes events while something else comes to its end: a member that is not asked for events
    /// may hold up its group.
    pub(crate) async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> T {
        let follow = async {
            loop {
                self.try_next().await.unwrap();
            }
        };
        tokio::select! {
            it = other => it,
            never = follow => never,
        }
    }

    /// Takes events until there are no more, and says why.
    pub(crate) async fn until_failed(&mut self) -> LogError {
        within("a reader fails", async {
            loop {
                if let Err(error) = self.try_next().await {
                    return error;
                }
            }
        })
        .await
    }

    /// Takes events until these partitions are this member's, and no others.
    pub(crate) async fn until_held(&mut self, partitions: &[TopicPartition]) -> Vec<Assignment> {
        self.until("partitions are assigned", |it| {
            it.held.len() == partitions.len() && partitions.iter().all(|at| it.holds(at))
        })
        .await;
        self.held.values().map(|it| it.assignment.clone()).collect()
    }

    /// Takes events until another member wants some of this one's partitions, and says which.
    pub(crate) async fn until_revoking(&mut self) -> Vec<TopicPartition> {
        self.until("partitions are revoked", |it| !it.revoking().is_empty())
            .await;
        self.revoking()
    }

    /// Takes events until so many records of a partition were read.
    pub(crate) async fn read(&mut self, at: &TopicPartition, records: usize) -> &[Seen] {
        let what = format!("{records} records of {at} are read");
        self.until(&what, |it| it.seen(at).len() >= records).await;
        self.seen(at)
    }

    /// Goes on from an offset, which must be one of the partition's.
    pub(crate) fn seek(&mut self, at: &TopicPartition, offset: i64) {
        self.try_seek(at, offset)
            .unwrap_or_else(|e| panic!("seek of {at} to {offset}: {e}"));
    }

    pub(crate) fn try_seek(&mut self, at: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.reader.seek(at, offset)?;
        let held = self.held.get_mut(at);
        let held = held.unwrap_or_else(|| panic!("{at} can be sought by a stranger"));
        held.stands = Some(offset);
        Ok(())
    }

    /// Seeks each where the group committed last, or else to its beginning.
    pub(crate) fn seek_to_committed(&mut self, assigned: &[Assignment]) {
        for it in assigned {
            self.seek(&it.at, it.committed.unwrap_or(it.ends.start));
        }
    }

    pub(crate) fn pause(&mut self, at: &[TopicPartition]) {
        self.reader.pause(at);
        self.set_paused(at, true);
    }

    pub(crate) fn resume(&mut self, at: &[TopicPartition]) {
        self.reader.resume(at);
        self.set_paused(at, false);
    }

    fn set_paused(&mut self, at: &[TopicPartition], paused: bool) {
        for at in at {
            self.held
                .get_mut(at)
                .expect("tests pause what they hold")
                .paused = paused;
        }
    }

    pub(crate) async fn commit(
        &mut self,
        offsets: &[(TopicPartition, i64)],
    ) -> Result<(), LogError> {
        within("offsets are committed", self.reader.commit(offsets)).await
    }

    /// Lets go of partitions, and forgets that they were held.
    pub(crate) async fn release(&mut self, at: &[TopicPartition]) {
        for at in at {
            self.held.remove(at);
        }
        within("partitions are released", self.reader.release(at))
            .await
            .unwrap();
    }

    pub(crate) async fn close(self) {
        within("a reader closes", self.reader.close())
            .await
            .unwrap();
    }

    /// Whether a partition is this member's.
    pub(crate) fn holds(&self, at: &TopicPartition) -> bool {
        self.held.contains_key(at)
    }

    /// All partitions of this member's.
    pub(crate) fn held(&self) -> Vec<TopicPartition> {
        self.held.keys().cloned().collect()
    }

    /// Those that another member wants.
    pub(crate) fn revoking(&self) -> Vec<TopicPartition> {
        let revoking = self.held.iter().filter(|(_, held)| held.revoking);
        revoking.map(|(at, _)| at.clone()).collect()
    }

    /// Where the reader stands in a partition that was sought.
    pub(crate) fn stands(&self, at: &TopicPartition) -> Option<i64> {
        self.held.get(at).and_then(|held| held.stands)
    }

    /// What was read of a partition, and not taken.
    pub(crate) fn seen(&self, at: &TopicPartition) -> &[Seen] {
        self.seen.get(at).map_or(&[], Vec::as_slice)
    }

    /// Takes what was read of a partition.
    pub(crate) fn take(&mut self, at: &TopicPartition) -> Vec<Seen> {
        self.seen.remove(at).unwrap_or_default()
    }
}
