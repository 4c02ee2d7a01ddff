//! What librdkafka tells of the group, kept until the polling thread looks at it.

use crate::context::Telling;
use jackfield_log::TopicPartition;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The context of a reader's consumer.
pub(crate) type ReaderContext = Telling<Rebalances>;

/// What librdkafka told of the group, until the thread looks at it.
#[derive(Default)]
pub(crate) struct Rebalances {
    told: Mutex<VecDeque<Rebalance>>,
    /// Nobody looks at rebalances any more: they are answered at once.
    leaving: AtomicBool,
}

/// A change of the assignment, which librdkafka waits to be answered.
pub(crate) enum Rebalance {
    /// These are the member's.
    Assign(Vec<TopicPartition>),
    /// These are wanted back.
    Revoke(Vec<TopicPartition>),
}

impl Rebalances {
    /// From now on rebalances are answered at once.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// What was told and not looked at.
    pub(crate) fn take(&self) -> VecDeque<Rebalance> {
        let mut held = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut held)
    }
}

impl ConsumerContext for ReaderContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let assign = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.leaving.load(Ordering::Acquire) {
            let answered = if assign {
                consumer.incremental_assign(list)
            } else {
                consumer.incremental_unassign(list)
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "a rebalance while leaving");
            }
            return;
        }
        let partitions = partitions(list);
        let mut held = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        held.push_back(if assign {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke(partitions)
        });
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    let all = elements
        .iter()
        .map(|it| TopicPartition::new(it.topic(), it.partition()));
    all.collect()
}

pub(crate) fn native_list(partitions: &[TopicPartition], offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for at in partitions {
        // Only an offset that is none is refused.
        list.add_partition_offset(&at.topic, at.partition, offset)
            .ok();
    }
    list
}
