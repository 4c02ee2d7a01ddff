//! Packs records into a batch.

use crate::layout::{
    FLAG_COORDINATES, FLAG_GAPS, FLAG_HEADERS, GAP_BYTES, HEADER_BYTES, HEADER_END_BYTES, Header,
    NULL, RECORD_BYTES, RUN_BYTES,
};
use crate::{Limits, Record, SchemaIds};

/// The record was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Finish this batch and push again: the record, or its place in the log, starts a new one.
    #[error("the batch has no room for this record")]
    BatchIsFull,
    /// No batch can ever hold it.
    #[error("the record makes a batch of {bytes} bytes, where {bytes_max} are allowed")]
    TooLarge {
        /// Bytes of a batch that held nothing else.
        bytes: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// No record of a log has such an offset.
    #[error("{offset} is not an offset of a log")]
    NotAnOffset {
        /// The offset given.
        offset: i64,
    },
}

/// Packs records, one by one, into a batch that never passes its limits.
#[derive(Debug, Default)]
pub struct BatchWriter {
    limits: Limits,
    /// Records and ids of each stretch of records with the same schemas.
    runs: Vec<(u32, SchemaIds)>,
    timestamps: Vec<u8>,
    key_ends: Vec<u8>,
    value_ends: Vec<u8>,
    header_ends: Vec<u8>,
    headers: Vec<u8>,
    arena: Vec<u8>,
    place: Place,
    count: u32,
}

/// Where the records of a batch lie in a log.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Nowhere,
    /// From `first` on; `deltas` holds one u32 a record, `last` is the last of them.
    Log {
        first: i64,
        last: u32,
        deltas: Vec<u8>,
    },
}

