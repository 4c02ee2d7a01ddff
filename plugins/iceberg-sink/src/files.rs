//! Rows of many partitions → data files, with few files open and few rows in memory.

mod partition;

use std::collections::{HashMap, HashSet};

use arrow_array::{ArrayRef, RecordBatch};
use iceberg::Result;
use iceberg::arrow::FieldMatchMode;
use iceberg::spec::{DataFile, PrimitiveType, Schema, Type};
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use parquet::file::properties::WriterProperties;

use crate::grouping::{Group, Grouping};
use crate::location::{DataLocation, UniqueName};
use crate::long_values::{BoundingWriterBuilder, STATISTICS_BYTES_MAX};
use crate::metrics::Metrics;
use crate::relief::Relief;
use crate::sorting::Sorting;
use crate::tables::TableHandle;

use partition::{Partition, ROWS_WORTH_WRITING, bytes_of, together};

#[cfg(test)]
pub(crate) use partition::counted;

/// What a file takes of a piece, about: its name, its partition, and figures of each column.
const PIECE_BYTES_PER_FILE: usize = 512;
/// Its figures with bounds of eight bytes, as most types have them.
const PIECE_BYTES_PER_COLUMN: usize = 180;
/// Those of texts and bytes: without their bounds, and for each byte of the lower and the upper one,
/// which are lists of decimal numbers.
const PIECE_BYTES_PER_TEXT: usize = 110;
const PIECE_BYTES_PER_BOUND_BYTE: usize = 8;
/// What a column of a table takes of a piece that brings the table's schema with it, about.
const PIECE_BYTES_PER_FIELD: usize = 256;
/// Files that tables close in one `put` because others came: what is left of each, some MiB, goes
/// up within the 30 seconds that the call has. Fewer than two come to be opened in a `put`, which
/// brings 1000 rows at most.
pub(crate) const CLOSED_PER_PUT_MAX: usize = 2;
type Builder = DataFileWriterBuilder<BoundingWriterBuilder, DataLocation, UniqueName>;
/// What all tables of a task may hold together, and how large a file gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileLimits {
    /// A file is closed at about this size.
    pub(crate) target_bytes: u64,
    /// Files that are open at once.
    pub(crate) open: usize,
    /// Rows that wait for their partition to have enough of them.
    pub(crate) waiting_bytes: usize,
}

/// The partitions of rows that were looked at, each once.
pub(crate) struct Looked {
    keys: Vec<Vec<u8>>,
    fresh: usize,
}

impl Looked {
    /// How many there are.
    pub(crate) fn partitions(&self) -> usize {
        self.keys.len()
    }

    /// Those that a file has yet to come of.
    pub(crate) fn fresh(&self) -> usize {
        self.fresh
    }
}

/// What a file takes of a piece, about.
pub(crate) fn piece_bytes_per_file(schema: &Schema, metrics: &Metrics) -> usize {
    use PrimitiveType::{Binary, Fixed, String};
    let columns = schema.field_id_to_fields().iter();
    let columns = columns.map(|(id, field)| match field.field_type.as_ref() {
        Type::Primitive(String | Binary | Fixed(_)) => {
            let width = metrics.bound_width_max(*id).unwrap_or(usize::MAX);
            PIECE_BYTES_PER_TEXT + PIECE_BYTES_PER_BOUND_BYTE * width.min(STATISTICS_BYTES_MAX)
        }
        _ => PIECE_BYTES_PER_COLUMN,
    });
    PIECE_BYTES_PER_FILE + columns.sum::<usize>()
}

/// What a table's schema takes of a piece that brings it, about.
pub(crate) fn piece_bytes_of_schema(schema: &Schema) -> usize {
    PIECE_BYTES_PER_FIELD * schema.field_id_to_fields().len()
}

/// What is written of a table and not staged yet.
pub(crate) struct Files {
    builder: Builder,
    /// Rows of each file are sorted, so that a file is written at once.
    sorting: Option<Sorting>,
    grouping: Grouping,
    partitions: HashMap<Vec<u8>, Partition>,
    closed: Vec<DataFile>,
    /// Partitions of rows that are gathered still, as far as these were looked at.
    expected: HashSet<Vec<u8>>,
    /// Those of them that have nothing in `partitions`.
    fresh: usize,
    open: usize,
    row_group_bytes: usize,
    limits: FileLimits,
    /// Of what all tables of a task may have together, this one's.
    open_max: usize,
    waiting_bytes_max: usize,
    waiting_bytes: usize,
    writes: u64,
    piece_bytes_per_file: usize,
}

