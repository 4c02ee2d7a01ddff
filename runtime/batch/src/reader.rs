//! Looks at a batch in place.

use crate::headers::{self, Headers};
use crate::layout::{
    Cursor, FLAG_COORDINATES, FLAG_GAPS, FLAG_HEADERS, HEADER_END_BYTES, Header, I64, NULL,
    RUN_BYTES, U32, i64_at, u32_at,
};
use crate::{Limits, Malformed, Record, SchemaIds};
use std::fmt;

/// A sound batch, borrowed. Everything was checked by [`parse`](Self::parse), so that nothing here
/// can fail.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    bytes: &'a [u8],
    runs: &'a [[u8; RUN_BYTES]],
    timestamps: &'a [I64],
    key_ends: &'a [U32],
    value_ends: &'a [U32],
    /// Empty when the offsets have no gaps.
    deltas: &'a [U32],
    /// Empty when no record has headers.
    header_ends: &'a [U32],
    headers: &'a [u8],
    arena: &'a [u8],
    first_offset: Option<i64>,
}

/// A stretch of records with the same schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How many.
    pub records: u32,
    /// Their schemas.
    pub schemas: SchemaIds,
}

impl<'a> Batch<'a> {
    /// Checks the bytes as a whole.
    ///
    /// # Errors
    /// They are not a batch, or one beyond the limits.
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, Malformed> {
        let (header, rest) = Header::read(bytes)?;
        let batch = sections(bytes, rest, &header, limits)?;
        check_runs(&batch)?;
        check_ends(&batch)?;
        check_offsets(&batch)?;
        check_headers(&batch)?;
        Ok(batch)
    }

    /// How many records.
    pub fn len(&self) -> u32 {
        // `parse` read the count as a u32.
        self.timestamps.len() as u32
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Record `i`. To read all of them [`iter`](Self::iter) is cheaper.
    ///
    /// # Panics
    /// Like a slice, when there is no such record.
    pub fn record(&self, i: u32) -> Record<'a> {
        let mut left = i;
        let run = self.runs().find(|run| {
            let found = left < run.records;
            left = left.saturating_sub(run.records);
            found
        });
        self.record_with(
            i as usize,
            run.map_or(SchemaIds::default(), |run| run.schemas),
        )
    }

    /// The records in order.
    pub fn iter(&self) -> Records<'a> {
        Records {
            batch: *self,
            next: 0,
            runs: self.runs,
            left: 0,
            schemas: SchemaIds::default(),
        }
    }

    /// The offset of the first record in its log, where the batch says it.
    pub fn first_offset(&self) -> Option<i64> {
        self.first_offset
    }

    /// The offset of record `i` in its log, where the batch says it and has such a record.
    pub fn offset(&self, i: u32) -> Option<i64> {
        let first = self.first_offset?;
        if i >= self.len() {
            return None;
        }
        let delta = if self.deltas.is_empty() {
            i
        } else {
            u32_at(self.deltas, i as usize)
        };
        Some(first + i64::from(delta))
    }

    /// The stretches of records with the same schemas, in order.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = Run> + use<'a> {
        self.runs.iter().map(run)
    }

    /// The whole batch.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    fn record_with(&self, i: usize, schemas: SchemaIds) -> Record<'a> {
        let start = if i == 0 {
            0
        } else {
            u32_at(self.value_ends, i - 1) & !NULL
        };
        let key_end = u32_at(self.key_ends, i);
        let value_end = u32_at(self.value_ends, i);
        Record {
            timestamp_ms: i64_at(self.timestamps, i),
            key: self.piece(start, key_end),
            value: self.piece(key_end & !NULL, value_end),
            schemas,
            headers: self.headers_of(i),
        }
    }

    #[inline]
    fn piece(&self, start: u32, end: u32) -> Option<&'a [u8]> {
        (end & NULL == 0).then(|| &self.arena[start as usize..end as usize])
    }

    fn headers_of(&self, i: usize) -> Headers<'a> {
        if self.header_ends.is_empty() {
            return Headers::default();
        }
        let start = if i == 0 {
            0
        } else {
            u32_at(self.header_ends, i - 1)
        };
        Headers::packed(&self.headers[start as usize..u32_at(self.header_ends, i) as usize])
    }
}

fn run(bytes: &[u8; RUN_BYTES]) -> Run {
    let fields = bytes.as_chunks().0;
    let schemas = SchemaIds {
        value: u32_at(fields, 1),
        key: u32_at(fields, 2),
    };
    Run {
        records: u32_at(fields, 0),
        schemas,
    }
}

fn sections<'a>(
    bytes: &'a [u8],
    rest: &'a [u8],
    header: &Header,
    limits: &Limits,
) -> Result<Batch<'a>, Malformed> {
    if header.count > limits.records_max {
        return Err(Malformed::TooMany {
            records: header.count,
            records_max: limits.records_max,
        });
    }
    let declared = header.total();
    if declared != bytes.len() as u64 {
        return Err(Malformed::Length {
            declared,
            actual: bytes.len(),
        });
    }
    // The sections are parts of `declared`, which is now known to be a length in memory.
    let counted = bytes.len() - header.gaps_len() as usize;
    if counted > limits.bytes_max {
        return Err(Malformed::TooLarge {
            bytes: counted,
            bytes_max: limits.bytes_max,
        });
    }
    let mut at = Cursor(rest);
    // All sections fit into the length, so only the ends inside the headers' own can be missing.
    take_sections(&mut at, bytes, header).ok_or(Malformed::Headers { record: 0 })
}

