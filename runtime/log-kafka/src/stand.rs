//! Questions to the cluster that a reader's thread has others ask, since they block.

use crate::consequence;
use crate::native::Described;
use crate::rebalance::{ReaderContext, native_list};
use crate::shared::{REQUEST_TIMEOUT, Shared};
use jackfield_log::{Assignment, LogError, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;
use std::collections::{BTreeMap, BTreeSet};

/// What a question to the cluster brought.
pub(crate) enum Answer {
    /// Where partitions stand that were assigned, each with its assignment's number.
    Stand(
        Vec<(TopicPartition, u64)>,
        Result<Vec<Assignment>, LogError>,
    ),
    /// What the reader's topics are now.
    Topics(Result<Vec<(String, Option<Described>)>, LogError>),
}

/// Where partitions stand: their topics' ids, what the group committed, where they begin and end.
pub(crate) fn stand(
    shared: &Shared,
    consumer: &BaseConsumer<ReaderContext>,
    numbered: &[(TopicPartition, u64)],
) -> Result<Vec<Assignment>, LogError> {
    let partitions: Vec<TopicPartition> = numbered.iter().map(|(at, _)| at.clone()).collect();
    let names: BTreeSet<String> = partitions.iter().map(|at| at.topic.to_string()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let described: BTreeMap<String, Option<Described>> = names
        .iter()
        .cloned()
        .zip(shared.describe_now(&names)?)
        .collect();
    let list = native_list(&partitions, Offset::Invalid);
    let committed = consumer
        .committed_offsets(list, REQUEST_TIMEOUT)
        .map_err(|e| consequence::kafka("the group's offsets are not known", &e))?;
    let mut all = Vec::with_capacity(partitions.len());
    for at in partitions {
        let Some(Some(topic)) = described.get(&*at.topic) else {
            return Err(LogError::Rejected(format!(
                "there is no topic {}",
                at.topic
            )));
        };
        let kept = committed.find_partition(&at.topic, at.partition);
        let committed = match kept.map(|it| it.offset()) {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        };
        let ends = shared.ends_now(&at.topic, at.partition)?;
        all.push(Assignment {
            at,
            topic_id: topic.id,
            committed,
            ends,
        });
    }
    Ok(all)
}
