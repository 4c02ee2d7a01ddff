//! A member of a group, reading.

use crate::assignment::MemberId;
use crate::command::Command;
use crate::engine::Stored;
use crate::groups::{Group, Told, named};
use crate::keys::Place;
use crate::log::Handle;
use crate::tail::Recent;
use crate::topics::{Topic, count};
use async_trait::async_trait;
use bytes::Bytes;
use jackfield_batch::{Batch, BatchWriter, Limits};
use jackfield_log::{
    Assignment, Ends, Fetched, LogError, Reader, ReaderEvent, ReaderSpec, TopicPartition,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Bytes read from the disk at once for one partition: a few batches of the largest size, so that
/// a reader that is behind does not wait for each.
const READ_AHEAD_BYTES: usize = 1 << 20;
/// Bytes read ahead for all partitions of a member, which share them: as many as the newest records
/// of the whole log may take. Each has one batch in any case.
const READ_AHEAD_TOTAL_BYTES: usize = 8 << 20;

/// One of the member's partitions.
struct Cursor {
    topic: Arc<Topic>,
    /// `None` until a seek.
    position: Option<i64>,
    paused: bool,
    /// Read from the disk and not delivered yet.
    ahead: VecDeque<Recent>,
}

/// A look at the disk on its way. Kept here, so that a `next` that is dropped costs nothing.
struct Reading {
    place: Place,
    from: i64,
    task: JoinHandle<Result<Vec<Stored>, LogError>>,
}

pub(crate) struct EmbeddedReader {
    handle: Arc<Handle>,
    group: Arc<Group>,
    member: MemberId,
    wake: Arc<Notify>,
    topics: Vec<Arc<Topic>>,
    cursors: BTreeMap<Place, Cursor>,
    /// The partition that delivered last: the next one is looked at first.
    last: Option<Place>,
    reading: Option<Reading>,
    /// Counts batches that were read from the disk.
    #[cfg(test)]
    from_disk: usize,
}

impl EmbeddedReader {
    pub(crate) fn join(
        handle: Arc<Handle>,
        member: MemberId,
        spec: &ReaderSpec,
    ) -> Result<Self, LogError> {
        let wake = Arc::new(Notify::new());
        let mut topics: Vec<Arc<Topic>> = Vec::new();
        for name in &spec.topics {
            let topic = handle.shared.topics.existing(name)?;
            if !topics.iter().any(|other| Arc::ptr_eq(other, &topic)) {
                topic.wake_with(&wake);
                topics.push(topic);
            }
        }
        let group = handle.shared.groups.get(&spec.group);
        group.join(
            member,
            &spec.member,
            topics.clone(),
            spec.start,
            Arc::clone(&wake),
        );
        Ok(Self {
            handle,
            group,
            member,
            wake,
            topics,
            cursors: BTreeMap::new(),
            last: None,
            reading: None,
            #[cfg(test)]
            from_disk: 0,
        })
    }

    /// What the group tells, as the port's event; `None` where nothing of it holds any more.
    fn event(&mut self, told: Told) -> Result<Option<ReaderEvent>, LogError> {
        let event = match told {
            Told::Assigned(places) => ReaderEvent::Assigned(self.assigned(places)?),
            Told::Revoking(places) => ReaderEvent::Revoking(self.gone(places)),
            Told::Lost(places) => ReaderEvent::Lost(self.gone(places)),
        };
        let empty = match &event {
            // Of nothing: the join's answer.
            ReaderEvent::Assigned(_) | ReaderEvent::Batch(_) => false,
            ReaderEvent::Revoking(places) | ReaderEvent::Lost(places) => places.is_empty(),
        };
        Ok((!empty).then_some(event))
    }

    fn assigned(&mut self, places: Vec<Place>) -> Result<Vec<Assignment>, LogError> {
        let mut assigned = Vec::with_capacity(places.len());
        for place in places {
            let Some((topic, at)) = named(&self.topics, place) else {
                continue;
            };
            assigned.push(Assignment {
                at,
                topic_id: place.topic,
                committed: self.group.committed(place),
                ends: topic.partition(place.partition)?.ends,
            });
            let cursor = Cursor {
                topic,
                position: None,
                paused: false,
                ahead: VecDeque::new(),
            };
            self.cursors.insert(place, cursor);
        }
        Ok(assigned)
    }

    fn gone(&mut self, places: Vec<Place>) -> Vec<TopicPartition> {
        places
            .into_iter()
            .filter_map(|place| {
                self.cursors.remove(&place);
                named(&self.topics, place).map(|(_, at)| at)
            })
            .collect()
    }

    fn place(&self, at: &TopicPartition) -> Option<Place> {
        // Of two topics of one name, one deleted, the newer one is meant.
        let topic = self
            .topics
            .iter()
            .rfind(|topic| topic.info.name == at.topic)?;
        Some(topic.place(at.partition))
    }

    fn places(&self, at: &[TopicPartition]) -> Vec<Place> {
        at.iter().filter_map(|at| self.place(at)).collect()
    }

    /// Records of the next partition that has any.
    async fn fetch(&mut self) -> Result<Option<Fetched>, LogError> {
        let after = self.last;
        let places: Vec<Place> = self.cursors.keys().copied().collect();
        let turn = places.partition_point(|place| after.is_some_and(|after| *place <= after));
        for place in places[turn..].iter().chain(&places[..turn]) {
            if let Some(fetched) = self.fetch_from(*place).await? {
                self.last = Some(*place);
                return Ok(Some(fetched));
            }
        }
        Ok(None)
    }

    async fn fetch_from(&mut self, place: Place) -> Result<Option<Fetched>, LogError> {
        loop {
            let Some(cursor) = self.cursors.get_mut(&place).filter(|cursor| !cursor.paused) else {
                return Ok(None);
            };
            let Some(position) = cursor.position else {
                return Ok(None);
            };
            if cursor.topic.is_deleted() {
                // That it is lost comes with the next event.
                return Ok(None);
            }
            let (ends, recent) = {
                let partition = cursor.topic.partition(place.partition)?;
                (partition.ends, partition.tail.get(position))
            };
            if position < ends.start {
                tracing::warn!(
                    topic = %cursor.topic.info.name, partition = place.partition, position, start = ends.start,
                    "records were deleted before they were read"
                );
                cursor.position = None;
                self.group.lose(self.member, place)?;
                return Ok(None);
            }
            if position >= ends.end {
                return Ok(None);
            }
            let found = match recent {
                Some(recent) => {
                    cursor.ahead.clear();
                    Some(recent)
                }
                None => cursor.take_ahead(position)?,
            };
            match found {
                Some(recent) => return cursor.deliver(place, position, &recent, ends).map(Some),
                None => self.read_ahead(place, position, ends.end).await?,
            }
        }
    }

    async fn read_ahead(&mut self, place: Place, from: i64, end: i64) -> Result<(), LogError> {
        if !self
            .reading
            .as_ref()
            .is_some_and(|r| r.place == place && r.from == from)
        {
            let handle = Arc::clone(&self.handle);
            let share = READ_AHEAD_TOTAL_BYTES / self.cursors.len().max(1);
            let bytes_max = share.min(READ_AHEAD_BYTES);
            let read = move || handle.shared.engine.read(place, from, end, bytes_max);
            self.reading = Some(Reading {
                place,
                from,
                task: tokio::task::spawn_blocking(read),
            });
        }
        let Some(reading) = &mut self.reading else {
            return Ok(());
        };
        let read = (&mut reading.task).await;
        self.reading = None;
        let read =
            read.map_err(|e| LogError::Retriable(format!("reading the log was cut off: {e}")))??;
        #[cfg(test)]
        {
            self.from_disk += read.len();
        }
        let Some(cursor) = self.cursors.get_mut(&place) else {
            return Ok(());
        };
        let start = cursor.topic.partition(place.partition)?.ends.start;
        if read.is_empty() && from >= start {
            return Err(LogError::Fatal(format!(
                "{}-{} has no record at {from}, though the log holds {start} to {end}: the folder was changed from outside",
                cursor.topic.info.name, place.partition
            )));
        }
        cursor.ahead = read
            .into_iter()
            .map(|stored| Recent {
                base: stored.base,
                batch: stored.batch,
            })
            .collect();
        Ok(())
    }
}

impl Cursor {
    /// The batch at `position`, if it was read ahead.
    fn take_ahead(&mut self, position: i64) -> Result<Option<Recent>, LogError> {
        while let Some(recent) = self.ahead.pop_front() {
            if recent.base > position {
                // A seek went back to before what was read ahead.
                self.ahead.clear();
                return Ok(None);
            }
            if recent.base + count(&recent.batch)? > position {
                return Ok(Some(recent));
            }
        }
        Ok(None)
    }

    fn deliver(
        &mut self,
        place: Place,
        position: i64,
        recent: &Recent,
        ends: Ends,
    ) -> Result<Fetched, LogError> {
        let next_offset = recent.base + count(&recent.batch)?;
        let batch = match recent.base {
            base if base == position => recent.batch.clone(),
            base => rest_of(&recent.batch, position - base)?,
        };
        self.position = Some(next_offset);
        Ok(Fetched {
            at: TopicPartition::new(Arc::clone(&self.topic.info.name), place.partition),
            topic_id: place.topic,
            position,
            next_offset,
            batch,
            end: ends.end,
        })
    }
}

/// A batch without its first records, after a seek into its middle.
pub(crate) fn rest_of(batch: &[u8], skipped: i64) -> Result<Bytes, LogError> {
    let malformed =
        |why: String| LogError::Fatal(format!("a batch of the log is malformed: {why}"));
    let batch = Batch::parse(batch, &Limits::default()).map_err(|e| malformed(e.to_string()))?;
    let mut rest = BatchWriter::new();
    for (index, record) in (0u32..)
        .zip(batch.iter())
        .skip(usize::try_from(skipped).unwrap_or_default())
    {
        let offset = batch
            .offset(index)
            .ok_or_else(|| malformed("it has no coordinates".into()))?;
        rest.push_at(offset, &record)
            .map_err(|e| malformed(e.to_string()))?;
    }
    Ok(rest.finish().into())
}

#[async_trait]
impl Reader for EmbeddedReader {
    async fn next(&mut self) -> Result<ReaderEvent, LogError> {
        loop {
            if let Some(told) = self.group.told(self.member)? {
                if let Some(event) = self.event(told)? {
                    return Ok(event);
                }
                continue;
            }
            if let Some(fetched) = self.fetch().await? {
                return Ok(ReaderEvent::Batch(fetched));
            }
            self.wake.notified().await;
        }
    }

    fn seek(&mut self, at: &TopicPartition, offset: i64) -> Result<(), LogError> {
        let not_ours = || LogError::Rejected(format!("{at} is not this member's"));
        let place = self.place(at).ok_or_else(not_ours)?;
        self.group.check(self.member)?;
        // What is being revoked stays this member's until it was told so.
        let cursor = self.cursors.get_mut(&place).ok_or_else(not_ours)?;
        let ends = cursor.topic.partition(place.partition)?.ends;
        if !(ends.start..=ends.end).contains(&offset) {
            return Err(LogError::Rejected(format!(
                "the offset {offset} of {at} lies outside the log, which holds {} to {}",
                ends.start, ends.end
            )));
        }
        cursor.position = Some(offset);
        cursor.ahead.clear();
        self.wake.notify_one();
        Ok(())
    }

    fn pause(&mut self, at: &[TopicPartition]) {
        for place in self.places(at) {
            if let Some(cursor) = self.cursors.get_mut(&place) {
                // What is read ahead stays: a sink that is held back pauses again and again, and
                // partitions that are paused count among those that share it.
                cursor.paused = true;
            }
        }
    }

    fn resume(&mut self, at: &[TopicPartition]) {
        for place in self.places(at) {
            if let Some(cursor) = self.cursors.get_mut(&place) {
                cursor.paused = false;
            }
        }
        self.wake.notify_one();
    }

    async fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        let mut known = Vec::with_capacity(offsets.len());
        for (at, offset) in offsets {
            let place = self
                .place(at)
                .ok_or_else(|| LogError::Rejected(format!("{at} is not this member's")))?;
            known.push((place, *offset));
        }
        let (group, member) = (Arc::clone(&self.group), self.member);
        let ask = |reply| Command::CommitOffsets {
            group,
            member,
            offsets: known,
            reply,
        };
        self.handle.ask(ask).await
    }

    async fn release(&mut self, at: &[TopicPartition]) -> Result<(), LogError> {
        let places = self.places(at);
        places
            .iter()
            .for_each(|place| drop(self.cursors.remove(place)));
        self.group.release(self.member, &places)
    }

    async fn close(self: Box<Self>) -> Result<(), LogError> {
        // Dropping it leaves the group.
        Ok(())
    }
}

impl Drop for EmbeddedReader {
    fn drop(&mut self) {
        self.group.leave(self.member);
    }
}

#[cfg(test)]
mod tests;
