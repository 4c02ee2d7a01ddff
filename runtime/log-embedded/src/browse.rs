//! Records for people, without a group.

use crate::log::{Handle, blocking};
use crate::reader::rest_of;
use crate::tail::Recent;
use crate::topics::{Topic, count};
use async_trait::async_trait;
use jackfield_log::{BROWSE_WAIT, Browser, Ends, Fetched, LogError, TopicPartition};
use std::sync::Arc;
use tokio::sync::Notify;

/// Reads one batch at a time, and locks a partition no longer than a reader does.
pub(crate) struct EmbeddedBrowser {
    handle: Arc<Handle>,
    topic: Arc<Topic>,
    /// Where it stands, by partition.
    cursors: Vec<(i32, i64)>,
    /// Which cursor is looked at first.
    turn: usize,
    wake: Arc<Notify>,
}

impl EmbeddedBrowser {
    pub(crate) fn open(
        handle: &Arc<Handle>,
        topic: &str,
        from: &[(i32, i64)],
    ) -> Result<Self, LogError> {
        let topic = handle.shared.topics.existing(topic)?;
        let mut cursors = Vec::with_capacity(from.len());
        for (partition, offset) in from {
            let ends = topic.partition(*partition)?.ends;
            cursors.push((*partition, (*offset).clamp(ends.start, ends.end)));
        }
        let wake = Arc::new(Notify::new());
        topic.wake_with(&wake);
        Ok(Self {
            handle: Arc::clone(handle),
            topic,
            cursors,
            turn: 0,
            wake,
        })
    }

    async fn look(&mut self) -> Result<Option<Fetched>, LogError> {
        if self.topic.is_deleted() {
            let gone = format!("the topic {} was deleted", self.topic.info.name);
            return Err(LogError::Rejected(gone));
        }
        for step in 0..self.cursors.len() {
            let at = (self.turn + step) % self.cursors.len();
            let (partition, offset) = self.cursors[at];
            let (ends, recent) = {
                let held = self.topic.partition(partition)?;
                let offset = offset.max(held.ends.start);
                (held.ends, held.tail.get(offset))
            };
            let offset = offset.max(ends.start);
            if offset >= ends.end {
                continue;
            }
            let found = match recent {
                Some(recent) => Some(recent),
                None => self.stored(partition, offset, ends.end).await?,
            };
            // Deleted between the two looks: the next one begins behind it.
            let Some(recent) = found else { continue };
            let fetched = self.fetched(partition, offset, &recent, ends)?;
            self.cursors[at].1 = fetched.next_offset;
            self.turn = (at + 1) % self.cursors.len();
            return Ok(Some(fetched));
        }
        Ok(None)
    }

    async fn stored(
        &self,
        partition: i32,
        from: i64,
        end: i64,
    ) -> Result<Option<Recent>, LogError> {
        let place = self.topic.place(partition);
        blocking(&self.handle, move |shared| {
            for stored in shared.engine.read(place, from, end, 0)? {
                if stored.base + count(&stored.batch)? > from {
                    let (base, batch) = (stored.base, stored.batch);
                    return Ok(Some(Recent { base, batch }));
                }
            }
            Ok(None)
        })
        .await
    }

    fn fetched(
        &self,
        partition: i32,
        offset: i64,
        recent: &Recent,
        ends: Ends,
    ) -> Result<Fetched, LogError> {
        let next_offset = recent.base + count(&recent.batch)?;
        let batch = match recent.base < offset {
            true => rest_of(&recent.batch, offset - recent.base)?,
            false => recent.batch.clone(),
        };
        Ok(Fetched {
            at: TopicPartition::new(Arc::clone(&self.topic.info.name), partition),
            topic_id: self.topic.info.id,
            position: offset,
            next_offset,
            batch,
            end: ends.end,
        })
    }
}

#[async_trait]
impl Browser for EmbeddedBrowser {
    async fn next(&mut self) -> Result<Option<Fetched>, LogError> {
        let wake = Arc::clone(&self.wake);
        let deadline = tokio::time::Instant::now() + BROWSE_WAIT;
        loop {
            if let Some(fetched) = self.look().await? {
                return Ok(Some(fetched));
            }
            let woken = tokio::time::timeout_at(deadline, wake.notified()).await;
            if woken.is_err() {
                return Ok(None);
            }
        }
    }
}
