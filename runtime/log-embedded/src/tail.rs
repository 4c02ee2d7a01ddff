//! The newest batches, kept in memory: readers that keep up never touch the disk.

use crate::topics::Topic;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of all tails together: a few milliseconds of the fastest writer, far more of any other.
const TAIL_BYTES_MAX: usize = 8 << 20;

/// A batch and the offset of its first record.
#[derive(Debug, Clone)]
pub(crate) struct Recent {
    pub(crate) base: i64,
    pub(crate) batch: Bytes,
}

/// A partition's newest batches, without a hole up to its end.
#[derive(Debug, Default)]
pub(crate) struct Tail(VecDeque<Recent>);

impl Tail {
    pub(crate) fn push(&mut self, recent: Recent) {
        self.0.push_back(recent);
    }

    /// The batch that holds `offset`, an offset before the partition's end.
    pub(crate) fn get(&self, offset: i64) -> Option<Recent> {
        let after = self.0.partition_point(|recent| recent.base <= offset);
        after.checked_sub(1).and_then(|i| self.0.get(i)).cloned()
    }

    /// Forgets what begins at or before `base`.
    fn forget(&mut self, base: i64) {
        while self.0.front().is_some_and(|recent| recent.base <= base) {
            self.0.pop_front();
        }
    }
}

/// Which batches are in the tails, oldest first.
#[derive(Debug, Default)]
pub(crate) struct TailBudget {
    held: VecDeque<(Arc<Topic>, i32, i64, usize)>,
    bytes: usize,
}

impl TailBudget {
    /// A batch was pushed; the oldest ones go while there are too many.
    pub(crate) fn add(&mut self, topic: &Arc<Topic>, partition: i32, base: i64, bytes: usize) {
        self.held
            .push_back((Arc::clone(topic), partition, base, bytes));
        self.bytes += bytes;
        while self.bytes > TAIL_BYTES_MAX {
            let Some((topic, partition, base, bytes)) = self.held.pop_front() else {
                return;
            };
            self.bytes -= bytes;
            if let Ok(mut partition) = topic.partition(partition) {
                partition.tail.forget(base);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_that_holds_an_offset_is_found() {
        let mut tail = Tail::default();
        for base in [10, 15, 30] {
            tail.push(Recent {
                base,
                batch: Bytes::new(),
            });
        }
        let base = |tail: &Tail, offset| tail.get(offset).map(|recent| recent.base);
        assert_eq!(base(&tail, 9), None, "it is on the disk only");
        assert_eq!(base(&tail, 10), Some(10));
        assert_eq!(base(&tail, 14), Some(10));
        assert_eq!(base(&tail, 99), Some(30));
        tail.forget(15);
        assert_eq!(base(&tail, 20), None);
        assert_eq!(base(&tail, 30), Some(30));
    }
}
