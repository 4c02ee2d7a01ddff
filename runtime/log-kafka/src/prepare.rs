//! An append, checked by whoever asks for it, so that what is refused disturbs none in flight.

use crate::encoding;
use crate::positions::{self, Put};
use crate::shared::Shared;
use crate::topics;
use jackfield_batch::{Batch, Limits};
use jackfield_log::{Append, Identity, LogError, Output};
use std::sync::Arc;

/// What an append costs beside its bytes: with it the bound of bytes in flight also bounds the
/// number of appends.
pub(crate) const APPEND_COST_BYTES: usize = 16 * 1024;

/// An append that can be written.
pub(crate) struct Prepared {
    pub(crate) outputs: Vec<Output>,
    pub(crate) puts: Vec<Put>,
    pub(crate) records: usize,
    /// What it counts for among the bytes in flight.
    pub(crate) cost: usize,
}

/// Checks everything that can be wrong about an append.
pub(crate) async fn prepare(
    shared: &Arc<Shared>,
    identity: &Identity,
    append: Append,
) -> Result<Prepared, LogError> {
    let mut cost = APPEND_COST_BYTES;
    let mut records = 0;
    for output in &append.outputs {
        records += check(shared, output)?;
        cost += output.batch.len();
    }
    let mut puts = Vec::with_capacity(append.positions.len() + 1);
    for position in &append.positions {
        puts.push(positions::put(&identity.connector, position)?);
    }
    if let Some(mark) = append.mark {
        puts.push(positions::put_mark(
            &identity.connector,
            &identity.slot,
            mark,
        ));
    }
    for (key, value) in &puts {
        cost += key.len() + value.as_ref().map_or(0, String::len);
    }
    records += puts.len();
    for output in &append.outputs {
        topics::existing(shared, &output.topic, output.partition).await?;
    }
    Ok(Prepared {
        outputs: append.outputs,
        puts,
        records,
        cost,
    })
}

/// Checks a batch, and gives how many records it has.
fn check(shared: &Shared, output: &Output) -> Result<usize, LogError> {
    let topic = &output.topic;
    let rejected = |why: String| Err(LogError::Rejected(format!("a batch for {topic} {why}")));
    let batch = match Batch::parse(&output.batch, &Limits::default()) {
        Ok(batch) => batch,
        Err(e) => return rejected(format!("is malformed: {e}")),
    };
    if batch.is_empty() {
        return rejected("holds no record".into());
    }
    if batch.first_offset().is_some() {
        return rejected("has coordinates of its own: the log gives them".into());
    }
    let format = shared.config.format_of(topic);
    for (i, record) in batch.iter().enumerate() {
        let value = encoding::check(format.value, record.value, record.schemas.value);
        let key = encoding::check(format.key, record.key, record.schemas.key);
        if let Err(e) = value {
            return rejected(format!("has a record, number {i}, whose value {e}"));
        }
        if let Err(e) = key {
            return rejected(format!("has a record, number {i}, whose key {e}"));
        }
    }
    Ok(usize::try_from(batch.len()).unwrap_or(usize::MAX))
}
