//! Writes a batch.

use crate::layout::{
    FLAG_COORDINATES, FLAG_GAPS, FLAG_HEADERS, HEADER_BYTES, Limits, MAGIC, NULL_BIT, RUN_BYTES,
    VERSION,
};
use crate::record::{Record, SchemaIds};

/// A record that was not taken. Nothing of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Finish this batch, and push the record to the next one.
    #[error("the batch is full")]
    BatchIsFull,
    /// The record fits into no batch.
    #[error("the record takes {bytes} bytes, a batch holds at most {max}")]
    TooLarge {
        /// Bytes of a batch of this record alone.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Offsets rise, and a batch spans at most 2³²-1 of them.
    #[error("offset {offset} can't follow in this batch")]
    Offset {
        /// The record's offset.
        offset: i64,
    },
}

/// Packs records into batches, reusing its buffers.
#[derive(Debug)]
pub struct BatchWriter {
    limits: Limits,
    runs: Vec<(u32, SchemaIds)>,
    timestamps: Vec<u8>,
    key_ends: Vec<u8>,
    value_ends: Vec<u8>,
    first_offset: Option<i64>,
    deltas: Vec<u32>,
    header_ends: Vec<u8>,
    headers: Vec<u8>,
    arena: Vec<u8>,
    count: u32,
}

impl Default for BatchWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchWriter {
    /// A writer within the default limits.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// A writer within `limits`.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            // Ends are 31 bits wide.
            limits: Limits {
                bytes_max: limits.bytes_max.min(NULL_BIT as usize - 1),
                ..limits
            },
            runs: Vec::new(),
            timestamps: Vec::new(),
            key_ends: Vec::new(),
            value_ends: Vec::new(),
            first_offset: None,
            deltas: Vec::new(),
            header_ends: Vec::new(),
            headers: Vec::new(),
            arena: Vec::new(),
            count: 0,
        }
    }

    /// Records so far.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch if it were finished now.
    pub fn encoded_len(&self) -> usize {
        let count = self.count as usize;
        let header_section = if self.headers.is_empty() {
            0
        } else {
            self.header_ends.len() + self.headers.len()
        };
        let deltas = if self.has_gaps() { count * 4 } else { 0 };
        HEADER_BYTES
            + self.runs.len() * RUN_BYTES
            + count * 16
            + deltas
            + header_section
            + self.arena.len()
    }

    /// Adds a record without coordinates.
    ///
    /// # Errors
    /// [`Full`]: nothing was written.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), Full> {
        if self.first_offset.is_some() {
            return Err(Full::BatchIsFull);
        }
        self.make_room(record)?;
        self.write(record);
        Ok(())
    }

    /// Adds a record that lies at `offset` of its partition. All records of a batch have
    /// coordinates, or none: one of the other kind begins the next batch.
    ///
    /// # Errors
    /// [`Full`]: nothing was written.
    pub fn push_at(&mut self, offset: i64, record: &Record<'_>) -> Result<(), Full> {
        if self.first_offset.is_none() && self.count > 0 {
            return Err(Full::BatchIsFull);
        }
        let delta = match (self.first_offset, self.deltas.last()) {
            (Some(first), Some(&last)) => offset
                .checked_sub(first)
                .and_then(|delta| u32::try_from(delta).ok())
                .filter(|delta| *delta > last)
                .ok_or(Full::Offset { offset })?,
            (None, _) | (_, None) => 0,
        };
        self.make_room(record)?;
        self.write(record);
        self.first_offset.get_or_insert(offset);
        self.deltas.push(delta);
        Ok(())
    }

    /// The packed batch; the writer is empty again.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        let gaps = self.has_gaps();
        let with_headers = !self.headers.is_empty();
        let mut flags = 0;
        if with_headers {
            flags |= FLAG_HEADERS;
        }
        if self.first_offset.is_some() {
            flags |= FLAG_COORDINATES;
        }
        if gaps {
            flags |= FLAG_GAPS;
        }
        let headers_len = if with_headers {
            self.header_ends.len() + self.headers.len()
        } else {
            0
        };
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        // All lengths were kept within limits.bytes_max, below 2³¹, when records were pushed.
        for n in [
            self.count,
            self.runs.len() as u32,
            self.arena.len() as u32,
            headers_len as u32,
        ] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out.extend_from_slice(&self.first_offset.unwrap_or(0).to_le_bytes());
        for (records, ids) in &self.runs {
            for n in [*records, ids.value, ids.key] {
                out.extend_from_slice(&n.to_le_bytes());
            }
        }
        out.extend_from_slice(&self.timestamps);
        out.extend_from_slice(&self.key_ends);
        out.extend_from_slice(&self.value_ends);
        if gaps {
            for delta in &self.deltas {
                out.extend_from_slice(&delta.to_le_bytes());
            }
        }
        if with_headers {
            out.extend_from_slice(&self.header_ends);
            out.extend_from_slice(&self.headers);
        }
        out.extend_from_slice(&self.arena);
        self.clear();
        out
    }

    fn clear(&mut self) {
        self.runs.clear();
        self.timestamps.clear();
        self.key_ends.clear();
        self.value_ends.clear();
        self.first_offset = None;
        self.deltas.clear();
        self.header_ends.clear();
        self.headers.clear();
        self.arena.clear();
        self.count = 0;
    }

    fn has_gaps(&self) -> bool {
        self.deltas
            .last()
            .is_some_and(|last| last + 1 != self.count)
    }

    /// Checks that the batch with the record stays within its limits.
    fn make_room(&self, record: &Record<'_>) -> Result<(), Full> {
        let max = self.limits.bytes_max;
        let header_bytes = record.headers.packed_len().ok_or(Full::TooLarge {
            bytes: usize::MAX,
            max,
        })?;
        let body = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        // What a record costs at most: its columns, a run, an offset, its end among the headers.
        let cost = 16 + RUN_BYTES + 4 + 4 + header_bytes + body;
        let alone = HEADER_BYTES + cost;
        if alone > max {
            return Err(Full::TooLarge { bytes: alone, max });
        }
        // The columns that a first header or a first gap adds for all records are counted as if there.
        let columns = self.count as usize * 8;
        if self.count >= self.limits.records_max || self.encoded_len() + columns + cost > max {
            return Err(Full::BatchIsFull);
        }
        Ok(())
    }

    fn write(&mut self, record: &Record<'_>) {
        match self.runs.last_mut() {
            Some((records, ids)) if *ids == record.schemas => *records += 1,
            Some(_) | None => self.runs.push((1, record.schemas)),
        }
        self.timestamps
            .extend_from_slice(&record.timestamp_ms.to_le_bytes());
        for (part, ends) in [
            (record.key, &mut self.key_ends),
            (record.value, &mut self.value_ends),
        ] {
            self.arena.extend_from_slice(part.unwrap_or_default());
            let null = if part.is_none() { NULL_BIT } else { 0 };
            ends.extend_from_slice(&(self.arena.len() as u32 | null).to_le_bytes());
        }
        record.headers.pack(&mut self.headers);
        self.header_ends
            .extend_from_slice(&(self.headers.len() as u32).to_le_bytes());
        self.count += 1;
    }
}
