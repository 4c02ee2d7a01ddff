//! Reads a batch in place.

use crate::headers::Headers;
use crate::layout::{
    AT_BODY, AT_COUNT, AT_FIRST_OFFSET, AT_FLAGS, AT_HEADERS, AT_RUNS, AT_VERSION,
    FLAG_COORDINATES, FLAG_GAPS, FLAG_HEADERS, FLAGS_KNOWN, HEADER_BYTES, Limits, MAGIC, NULL_BIT,
    RUN_BYTES, VERSION, i64_at, i64_of, u16_at, u32_at, u32_of,
};
use crate::malformed::Malformed;
use crate::record::{Record, SchemaIds};

/// Consecutive records of the same schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How many.
    pub records: u32,
    /// Their schemas.
    pub schemas: SchemaIds,
}

/// A batch, checked as a whole by [`Batch::parse`].
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    bytes: &'a [u8],
    count: u32,
    first_offset: Option<i64>,
    runs: &'a [u8],
    timestamps: &'a [u8],
    key_ends: &'a [u8],
    value_ends: &'a [u8],
    deltas: Option<&'a [u8]>,
    header_ends: &'a [u8],
    headers: &'a [u8],
    arena: &'a [u8],
}

/// Takes columns off the front.
struct Columns<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Columns<'a> {
    fn take(
        &mut self,
        count: usize,
        width: usize,
        what: &'static str,
    ) -> Result<&'a [u8], Malformed> {
        let truncated = Malformed::Truncated {
            what,
            bytes: self.total,
        };
        let bytes = count.checked_mul(width).ok_or(truncated.clone())?;
        let (column, rest) = self.rest.split_at_checked(bytes).ok_or(truncated)?;
        self.rest = rest;
        Ok(column)
    }
}

impl<'a> Batch<'a> {
    /// Checks `bytes`, all of them, and once: sizes, order and text.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong; nothing of the bytes should be used.
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, Malformed> {
        if bytes.len() > limits.bytes_max {
            return Err(Malformed::TooLarge {
                bytes: bytes.len(),
                max: limits.bytes_max,
            });
        }
        let header = Malformed::Truncated {
            what: "the header",
            bytes: bytes.len(),
        };
        if bytes.get(..4).ok_or(header.clone())? != MAGIC {
            return Err(Malformed::Magic);
        }
        let version = u16_at(bytes, AT_VERSION).ok_or(header.clone())?;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let flags = u16_at(bytes, AT_FLAGS).ok_or(header.clone())?;
        if flags & !FLAGS_KNOWN != 0 || (flags & FLAG_GAPS != 0 && flags & FLAG_COORDINATES == 0) {
            return Err(Malformed::Flags(flags));
        }
        let field = |at| u32_at(bytes, at).ok_or(header.clone());
        let (count, runs) = (field(AT_COUNT)?, field(AT_RUNS)?);
        let (body_len, headers_len) = (field(AT_BODY)? as usize, field(AT_HEADERS)? as usize);
        let first_offset = i64_at(bytes, AT_FIRST_OFFSET).ok_or(header)?;
        if count > limits.records_max {
            return Err(Malformed::TooManyRecords {
                count,
                max: limits.records_max,
            });
        }
        let n = count as usize;
        let mut columns = Columns {
            rest: &bytes[HEADER_BYTES..],
            total: bytes.len(),
        };
        let runs = columns.take(runs as usize, RUN_BYTES, "the runs")?;
        let timestamps = columns.take(n, 8, "the timestamps")?;
        let key_ends = columns.take(n, 4, "the key ends")?;
        let value_ends = columns.take(n, 4, "the value ends")?;
        let deltas = match flags & FLAG_GAPS {
            0 => None,
            _ => Some(columns.take(n, 4, "the offsets")?),
        };
        let (header_ends, headers) = match flags & FLAG_HEADERS {
            0 if headers_len == 0 => (&bytes[..0], &bytes[..0]),
            0 => return Err(Malformed::Inconsistent("headers without their flag")),
            _ => {
                let rest = headers_len
                    .checked_sub(n * 4)
                    .ok_or(Malformed::Inconsistent(
                        "the headers are shorter than their ends",
                    ))?;
                (
                    columns.take(n, 4, "the header ends")?,
                    columns.take(rest, 1, "the headers")?,
                )
            }
        };
        let arena = columns.take(body_len, 1, "the arena")?;
        if !columns.rest.is_empty() {
            return Err(Malformed::Trailing(columns.rest.len()));
        }
        let first_offset = (flags & FLAG_COORDINATES != 0).then_some(first_offset);
        let batch = Self {
            bytes,
            count,
            first_offset,
            runs,
            timestamps,
            key_ends,
            value_ends,
            deltas,
            header_ends,
            headers,
            arena,
        };
        batch.check_runs()?;
        batch.check_ends()?;
        batch.check_offsets()?;
        batch.check_headers()?;
        Ok(batch)
    }

    fn check_runs(&self) -> Result<(), Malformed> {
        let mut sum = 0u64;
        for run in self.runs() {
            if run.records == 0 {
                return Err(Malformed::Inconsistent("an empty run"));
            }
            sum += u64::from(run.records);
        }
        if sum != u64::from(self.count) {
            return Err(Malformed::Inconsistent(
                "the runs don't add up to the records",
            ));
        }
        Ok(())
    }

