//! Partitions that another member wants: told, waited for, given back.

use crate::membership::Going;
use crate::native::Described;
use crate::poller::Poller;
use crate::rebalance::native_list;
use jackfield_log::TopicPartition;
use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::Offset;
use std::collections::BTreeSet;
use std::time::Instant;

/// Partitions that another member wants.
pub(crate) struct Revocation {
    /// All that librdkafka wants back.
    pub(crate) partitions: Vec<TopicPartition>,
    /// Those that the reader has to release.
    open: BTreeSet<TopicPartition>,
    deadline: Instant,
}

impl Poller {
    /// Another member wants these.
    pub(crate) fn revoke(&mut self, partitions: Vec<TopicPartition>) {
        // A topic that is gone needs no release: whoever reads it can't commit it any more.
        let gone = self.gone_topics(&partitions);
        let lost = self.consumer.assignment_lost();
        let mut state = self.both.state();
        let gone: Vec<TopicPartition> = partitions
            .iter()
            .filter(|at| lost || gone.contains(&*at.topic))
            .cloned()
            .collect();
        state.lose(&gone);
        let kept: Vec<TopicPartition> = partitions
            .iter()
            .filter(|at| !gone.contains(at))
            .cloned()
            .collect();
        let open = state.revoke(&kept);
        drop(state);
        self.both.wake_reader();
        let deadline = Instant::now() + self.shared.config.revoke_max;
        match &mut self.revocation {
            // Everything is taken away while some is being released.
            Some(earlier) => {
                earlier.partitions.extend(partitions);
                earlier.open.extend(open);
            }
            None => {
                self.revocation = Some(Revocation {
                    partitions,
                    open,
                    deadline,
                });
            }
        }
    }

    fn gone_topics(&self, partitions: &[TopicPartition]) -> BTreeSet<String> {
        let names: BTreeSet<String> = partitions.iter().map(|at| at.topic.to_string()).collect();
        let names: Vec<String> = names.into_iter().collect();
        let Ok(described) = self.shared.describe_now(&names) else {
            return BTreeSet::new();
        };
        let state = self.both.state();
        let is_gone = |name: &str, now: Option<&Described>| {
            let held = state.held.values();
            let mut held = held.filter(|it| &*it.assignment.at.topic == name);
            held.any(|it| now.is_none_or(|now| now.id != it.assignment.topic_id))
        };
        let gone = names.into_iter().zip(described);
        gone.filter(|(name, now)| is_gone(name, now.as_ref()))
            .map(|(name, _)| name)
            .collect()
    }

    /// Answers a revocation once all of it is released, or its time is over.
    pub(crate) fn settle_revocation(&mut self) {
        let Some(revocation) = &mut self.revocation else {
            self.both.state().released.clear();
            return;
        };
        let mut state = self.both.state();
        for at in std::mem::take(&mut state.released) {
            revocation.open.remove(&at);
        }
        // One that was lost meanwhile needs no release.
        revocation
            .open
            .retain(|at| state.held.get(at).is_some_and(|it| it.going != Going::Lost));
        let over = Instant::now() >= revocation.deadline || self.consumer.assignment_lost();
        if over && !revocation.open.is_empty() {
            let lost: Vec<TopicPartition> = revocation.open.iter().cloned().collect();
            tracing::warn!(?lost, "partitions were not released in time");
            state.lose(&lost);
            revocation.open.clear();
            self.both.wake_reader();
        }
        if !revocation.open.is_empty() {
            return;
        }
        drop(state);
        let partitions = std::mem::take(&mut revocation.partitions);
        self.revocation = None;
        for at in &partitions {
            self.cursors.remove(at);
            self.asked.remove(at);
        }
        let list = native_list(&partitions, Offset::Invalid);
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::warn!(%error, "a revocation could not be answered");
        }
    }

    pub(crate) fn is_revoked(&self, at: &TopicPartition) -> bool {
        let revocation = self.revocation.as_ref();
        revocation.is_some_and(|it| it.partitions.contains(at))
    }
}
