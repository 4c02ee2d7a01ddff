//! How far one sink task is in each of its partitions.

use std::collections::BTreeMap;

/// Offsets of one partition from `first` up to, not including, `next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span<P> {
    /// The partition.
    pub partition: P,
    /// The frontier before: what was stored, or the last span's end. Never merely the first
    /// record's offset.
    pub first: i64,
    /// The reader's position after: past skipped, dead-lettered and compacted offsets too.
    pub next: i64,
}

/// A batch does not begin where the task stands: reader and task disagree, and going on would
/// lose or double records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "read from offset {position}, but the task stands at {expected}: {next} would not be contiguous"
)]
pub struct NotContiguous {
    /// Where the reader says it stood.
    pub position: i64,
    /// Where the task stands.
    pub expected: i64,
    /// Where the reader stands after the batch.
    pub next: i64,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    /// End of the last staged span.
    staged: i64,
    /// End of the last span that was put.
    put: i64,
    /// The reader's position: past what was put, and past what will never be put.
    read: i64,
}

/// The frontiers of one sink task; `P` is a partition of a topic.
#[derive(Debug)]
pub struct SinkTask<P> {
    partitions: BTreeMap<P, Progress>,
}

impl<P: Ord + Clone> Default for SinkTask<P> {
    fn default() -> Self {
        Self {
            partitions: BTreeMap::new(),
        }
    }
}

impl<P: Ord + Clone> SinkTask<P> {
    /// A partition is this task's from `offset` on.
    pub fn assign(&mut self, partition: P, offset: i64) {
        self.partitions.insert(
            partition,
            Progress {
                staged: offset,
                put: offset,
                read: offset,
            },
        );
    }

    /// A partition is no longer this task's; what was not staged of it is given up.
    pub fn release(&mut self, partition: &P) {
        self.partitions.remove(partition);
    }

    /// Whether the partition is this task's.
    pub fn owns(&self, partition: &P) -> bool {
        self.partitions.contains_key(partition)
    }

    /// The task's partitions.
    pub fn partitions(&self) -> impl Iterator<Item = &P> {
        self.partitions.keys()
    }

    /// The span under which a batch read from `position` to `next` is put; `None` when the
    /// partition is not this task's any more.
    ///
    /// # Errors
    /// [`NotContiguous`] when the batch does not begin where the task stands.
    pub fn span(
        &self,
        partition: &P,
        position: i64,
        next: i64,
    ) -> Result<Option<Span<P>>, NotContiguous> {
        let Some(progress) = self.partitions.get(partition) else {
            return Ok(None);
        };
        if position != progress.read || next < position {
            return Err(NotContiguous {
                position,
                expected: progress.read,
                next,
            });
        }
        Ok(Some(Span {
            partition: partition.clone(),
            first: progress.put,
            next,
        }))
    }

    /// The span was put.
    pub fn put(&mut self, span: &Span<P>) {
        if let Some(progress) = self.partitions.get_mut(&span.partition) {
            progress.put = span.next;
            progress.read = span.next;
        }
    }

    /// Nothing was left of the span to put: it joins the next one.
    pub fn passed_over(&mut self, span: &Span<P>) {
        if let Some(progress) = self.partitions.get_mut(&span.partition) {
            progress.read = span.next;
        }
    }

    /// The component staged all that was put: the spans that its pieces cover, one for each
    /// partition, empty ones included.
    pub fn staged(&mut self) -> Vec<Span<P>> {
        self.partitions
            .iter_mut()
            .map(|(partition, progress)| {
                let span = Span {
                    partition: partition.clone(),
                    first: progress.staged,
                    next: progress.read,
                };
                *progress = Progress {
                    staged: progress.read,
                    put: progress.read,
                    read: progress.read,
                };
                span
            })
            .collect()
    }

    /// What was put and not staged is gone: where to read each partition again.
    pub fn rewind(&mut self) -> Vec<(P, i64)> {
        self.partitions
            .iter_mut()
            .map(|(partition, progress)| {
                progress.put = progress.staged;
                progress.read = progress.staged;
                (partition.clone(), progress.staged)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(first: i64, next: i64) -> Span<u8> {
        Span {
            partition: 0,
            first,
            next,
        }
    }

    #[test]
    fn spans_follow_each_other_over_skipped_offsets() {
        let mut task = SinkTask::default();
        task.assign(0u8, 10);
        let first = task.span(&0, 10, 15).unwrap().unwrap();
        task.passed_over(&first);
        let second = task.span(&0, 15, 20).unwrap().unwrap();
        assert_eq!(
            second,
            span(10, 20),
            "a span of which nothing was put joins the next"
        );
        task.put(&second);
        let third = task.span(&0, 20, 30).unwrap().unwrap();
        task.passed_over(&third);
        assert_eq!(
            task.staged(),
            vec![span(10, 30)],
            "what was passed over at the end is covered too"
        );
        assert_eq!(task.staged(), vec![span(30, 30)]);
    }

    #[test]
    fn a_hole_or_a_repetition_is_refused() {
        let mut task = SinkTask::default();
        task.assign(0u8, 10);
        assert!(task.span(&0, 11, 12).is_err());
        assert!(task.span(&0, 9, 12).is_err());
        assert_eq!(task.span(&1, 0, 1).unwrap(), None);
    }

    proptest! {
        /// Over any mix of puts, skips, stages and rewinds the staged spans of a partition are
        /// contiguous, and a rewind always leads back to the end of the last one.
        #[test]
        fn staged_spans_are_contiguous(start in 0i64..1000, ops in proptest::collection::vec((0u8..4, 1i64..50), 1..100)) {
            let mut task = SinkTask::default();
            task.assign(0u8, start);
            let (mut at, mut end) = (start, start);
            for (op, n) in ops {
                match op {
                    0 | 1 => {
                        let s = task.span(&0, at, at + n).unwrap().unwrap();
                        if op == 0 { task.put(&s) } else { task.passed_over(&s) }
                        at += n;
                    }
                    2 => {
                        for s in task.staged() {
                            prop_assert_eq!(s.first, end);
                            end = s.next;
                        }
                        prop_assert_eq!(end, at);
                    }
                    _ => {
                        at = task.rewind()[0].1;
                        prop_assert_eq!(at, end);
                    }
                }
            }
        }
    }
}