    fn check_ends(&self) -> Result<(), Malformed> {
        let mut last = 0;
        for i in 0..self.count as usize {
            for (ends, backwards, null) in [
                (
                    self.key_ends,
                    "a key ends before it begins",
                    "a null key has bytes",
                ),
                (
                    self.value_ends,
                    "a value ends before it begins",
                    "a null value has bytes",
                ),
            ] {
                let end = u32_of(ends, i);
                let at = end & !NULL_BIT;
                if at < last {
                    return Err(Malformed::Inconsistent(backwards));
                }
                if end & NULL_BIT != 0 && at != last {
                    return Err(Malformed::Inconsistent(null));
                }
                last = at;
            }
        }
        if last as usize != self.arena.len() {
            return Err(Malformed::Inconsistent("the records don't fill the arena"));
        }
        Ok(())
    }

    fn check_offsets(&self) -> Result<(), Malformed> {
        let Some(first) = self.first_offset else {
            return Ok(());
        };
        let mut last = i64::from(self.count) - 1;
        if let Some(deltas) = self.deltas {
            let mut before = None;
            for i in 0..self.count as usize {
                let delta = u32_of(deltas, i);
                if before.is_some_and(|before| delta <= before) || (i == 0 && delta != 0) {
                    return Err(Malformed::Inconsistent("offsets don't rise from the first"));
                }
                before = Some(delta);
            }
            last = i64::from(before.unwrap_or(0));
        }
        if first < 0 || first.checked_add(last.max(0) + 1).is_none() {
            return Err(Malformed::Inconsistent("an offset is out of range"));
        }
        Ok(())
    }

    fn check_headers(&self) -> Result<(), Malformed> {
        if self.header_ends.is_empty() {
            return if self.headers.is_empty() {
                Ok(())
            } else {
                Err(Malformed::Inconsistent("headers of no record"))
            };
        }
        let mut last = 0;
        for i in 0..self.count as usize {
            let end = u32_of(self.header_ends, i) as usize;
            let bytes = self
                .headers
                .get(last..end)
                .ok_or(Malformed::Inconsistent("headers end before they begin"))?;
            Headers::parse(bytes)?;
            last = end;
        }
        if last != self.headers.len() {
            return Err(Malformed::Inconsistent("headers after the last record's"));
        }
        Ok(())
    }

    /// The batch as it was given.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Records.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The offset of the first record, when the batch has coordinates.
    pub fn first_offset(&self) -> Option<i64> {
        self.first_offset
    }

    /// The offset of record `i`, when the batch has coordinates.
    ///
    /// # Panics
    /// When `i` is not below [`Batch::len`].
    pub fn offset(&self, i: u32) -> Option<i64> {
        assert!(i < self.count, "record {i} of {}", self.count);
        let delta = self.deltas.map_or(i, |deltas| u32_of(deltas, i as usize));
        self.first_offset.map(|first| first + i64::from(delta))
    }

    /// Runs of records of the same schemas, in order.
    pub fn runs(&self) -> impl Iterator<Item = Run> + use<'a> {
        self.runs.chunks_exact(RUN_BYTES).map(|run| Run {
            records: u32_of(run, 0),
            schemas: SchemaIds {
                value: u32_of(run, 1),
                key: u32_of(run, 2),
            },
        })
    }

    /// Record `i`. Going through all of them is quicker with [`Batch::iter`].
    ///
    /// # Panics
    /// When `i` is not below [`Batch::len`].
    pub fn record(&self, i: u32) -> Record<'a> {
        assert!(i < self.count, "record {i} of {}", self.count);
        let mut before = 0u32;
        let run = self.runs().find(|run| {
            before = before.saturating_add(run.records);
            i < before
        });
        self.view(i as usize, run.map(|run| run.schemas).unwrap_or_default())
    }

    /// All records, in order.
    pub fn iter(&self) -> Iter<'a> {
        Iter {
            batch: *self,
            next: 0,
            runs: self.runs,
            left_in_run: 0,
            schemas: SchemaIds::default(),
        }
    }

    fn view(&self, i: usize, schemas: SchemaIds) -> Record<'a> {
        let start = if i == 0 {
            0
        } else {
            u32_of(self.value_ends, i - 1) & !NULL_BIT
        };
        let (key_end, value_end) = (u32_of(self.key_ends, i), u32_of(self.value_ends, i));
        let part = |from: u32, end: u32| {
            (end & NULL_BIT == 0).then(|| &self.arena[from as usize..end as usize])
        };
        let headers = if self.header_ends.is_empty() {
            Headers::default()
        } else {
            let from = if i == 0 {
                0
            } else {
                u32_of(self.header_ends, i - 1) as usize
            };
            let bytes = &self.headers[from..u32_of(self.header_ends, i) as usize];
            Headers::packed(bytes)
        };
        Record {
            timestamp_ms: i64_of(self.timestamps, i),
            key: part(start, key_end),
            value: part(key_end & !NULL_BIT, value_end),
            schemas,
            headers,
        }
    }
}

/// Iterates over a batch's records.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    batch: Batch<'a>,
    next: u32,
    runs: &'a [u8],
    left_in_run: u32,
    schemas: SchemaIds,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.next >= self.batch.count {
            return None;
        }
        if self.left_in_run == 0 {
            let (run, rest) = self.runs.split_at_checked(RUN_BYTES)?;
            self.left_in_run = u32_of(run, 0);
            self.schemas = SchemaIds {
                value: u32_of(run, 1),
                key: u32_of(run, 2),
            };
            self.runs = rest;
        }
        self.left_in_run -= 1;
        let record = self.batch.view(self.next as usize, self.schemas);
        self.next += 1;
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.batch.count - self.next) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