impl Files {
    pub(crate) fn new(
        table: &TableHandle,
        properties: WriterProperties,
        limits: FileLimits,
        piece_bytes_per_file: usize,
    ) -> Result<Self> {
        let metadata = table.metadata();
        let schema = metadata.current_schema();
        let row_group_bytes = properties.max_row_group_bytes().unwrap_or(usize::MAX);
        let parquet = ParquetWriterBuilder::new_with_match_mode(
            properties,
            schema.clone(),
            FieldMatchMode::Id,
        );
        let rolling = RollingFileWriterBuilder::new(
            BoundingWriterBuilder::new(parquet, schema.clone()),
            usize::try_from(limits.target_bytes).unwrap_or(usize::MAX),
            table.file_io().clone(),
            DataLocation::new(metadata),
            UniqueName,
        );
        Ok(Self {
            builder: DataFileWriterBuilder::new(rolling),
            sorting: Sorting::of(metadata),
            grouping: Grouping::new(metadata.default_partition_spec().clone(), schema.clone())?,
            partitions: HashMap::new(),
            closed: Vec::new(),
            expected: HashSet::new(),
            fresh: 0,
            open: 0,
            row_group_bytes,
            limits,
            open_max: limits.open,
            waiting_bytes_max: limits.waiting_bytes,
            waiting_bytes: 0,
            writes: 0,
            piece_bytes_per_file,
        })
    }

    /// From now on one of so many tables that share what a task may hold. Where that is no file, all
    /// rows wait, and each file is closed as soon as it is written.
    pub(crate) fn share(&mut self, tables: usize) {
        self.open_max = self.limits.open / tables.max(1);
        self.waiting_bytes_max = self.limits.waiting_bytes / tables.max(1);
    }

    /// Whether it holds more than its share, which others have made smaller.
    pub(crate) fn exceeds_share(&self) -> bool {
        self.open > self.open_max || self.waiting_bytes > self.waiting_bytes_max
    }

    /// Gives back what is more than its share; of files no more than `closings`, from which those
    /// that it closes are taken off, and of rows as the call's relief has room. After an error all
    /// rows are lost.
    pub(crate) async fn shrink(&mut self, closings: &mut usize, relief: &mut Relief) -> Result<()> {
        while self.open > self.open_max && *closings > 0 {
            self.close_oldest(relief).await?;
            *closings -= 1;
        }
        self.relieve(relief).await
    }

    /// How large a piece staging will make, about: of the files closed, and one more for each
    /// partition at hand or expected.
    pub(crate) fn piece_bytes(&self) -> usize {
        (self.closed.len() + self.unclosed()) * self.piece_bytes_per_file
    }

    /// How many files staging will close, as far as that is known.
    pub(crate) fn unclosed(&self) -> usize {
        self.partitions.len() + self.fresh
    }

