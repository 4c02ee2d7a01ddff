//! Appends that are numbered from 1 on, so that what landed tells which of them did.

use super::records::{output, position};
use crate::{Append, Appended, InboxMark, LogError, TopicInfo};
use uuid::Uuid;

/// An append that says its number in a record of each partition, in position `p` and in the mark.
pub(crate) fn numbered(topic: &TopicInfo, n: u64) -> Append {
    let outputs = (0..topic.partitions).map(|partition| output(topic, partition, &[n.to_string()]));
    Append {
        outputs: outputs.collect(),
        positions: vec![position("p", n)],
        mark: Some(mark(n)),
    }
}

pub(crate) fn mark(n: u64) -> InboxMark {
    InboxMark {
        epoch: Uuid::from_u128(7),
        done_through: n,
    }
}

/// That appends 1 to `landed` and no others can have landed, by what was said of them.
pub(crate) fn check_outcomes(outcomes: &[Result<Appended, LogError>], landed: u64) {
    let mut failed = false;
    for (n, outcome) in (1..).zip(outcomes) {
        match outcome {
            Ok(_) => {
                assert!(!failed, "append {n} succeeds after one that failed");
                assert!(n <= landed, "append {n} is acknowledged, {landed} landed");
            }
            Err(LogError::Unknown(_)) => {}
            // Only the first to fail may say so.
            Err(LogError::Retriable(_)) if !failed => {
                assert!(n > landed, "append {n} was not taken, {landed} landed");
            }
            Err(LogError::Fenced(_)) => {
                assert!(n > landed, "append {n} is fenced, {landed} landed");
            }
            Err(error) => panic!("append {n}: {error:?}"),
        }
        failed = outcome.is_err();
    }
}