impl BatchWriter {
    /// A writer with the default limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer with limits of its own.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Writes a record.
    ///
    /// # Errors
    /// See [`Full`]; nothing of the record was written.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), Full> {
        if self.count > 0 && matches!(self.place, Place::Log { .. }) {
            return Err(Full::BatchIsFull);
        }
        self.room_for(record)?;
        self.place = Place::Nowhere;
        self.write(record);
        Ok(())
    }

    /// Writes a record that lies at `offset` in a log. Offsets rise; an offset that does not fit
    /// into this batch starts a new one ([`Full::BatchIsFull`]).
    ///
    /// # Errors
    /// See [`Full`]; nothing of the record was written.
    pub fn push_at(&mut self, offset: i64, record: &Record<'_>) -> Result<(), Full> {
        // The position after the last record must be an offset too.
        if !(0..i64::MAX).contains(&offset) {
            return Err(Full::NotAnOffset { offset });
        }
        let delta = match &self.place {
            _ if self.count == 0 => 0,
            Place::Nowhere => return Err(Full::BatchIsFull),
            Place::Log { first, last, .. } => match u32::try_from(offset - first) {
                Ok(delta) if delta > *last => delta,
                _ => return Err(Full::BatchIsFull),
            },
        };
        self.room_for(record)?;
        if self.count == 0 {
            self.place = Place::Log {
                first: offset,
                last: 0,
                deltas: Vec::new(),
            };
        }
        if let Place::Log { last, deltas, .. } = &mut self.place {
            *last = delta;
            deltas.extend_from_slice(&delta.to_le_bytes());
        }
        self.write(record);
        Ok(())
    }

    /// Records written.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that [`finish`](Self::finish) would give now.
    pub fn encoded_len(&self) -> usize {
        let gaps = if self.has_gaps() {
            self.count as usize * GAP_BYTES
        } else {
            0
        };
        let headers = if self.headers.is_empty() {
            0
        } else {
            self.header_ends.len() + self.headers.len()
        };
        fixed_len(self.runs.len(), self.count) + gaps + headers + self.arena.len()
    }

    /// The batch. The writer is empty afterwards and keeps its buffers for the next one.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.header().write(&mut out);
        for (records, schemas) in &self.runs {
            for field in [*records, schemas.value, schemas.key] {
                out.extend_from_slice(&field.to_le_bytes());
            }
        }
        out.extend_from_slice(&self.timestamps);
        out.extend_from_slice(&self.key_ends);
        out.extend_from_slice(&self.value_ends);
        if let Place::Log { deltas, .. } = &self.place
            && self.has_gaps()
        {
            out.extend_from_slice(deltas);
        }
        if !self.headers.is_empty() {
            out.extend_from_slice(&self.header_ends);
            out.extend_from_slice(&self.headers);
        }
        out.extend_from_slice(&self.arena);
        self.clear();
        out
    }

    fn header(&self) -> Header {
        let mut flags = 0;
        let mut headers_len = 0;
        if !self.headers.is_empty() {
            flags |= FLAG_HEADERS;
            headers_len = self.header_ends.len() + self.headers.len();
        }
        let mut first_offset = 0;
        if let Place::Log { first, .. } = &self.place {
            flags |= FLAG_COORDINATES;
            first_offset = *first;
        }
        if self.has_gaps() {
            flags |= FLAG_GAPS;
        }
        Header {
            flags,
            count: self.count,
            runs: length(self.runs.len()),
            body_len: length(self.arena.len()),
            headers_len: length(headers_len),
            first_offset,
        }
    }

    fn has_gaps(&self) -> bool {
        // Deltas rise strictly from 0, so the last one tells. A place in a log has a record.
        matches!(&self.place, Place::Log { last, .. } if *last != self.count - 1)
    }

    fn clear(&mut self) {
        self.runs.clear();
        self.timestamps.clear();
        self.key_ends.clear();
        self.value_ends.clear();
        self.header_ends.clear();
        self.headers.clear();
        self.arena.clear();
        self.place = Place::Nowhere;
        self.count = 0;
    }

    fn room_for(&self, record: &Record<'_>) -> Result<(), Full> {
        let own = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        let headers = record.headers.packed_len();
        let bytes_max = self.limits.bytes_max.min(NULL as usize - 1);
        let bytes = |runs, count, arena: usize, headers: usize| {
            let ends = if headers == 0 {
                0
            } else {
                count as usize * HEADER_END_BYTES
            };
            fixed_len(runs, count) + ends + headers + arena
        };
        let runs = self.runs.len()
            + usize::from(self.runs.last().is_none_or(|last| last.1 != record.schemas));
        let together = bytes(
            runs,
            self.count + 1,
            self.arena.len() + own,
            self.headers.len() + headers,
        );
        if self.count < self.limits.records_max && together <= bytes_max {
            return Ok(());
        }
        let alone = bytes(1, 1, own, headers);
        if self.count == 0 || alone > bytes_max {
            return Err(Full::TooLarge {
                bytes: alone,
                bytes_max,
            });
        }
        Err(Full::BatchIsFull)
    }

    fn write(&mut self, record: &Record<'_>) {
        match self.runs.last_mut() {
            Some((records, schemas)) if *schemas == record.schemas => *records += 1,
            _ => self.runs.push((1, record.schemas)),
        }
        self.timestamps
            .extend_from_slice(&record.timestamp_ms.to_le_bytes());
        let key_end = append(&mut self.arena, record.key);
        self.key_ends.extend_from_slice(&key_end.to_le_bytes());
        let value_end = append(&mut self.arena, record.value);
        self.value_ends.extend_from_slice(&value_end.to_le_bytes());
        record.headers.write(&mut self.headers);
        self.header_ends
            .extend_from_slice(&length(self.headers.len()).to_le_bytes());
        self.count += 1;
    }
}

fn fixed_len(runs: usize, count: u32) -> usize {
    HEADER_BYTES + runs * RUN_BYTES + count as usize * RECORD_BYTES
}

#[inline]
fn append(arena: &mut Vec<u8>, bytes: Option<&[u8]>) -> u32 {
    let null = match bytes {
        Some(bytes) => {
            arena.extend_from_slice(bytes);
            0
        }
        None => NULL,
    };
    length(arena.len()) | null
}

#[inline]
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("room_for keeps a batch below 2 GiB")
}
