//! The rows of one partition that wait, and its file.

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use iceberg::Result;
use iceberg::spec::PartitionKey;
use iceberg::writer::base_writer::data_file_writer::DataFileWriter;

use crate::location::{DataLocation, UniqueName};
use crate::long_values::BoundingWriterBuilder;

/// Rows that are worth encoding on their own: fewer cost more in calls than in encoding.
pub(super) const ROWS_WORTH_WRITING: usize = 4096;
/// Small batches that wait for one partition before they are put together: each takes a kilobyte or
/// two beside its rows, of which there may be one only.
const WAITING_BATCHES_MAX: usize = 16;

type Writer = DataFileWriter<BoundingWriterBuilder, DataLocation, UniqueName>;

/// A partition that rows came for.
pub(super) struct Partition {
    pub(super) key: PartitionKey,
    pub(super) waiting: Vec<RecordBatch>,
    pub(super) waiting_rows: usize,
    pub(super) waiting_bytes: usize,
    pub(super) writer: Option<Writer>,
    /// What its file was given, in memory.
    pub(super) written_bytes: usize,
    /// When it was last written to, in writes.
    pub(super) written_at: u64,
}

impl Partition {
    pub(super) fn new(key: PartitionKey) -> Self {
        Self {
            key,
            waiting: Vec::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
            writer: None,
            written_bytes: 0,
            written_at: 0,
        }
    }

    pub(super) fn wait(&mut self, rows: RecordBatch) -> Result<()> {
        self.waiting_rows += rows.num_rows();
        self.waiting_bytes += bytes_of(&rows);
        self.waiting.push(rows);
        if self.waiting.len() < WAITING_BATCHES_MAX {
            return Ok(());
        }
        let sizes: Vec<_> = self.waiting.iter().map(RecordBatch::num_rows).collect();
        let Some(first) = small_ones(&sizes) else {
            return Ok(());
        };
        let small = self.waiting.split_off(first);
        self.waiting_bytes -= small.iter().map(bytes_of).sum::<usize>();
        let together = together(&small)?;
        self.waiting_bytes += bytes_of(&together);
        self.waiting.push(together);
        Ok(())
    }
}

/// Where the last batches begin that are to be put together, by how many rows each has; none: there
/// are none. Each that goes with them is at most twice as large as those behind it, so that
/// it gets larger by half at least: no row is copied often.
fn small_ones(sizes: &[usize]) -> Option<usize> {
    let small = sizes.iter().rev();
    let small = small.take_while(|it| **it < ROWS_WORTH_WRITING).count();
    if small < WAITING_BATCHES_MAX {
        return None;
    }
    let mut behind = 0;
    let together = sizes.iter().rev().take(small).take_while(|rows| {
        let goes_along = behind == 0 || **rows <= 2 * behind;
        behind += **rows;
        goes_along
    });
    let together = together.count();
    (together > 1).then(|| sizes.len() - together)
}

/// One batch of many, which is copied.
pub(super) fn together(batches: &[RecordBatch]) -> Result<RecordBatch> {
    let schema = batches[0].schema();
    let together = concat_batches(&schema, batches)?;
    #[cfg(test)]
    counted::JOINED_BYTES.set(counted::JOINED_BYTES.get() + bytes_of(&together));
    Ok(together)
}

/// What a slice of rows takes in memory once it is on its own.
pub(super) fn bytes_of(rows: &RecordBatch) -> usize {
    rows.get_array_memory_size()
}

/// What a test counts of the work that its own thread does.
#[cfg(test)]
pub(crate) mod counted {
    use std::cell::Cell;

    thread_local! {
        /// How often rows were put into their partitions.
        pub(crate) static GROUPED: Cell<usize> = const { Cell::new(0) };
        /// Of rows that were copied to be one batch.
        pub(crate) static JOINED_BYTES: Cell<usize> = const { Cell::new(0) };
    }
}