fn take_sections<'a>(at: &mut Cursor<'a>, bytes: &'a [u8], header: &Header) -> Option<Batch<'a>> {
    let count = header.count as usize;
    let runs = at.column(header.runs as usize)?;
    let timestamps = at.column(count)?;
    let key_ends = at.column(count)?;
    let value_ends = at.column(count)?;
    let deltas = at.column(if header.has(FLAG_GAPS) { count } else { 0 })?;
    let mut section = Cursor(at.take(header.headers_len as usize)?);
    let header_ends = if header.has(FLAG_HEADERS) {
        section.column::<HEADER_END_BYTES>(count)?
    } else {
        &[]
    };
    Some(Batch {
        bytes,
        runs,
        timestamps,
        key_ends,
        value_ends,
        deltas,
        header_ends,
        headers: section.0,
        arena: at.0,
        first_offset: header.has(FLAG_COORDINATES).then_some(header.first_offset),
    })
}

fn check_runs(batch: &Batch<'_>) -> Result<(), Malformed> {
    let covered: u64 = batch.runs().map(|run| u64::from(run.records)).sum();
    if covered != u64::from(batch.len()) || batch.runs().any(|run| run.records == 0) {
        return Err(Malformed::Runs {
            covered,
            records: batch.len(),
        });
    }
    Ok(())
}

fn check_ends(batch: &Batch<'_>) -> Result<(), Malformed> {
    // A body length of 2 GiB or more can't be told from a null: no end reaches it.
    let to = u32::try_from(batch.arena.len())
        .unwrap_or(u32::MAX)
        .min(NULL - 1);
    let mut from = 0;
    let ends = batch.key_ends.iter().zip(batch.value_ends);
    for (record, (key_end, value_end)) in (0u32..).zip(ends) {
        for end in [key_end, value_end] {
            let end = u32::from_le_bytes(*end);
            let (null, end) = (end & NULL != 0, end & !NULL);
            if end < from || end > to {
                return Err(Malformed::End {
                    record,
                    end,
                    from,
                    to,
                });
            }
            if null && end != from {
                return Err(Malformed::NullWithBytes { record });
            }
            from = end;
        }
    }
    let unclaimed = batch.arena.len() - from as usize;
    if unclaimed != 0 {
        return Err(Malformed::Unclaimed {
            bytes: u32::try_from(unclaimed).unwrap_or(u32::MAX),
        });
    }
    Ok(())
}

fn check_offsets(batch: &Batch<'_>) -> Result<(), Malformed> {
    let Some(first) = batch.first_offset else {
        return Ok(());
    };
    let mut last = None;
    for (record, delta) in (0u32..).zip(batch.deltas) {
        let delta = u32::from_le_bytes(*delta);
        let rises = last.map_or(delta == 0, |last| delta > last);
        if !rises {
            return Err(Malformed::Offset { record });
        }
        last = Some(delta);
    }
    let span = last.map_or(i64::from(batch.len()), |last| i64::from(last) + 1);
    // The position after the last record must be an offset too.
    if first < 0 || first.checked_add(span).is_none() {
        return Err(Malformed::Offset { record: 0 });
    }
    Ok(())
}

fn check_headers(batch: &Batch<'_>) -> Result<(), Malformed> {
    let mut from = 0;
    for (record, end) in (0u32..).zip(batch.header_ends) {
        let end = u32::from_le_bytes(*end) as usize;
        let own = batch
            .headers
            .get(from..end)
            .ok_or(Malformed::Headers { record })?;
        if !headers::sound(own) {
            return Err(Malformed::Headers { record });
        }
        from = end;
    }
    if from != batch.headers.len() {
        return Err(Malformed::Headers {
            record: batch.len().saturating_sub(1),
        });
    }
    Ok(())
}

impl<'a> IntoIterator for &Batch<'a> {
    type Item = Record<'a>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("records", &self.len())
            .field("bytes", &self.bytes.len())
            .field("first_offset", &self.first_offset)
            .finish_non_exhaustive()
    }
}

/// The records of a batch, in order.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    batch: Batch<'a>,
    next: usize,
    /// The runs after the one that is being read, of which `left` records with `schemas` remain.
    runs: &'a [[u8; RUN_BYTES]],
    left: u32,
    schemas: SchemaIds,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        if self.next == self.batch.timestamps.len() {
            return None;
        }
        if self.left == 0
            && let Some((first, rest)) = self.runs.split_first()
        {
            let Run { records, schemas } = run(first);
            (self.left, self.schemas, self.runs) = (records, schemas, rest);
        }
        let record = self.batch.record_with(self.next, self.schemas);
        self.next += 1;
        self.left -= 1;
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.timestamps.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Records<'_> {}
