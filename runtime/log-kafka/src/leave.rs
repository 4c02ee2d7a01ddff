//! How a member leaves its group.

use crate::native::{self, Raw};
use crate::poller::Poller;
use crate::rebalance::{Rebalance, native_list};
use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::Offset;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long it may take: the brokers notice the absence of a member anyway.
const LEAVE_MAX: Duration = Duration::from_secs(5);
/// How long one look at what librdkafka tells meanwhile.
const LOOK: Duration = Duration::from_millis(10);

impl Poller {
    /// Leaves the group. librdkafka tells the brokers of a member with a name only when it
    /// unsubscribes, not when it closes.
    pub(crate) fn leave(mut self) {
        let context = Arc::clone(self.consumer.context());
        context.leave();
        self.cursors.clear();
        if self.consumer.client().fatal_error().is_some() {
            return;
        }
        // Answers that fail are not missed: what this member does not give back by itself goes
        // back with its leaving.
        if let Some(revocation) = self.revocation.take() {
            let list = native_list(&revocation.partitions, Offset::Invalid);
            self.consumer.incremental_unassign(&list).ok();
        }
        for rebalance in context.take() {
            match rebalance {
                Rebalance::Assign(at) => {
                    let list = native_list(&at, Offset::End);
                    self.consumer.incremental_assign(&list).ok();
                }
                Rebalance::Revoke(at) => {
                    let list = native_list(&at, Offset::Invalid);
                    self.consumer.incremental_unassign(&list).ok();
                }
            }
        }
        self.consumer.unsubscribe();
        let deadline = Instant::now() + LEAVE_MAX;
        while Instant::now() < deadline {
            if native::member_id(Raw::of(self.consumer.client())).is_empty() {
                return;
            }
            if let Some(Err(error)) = self.consumer.poll(LOOK) {
                tracing::debug!(%error, "a consumer while leaving");
            }
        }
        tracing::warn!("a member could not leave its group in time");
    }
}
