//! Offsets of groups, looked at and set by hand.

use crate::groups::Group;
use crate::keys::{self, Place};
use crate::log::Shared;
use crate::prepare::Put;
use crate::topics::{lock, offset_bytes};
use jackfield_log::{LogError, TopicPartition};
use std::sync::Arc;

impl Shared {
    /// What a group has committed in these topics.
    pub(crate) fn group_offsets(
        &self,
        group: &str,
        topics: &[String],
    ) -> Result<Vec<(TopicPartition, i64)>, LogError> {
        let group = self.groups.get(group);
        let mut names: Vec<&String> = topics.iter().collect();
        names.sort();
        names.dedup();
        let mut offsets = Vec::new();
        for name in names {
            let Some(topic) = self.topics.get(name) else {
                continue;
            };
            for partition in 0..topic.info.partitions {
                if let Some(offset) = group.committed(topic.place(partition)) {
                    let at = TopicPartition::new(Arc::clone(&topic.info.name), partition);
                    offsets.push((at, offset));
                }
            }
        }
        Ok(offsets)
    }

    /// Partitions as they are kept; each has to be there.
    pub(crate) fn places(
        &self,
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<Vec<(Place, Option<i64>)>, LogError> {
        let place = |(at, offset): &(TopicPartition, Option<i64>)| {
            let topic = self.topics.existing(&at.topic)?;
            topic.partition(at.partition).map(drop)?;
            Ok((topic.place(at.partition), *offset))
        };
        offsets.iter().map(place).collect()
    }
}

impl Group {
    /// Offsets that nobody commits but a person sets, as writes.
    pub(crate) fn set(&self, offsets: &[(Place, Option<i64>)]) -> Result<Vec<Put>, LogError> {
        let mut state = lock(&self.state);
        if !state.members.is_empty() {
            let why = format!("the group {} has members", self.name);
            return Err(LogError::Rejected(why));
        }
        let mut puts = Vec::with_capacity(offsets.len());
        for (place, offset) in offsets {
            puts.push((
                keys::group_offset(&self.name, *place)?,
                offset.map(offset_bytes),
            ));
        }
        // As for a commit: a write that fails ends the log for this process.
        for (place, offset) in offsets {
            match offset {
                Some(offset) => drop(state.committed.insert(*place, *offset)),
                None => drop(state.committed.remove(place)),
            }
        }
        Ok(puts)
    }
}