    /// Bytes of rows that wait for their partition to have enough of them.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether there is nothing to stage.
    pub(crate) fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.partitions.is_empty()
    }

    /// Takes rows of any partitions. After an error all rows are lost.
    pub(crate) async fn write(&mut self, rows: RecordBatch, relief: &mut Relief) -> Result<()> {
        #[cfg(test)]
        counted::GROUPED.set(counted::GROUPED.get() + 1);
        let groups = self.grouping.group(rows)?;
        for group in groups {
            let key = self.wait(group)?;
            // Each time they are encoded, a file ends: they wait for as long as there is room.
            if self.sorting.is_some() || self.open_max == 0 {
                continue;
            }
            let partition = &self.partitions[&key];
            let has_file = partition.writer.is_some();
            let worth = if has_file {
                ROWS_WORTH_WRITING / 4
            } else {
                ROWS_WORTH_WRITING
            };
            if partition.waiting_rows < worth {
                continue;
            }
            // One more file may end another.
            if has_file || self.open < self.open_max || !relief.is_spent() {
                self.encode(&key, relief).await?;
            }
        }
        self.relieve(relief).await
    }

    /// Whether the values of a column say which partition rows are of.
    pub(crate) fn is_partitioned_by(&self, column: usize) -> bool {
        self.grouping.is_by(column)
    }

    /// Looks at which partitions rows are of, and takes none of them. Only the columns that
    /// partitions are by are looked at.
    pub(crate) fn look(&self, columns: &[ArrayRef]) -> Result<Looked> {
        let keys = self.grouping.keys(columns)?;
        let fresh = keys.iter();
        let fresh =
            fresh.filter(|it| !self.partitions.contains_key(*it) && !self.expected.contains(*it));
        Ok(Looked {
            fresh: fresh.count(),
            keys,
        })
    }

    /// Rows of these partitions are gathered, and come later.
    pub(crate) fn expect(&mut self, looked: Looked) {
        for key in looked.keys {
            let is_fresh = !self.partitions.contains_key(&key);
            if self.expected.insert(key) && is_fresh {
                self.fresh += 1;
            }
        }
    }

    /// No rows are gathered any more.
    pub(crate) fn expect_nothing(&mut self) {
        self.expected.clear();
        self.fresh = 0;
    }

    fn wait(&mut self, group: Group) -> Result<Vec<u8>> {
        let partition = self.partitions.entry(group.key.clone()).or_insert_with(|| {
            if self.expected.contains(&group.key) {
                self.fresh -= 1;
            }
            Partition::new(self.grouping.partition(group.values))
        });
        let before = partition.waiting_bytes;
        partition.wait(group.rows)?;
        self.waiting_bytes = self.waiting_bytes - before + partition.waiting_bytes;
        Ok(group.key)
    }

    /// Where more waits than may, writes the fullest partitions until half of it is free, or the
    /// call's relief is spent: the rest is for the next call.
    async fn relieve(&mut self, relief: &mut Relief) -> Result<()> {
        if self.waiting_bytes <= self.waiting_bytes_max || relief.is_spent() {
            return Ok(());
        }
        let mut fullest: Vec<_> = self
            .partitions
            .iter()
            .filter(|(_, it)| it.waiting_bytes > 0)
            .map(|(key, it)| (it.waiting_bytes, key.clone()))
            .collect();
        fullest.sort_unstable_by(|a, b| b.cmp(a));
        for (_, key) in fullest {
            if self.waiting_bytes <= self.waiting_bytes_max / 2 || relief.is_spent() {
                break;
            }
            self.encode(&key, relief).await?;
        }
        Ok(())
    }

    /// Writes what waits for a partition to its file.
    async fn encode(&mut self, key: &[u8], relief: &mut Relief) -> Result<()> {
        let has_file = self
            .partitions
            .get(key)
            .is_some_and(|it| it.writer.is_some());
        // Beyond the share, or where that is none, the new file is closed at once instead.
        if !has_file && self.open == self.open_max {
            self.close_oldest(relief).await?;
        }
        let Some(partition) = self.partitions.get_mut(key) else {
            return Ok(());
        };
        let mut writer = match partition.writer.take() {
            Some(writer) => writer,
            None => {
                let writer = self.builder.build(Some(partition.key.clone())).await?;
                self.open += 1;
                writer
            }
        };
        let rows = match partition.waiting.as_slice() {
            [] => None,
            [rows] => Some(rows.clone()),
            // Many small writes cost more than putting the rows together first.
            waiting => Some(together(waiting)?),
        };
        partition.waiting.clear();
        if let Some(rows) = rows {
            let rows = match &self.sorting {
                None => rows,
                Some(sorting) => sorting.sort(&rows)?,
            };
            let step = rows_at_once(&rows, self.row_group_bytes);
            for at in (0..rows.num_rows()).step_by(step) {
                let rows = rows.slice(at, step.min(rows.num_rows() - at));
                writer.write(rows).await?;
            }
        }
        let bytes = std::mem::take(&mut partition.waiting_bytes);
        self.waiting_bytes -= bytes;
        partition.written_bytes += bytes;
        partition.waiting_rows = 0;
        self.writes += 1;
        partition.written_at = self.writes;
        partition.writer = Some(writer);
        // One that was open beyond the share waits for its turn in `shrink`.
        if self.sorting.is_some() || (!has_file && self.open > self.open_max) {
            self.close(key, relief).await?;
        }
        Ok(())
    }

    async fn close_oldest(&mut self, relief: &mut Relief) -> Result<()> {
        let oldest = self
            .partitions
            .iter()
            .filter(|(_, it)| it.writer.is_some())
            .min_by_key(|(_, it)| it.written_at)
            .map(|(key, _)| key.clone());
        match oldest {
            Some(key) => self.close(&key, relief).await,
            None => Ok(()),
        }
    }

    async fn close(&mut self, key: &[u8], relief: &mut Relief) -> Result<()> {
        let Some(partition) = self.partitions.get_mut(key) else {
            return Ok(());
        };
        let idle = partition.waiting.is_empty();
        if let Some(mut writer) = partition.writer.take() {
            self.open -= 1;
            // Whole row groups have gone up before.
            let written = std::mem::take(&mut partition.written_bytes);
            relief.closes(written.min(self.row_group_bytes));
            self.closed.extend(writer.close().await?);
        }
        if idle {
            self.partitions.remove(key);
            if self.expected.contains(key) {
                self.fresh += 1;
            }
        }
        Ok(())
    }

    /// The order that the rows of each file are in.
    pub(crate) fn sort_order(&self) -> Option<i64> {
        self.sorting.as_ref().map(|it| it.order_id)
    }

    /// Writes and closes everything, as far as the call's relief goes. Whether all is closed; if not,
    /// the next call goes on.
    pub(crate) async fn close_all(&mut self, relief: &mut Relief) -> Result<bool> {
        let mut keys: Vec<_> = self.partitions.keys().cloned().collect();
        // Those that are open need no other's place.
        keys.sort_unstable_by_key(|key| (self.partitions[key].writer.is_none(), key.clone()));
        for key in keys {
            if relief.is_spent() {
                return Ok(false);
            }
            if self
                .partitions
                .get(&key)
                .is_some_and(|it| !it.waiting.is_empty())
            {
                self.encode(&key, relief).await?;
            }
            self.close(&key, relief).await?;
        }
        Ok(true)
    }

    /// The files that are closed.
    pub(crate) fn into_closed(self) -> Vec<DataFile> {
        self.closed
    }
}

/// Parquet's writer knows how large rows get once it has written some: what it is given first is one
/// row group, however large.
fn rows_at_once(rows: &RecordBatch, row_group_bytes: usize) -> usize {
    let bytes = bytes_of(rows).max(1) as u128;
    let fit = row_group_bytes as u128 * rows.num_rows() as u128 / bytes;
    usize::try_from(fit).unwrap_or(usize::MAX).max(1)
}
