//! An append, checked and laid out by whoever asks for it, so that the committer only writes.

use crate::engine::HEAD_BYTES;
use crate::keys;
use crate::topics::{Topic, Topics};
use bytes::Bytes;
use jackfield_batch::{Batch, Limits};
use jackfield_log::{Append, Identity, InboxMark, LogError, Position};
use std::sync::Arc;

/// A small value to write under a key; `None` removes it.
pub(crate) type Put = (Vec<u8>, Option<Bytes>);

/// An append that can be written.
pub(crate) struct Prepared {
    pub(crate) outputs: Vec<PreparedOutput>,
    pub(crate) puts: Vec<Put>,
    /// Of everything in it.
    pub(crate) bytes: usize,
}

/// A batch whose head and coordinates are still to be filled in.
pub(crate) struct PreparedOutput {
    pub(crate) topic: Arc<Topic>,
    pub(crate) partition: i32,
    pub(crate) records: i64,
    /// Room for the head, then the batch.
    pub(crate) value: Vec<u8>,
}

/// Checks everything that can be wrong about an append.
pub(crate) fn prepare(
    topics: &Topics,
    identity: &Identity,
    append: Append,
) -> Result<Prepared, LogError> {
    let mut bytes = 0;
    let mut outputs = Vec::with_capacity(append.outputs.len());
    for output in append.outputs {
        let topic = topics.existing(&output.topic)?;
        drop(topic.partition(output.partition)?);
        let batch = Batch::parse(&output.batch, &Limits::default()).map_err(|e| {
            LogError::Rejected(format!("a batch for {} is malformed: {e}", output.topic))
        })?;
        if batch.is_empty() {
            return Err(LogError::Rejected(format!(
                "a batch for {} holds no record",
                output.topic
            )));
        }
        if batch.first_offset().is_some() {
            return Err(LogError::Rejected(format!(
                "a batch for {} has coordinates of its own: the log gives them",
                output.topic
            )));
        }
        let records = i64::from(batch.len());
        let mut value = vec![0; HEAD_BYTES + output.batch.len()];
        value[HEAD_BYTES..].copy_from_slice(&output.batch);
        bytes += value.len();
        outputs.push(PreparedOutput {
            topic,
            partition: output.partition,
            records,
            value,
        });
    }
    let mut puts = positions(&identity.connector, append.positions)?;
    if let Some(mark) = append.mark {
        let key = keys::mark(&identity.connector, &identity.slot)?;
        puts.push((key, Some(mark_bytes(mark))));
    }
    bytes += puts
        .iter()
        .map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len))
        .sum::<usize>();
    Ok(Prepared {
        outputs,
        puts,
        bytes,
    })
}

/// Positions as writes.
pub(crate) fn positions(connector: &str, positions: Vec<Position>) -> Result<Vec<Put>, LogError> {
    positions
        .into_iter()
        .map(|p| {
            Ok((
                keys::position(connector, &p.partition)?,
                p.offset.map(Bytes::from),
            ))
        })
        .collect()
}

fn mark_bytes(mark: InboxMark) -> Bytes {
    let mut bytes = mark.epoch.as_bytes().to_vec();
    bytes.extend_from_slice(&mark.done_through.to_le_bytes());
    bytes.into()
}

/// A mark as it is kept; `None` when the bytes are none.
pub(crate) fn read_mark(bytes: &[u8]) -> Option<InboxMark> {
    let (epoch, done_through) = bytes.split_first_chunk::<16>()?;
    Some(InboxMark {
        epoch: uuid::Uuid::from_bytes(*epoch),
        done_through: u64::from_le_bytes(done_through.try_into().ok()?),
    })
}
