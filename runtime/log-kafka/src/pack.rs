//! Messages of one partition, packed into batches.

use crate::config::Format;
use crate::encoding;
use crate::native::{BadHeaders, Message};
use jackfield_batch::{BatchWriter, Full, Headers, Record, SchemaIds};

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It is in the batch.
    Taken,
    /// It belongs into the next batch.
    Full,
}

/// Why a message can't be given to a sink.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it takes {bytes} bytes, where a batch has {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error(transparent)]
    Headers(#[from] BadHeaders),
    #[error("its offset is none: {0}")]
    Offset(i64),
}

/// Adds a message to a batch.
pub(crate) fn push(
    batch: &mut BatchWriter,
    message: &Message,
    format: Format,
) -> Result<Pushed, Unreadable> {
    let (value, value_id) = encoding::decoded(format.value, message.value());
    let (key, key_id) = encoding::decoded(format.key, message.key());
    let headers = message.headers()?;
    let record = Record {
        // One without a time was written by a client older than times.
        timestamp_ms: message.timestamp_ms().unwrap_or(0),
        key,
        value,
        schemas: SchemaIds {
            value: value_id,
            key: key_id,
        },
        headers: Headers::of(&headers),
    };
    match batch.push_at(message.offset(), &record) {
        Ok(()) => Ok(Pushed::Taken),
        Err(Full::BatchIsFull) => Ok(Pushed::Full),
        Err(Full::TooLarge { bytes, bytes_max }) => Err(Unreadable::TooLarge { bytes, bytes_max }),
        Err(Full::NotAnOffset { offset }) => Err(Unreadable::Offset(offset)),
    }
}
