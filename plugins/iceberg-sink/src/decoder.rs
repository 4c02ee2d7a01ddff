//! Records of one schema → rows of the table.

use std::ops::Range;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};
use jackfield_sdk::batch::{Batch, Record};
use jackfield_sdk::{Counts, Rejection};

use crate::avro::{Columns, Plan};

/// A record, its index in the batch, and its offset in the log.
pub(crate) type Numbered<'a> = (u32, Option<i64>, Record<'a>);

/// The records of a batch.
pub(crate) fn numbered<'a>(records: &Batch<'a>) -> impl Iterator<Item = Numbered<'a>> + use<'a> {
    let batch = *records;
    (0..)
        .zip(batch.iter())
        .map(move |(index, it)| (index, batch.offset(index), it))
}

/// How the records of one schema become rows, and those gathered so far.
pub(crate) struct Decoder {
    plan: Plan,
    rows: Columns,
    /// Rows from the first on of which it is known which partitions they are of.
    looked_to: usize,
    sampled_to: usize,
}

/// What became of the records of one batch.
pub(crate) struct Tally {
    /// Below this the table holds them already.
    held: i64,
    pub(crate) counts: Counts,
    pub(crate) rejected: Vec<Rejection>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            held: i64::MIN,
            counts: Counts::default(),
            rejected: Vec::new(),
        }
    }

    /// From now on records are for a table that holds everything below that.
    pub(crate) fn held(&mut self, held: Option<i64>) {
        self.held = held.unwrap_or(i64::MIN);
    }

    pub(crate) fn reject_one(&mut self, index: u32, reason: String) {
        self.rejected.push(Rejection { index, reason });
    }

    /// Whether the table has it; counted if so.
    pub(crate) fn has(&mut self, offset: Option<i64>) -> bool {
        let has = offset.is_some_and(|it| it < self.held);
        self.counts.duplicates += u64::from(has);
        has
    }

    /// Rejects a whole run.
    pub(crate) fn reject<'a>(&mut self, those: impl Iterator<Item = Numbered<'a>>, why: &str) {
        for (index, offset, _) in those {
            if !self.has(offset) {
                self.rejected.push(Rejection {
                    index,
                    reason: why.to_owned(),
                });
            }
        }
    }
}

impl Decoder {
    /// The error names a column that can't be written.
    pub(crate) fn new(plan: Plan, schema: SchemaRef) -> Result<Self, String> {
        Ok(Self {
            plan,
            rows: Columns::new(schema)?,
            looked_to: 0,
            sampled_to: 0,
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows.rows()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    /// The first row of which it is not known which partition it is of.
    pub(crate) fn looked_to(&self) -> usize {
        self.looked_to
    }

    /// Rows of which it is not known which partitions they are of.
    pub(crate) fn unlooked(&self) -> usize {
        self.rows() - self.looked_to
    }

    /// Rows that came since a few were looked at.
    pub(crate) fn unsampled(&self) -> usize {
        self.rows() - self.sampled_to
    }

    /// A few of the last rows were looked at.
    pub(crate) fn sampled(&mut self) {
        self.sampled_to = self.rows();
    }

    /// From now on it is known up to that row.
    pub(crate) fn look_to(&mut self, row: usize) {
        self.looked_to = row;
    }

    /// Copies of some rows' values, in the columns that are wanted.
    pub(crate) fn part(
        &self,
        rows: &Range<usize>,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        self.rows.part(rows, is_wanted)
    }

    pub(crate) fn roll_back(&mut self, rows: usize) {
        self.rows.roll_back(rows);
        self.looked_to = self.looked_to.min(rows);
        self.sampled_to = self.sampled_to.min(rows);
    }

    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        (self.looked_to, self.sampled_to) = (0, 0);
        self.rows.finish()
    }

    /// Gathers a run of records; the bad ones leave nothing behind.
    pub(crate) fn take<'a>(
        &mut self,
        those: impl Iterator<Item = Numbered<'a>>,
        tally: &mut Tally,
    ) {
        for (index, offset, record) in those {
            if tally.has(offset) {
                continue;
            }
            let Some(datum) = record.value else {
                let reason = "a tombstone: a table that is appended to has nothing for it";
                tally.rejected.push(Rejection {
                    index,
                    reason: reason.to_owned(),
                });
                continue;
            };
            let rows = self.rows.rows();
            match self.plan.read(datum, &mut self.rows) {
                Ok(()) => {
                    tally.counts.records += 1;
                    tally.counts.saw_event_time(record.timestamp_ms);
                }
                Err(why) => {
                    self.rows.roll_back(rows);
                    tally.rejected.push(Rejection {
                        index,
                        reason: why.to_string(),
                    });
                }
            }
        }
    }
}
