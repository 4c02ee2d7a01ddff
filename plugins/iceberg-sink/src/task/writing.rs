//! Gathered rows → files → pieces.

use arrow_array::RecordBatch;
use jackfield_sdk::Failure;
use jackfield_sdk::sink::Piece;
use tokio::runtime::Runtime;

use super::{Open, SCHEMAS_MAX, Task};
use crate::errors;
use crate::files::{CLOSED_PER_PUT_MAX, FileLimits, Files};
use crate::metrics::Metrics;
use crate::parquet_properties::{target_file_bytes, writer_properties};
use crate::piece;
use crate::relief::Relief;
use crate::settings::Settings;
use crate::storage::HostStorage;

/// Rows of one schema that are gathered before they are grouped by partition: enough for the cost
/// of a group to vanish, few enough to be lost in memory beside the files.
const GATHERED_ROWS_MAX: usize = 32 * 1024;
/// The same, in bytes, for wide rows.
const GATHERED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The same, of all tables together.
const GATHERED_BYTES_MAX_OF_ALL: usize = 32 * 1024 * 1024;

impl Task {
    /// Writes the rows that have gathered enough.
    pub(super) fn write_full(
        &mut self,
        runtime: &Runtime,
        relief: &mut Relief,
    ) -> Result<(), Failure> {
        self.shrink(runtime, relief)?;
        let bytes_max =
            GATHERED_BYTES_MAX.min(GATHERED_BYTES_MAX_OF_ALL / self.targets.len().max(1));
        let full = self.gathered(|open, it| {
            let crowded = open.decoders.len() > SCHEMAS_MAX;
            crowded || it.rows() >= GATHERED_ROWS_MAX || it.bytes() >= bytes_max
        });
        for (target, generation, id) in full {
            self.write(runtime, &target, generation, id, relief)?;
        }
        self.look_ahead()
    }

    /// Tables that came have left the others less, also those that get no rows now.
    pub(super) fn shrink(&mut self, runtime: &Runtime, relief: &mut Relief) -> Result<(), Failure> {
        let exceeds = |it: &Open| it.files.as_ref().is_some_and(Files::exceeds_share);
        let targets = self.targets.iter();
        let exceeding = targets.filter(|(_, opens)| opens.iter().any(exceeds));
        let exceeding: Vec<String> = exceeding.map(|(target, _)| target.clone()).collect();
        let mut closings = CLOSED_PER_PUT_MAX;
        for target in exceeding {
            let shrunk = self.try_shrink(runtime, &target, &mut closings, relief);
            self.or_leave_out(&target, shrunk)?;
        }
        Ok(())
    }

    fn try_shrink(
        &mut self,
        runtime: &Runtime,
        target: &str,
        closings: &mut usize,
        relief: &mut Relief,
    ) -> Result<(), Failure> {
        let opens = self.targets.get_mut(target).into_iter().flatten();
        for files in opens.filter_map(|it| it.files.as_mut()) {
            self.storage.take_error();
            runtime
                .block_on(files.shrink(closings, relief))
                .map_err(|e| lost(&self.storage, "writing", &e))?;
        }
        Ok(())
    }

    pub(super) fn write(
        &mut self,
        runtime: &Runtime,
        target: &str,
        generation: usize,
        schema: u32,
        relief: &mut Relief,
    ) -> Result<(), Failure> {
        let written = self.try_write(runtime, target, generation, schema, relief);
        self.or_leave_out(target, written)
    }

    /// A table whose rows are lost is left out from now on.
    ///
    /// # Errors
    /// As for [`Task::fail`].
    pub(super) fn or_leave_out(
        &mut self,
        target: &str,
        outcome: Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Err(failure) = outcome else {
            return Ok(());
        };
        let lost = self.fail(target, failure);
        if lost.is_err() {
            // Rows of earlier calls are lost with these.
            self.discard();
        }
        lost
    }

    fn try_write(
        &mut self,
        runtime: &Runtime,
        target: &str,
        generation: usize,
        schema: u32,
        relief: &mut Relief,
    ) -> Result<(), Failure> {
        let Some((rows, files)) = self.rows_and_files(target, generation, schema)? else {
            return Ok(());
        };
        let written = runtime.block_on(files.write(rows, relief));
        written.map_err(|e| lost(&self.storage, "writing", &e))
    }

    /// The rows that a decoder has gathered, and where they go. None: there are none.
    fn rows_and_files(
        &mut self,
        target: &str,
        generation: usize,
        schema: u32,
    ) -> Result<Option<(RecordBatch, &mut Files)>, Failure> {
        self.storage.take_error();
        let tables = self.targets.len();
        let opens = self.targets.get_mut(target);
        let Some(open) = opens.and_then(|it| it.get_mut(generation)) else {
            return Ok(None);
        };
        open.make_files(&self.settings, tables)?;
        let Some(files) = &mut open.files else {
            return Ok(None);
        };
        let Some(decoder) = open.decoders.get_mut(&schema) else {
            return Ok(None);
        };
        if decoder.rows() == 0 {
            return Ok(None);
        }
        let rows = decoder.finish().map_err(|e| broken(&e))?;
        if open.decoders.values().all(|it| it.rows() == 0) {
            files.expect_nothing();
        }
        Ok(Some((rows, files)))
    }

    /// Closes all files, and hands them out. Where they are more than the call has time for, nothing
    /// is handed out yet, and the next call goes on with those that are left.
    pub(crate) fn stage(&mut self, runtime: &Runtime) -> Result<Vec<Piece>, Failure> {
        let mut relief = Relief::of_stage(self.clock);
        let began = (self.clock)();
        for (target, generation, id) in self.gathered(|_, it| it.rows() > 0) {
            self.write(runtime, &target, generation, id, &mut relief)?;
        }
        let all = self.close_files(runtime, &mut relief)?;
        let took = (self.clock)().duration_since(began).unwrap_or_default();
        if relief.closed() > 0 {
            self.pace.learn(relief.closed(), took, all);
        }
        self.half_staged = !all;
        if !all {
            let closed = relief.closed();
            return Err(errors::stage_first(format!(
                "{closed} files were closed in {took:?}, and more are left"
            )));
        }
        let staged = self.stage_files();
        if staged.is_err() {
            self.discard();
        }
        staged
    }

    /// Whether all are closed.
    fn close_files(&mut self, runtime: &Runtime, relief: &mut Relief) -> Result<bool, Failure> {
        let targets: Vec<String> = self.targets.keys().cloned().collect();
        let mut all = true;
        for target in targets {
            match self.close_files_of(runtime, &target, relief) {
                Ok(closed) => all &= closed,
                Err(failure) => self.or_leave_out(&target, Err(failure))?,
            }
        }
        Ok(all)
    }

    fn close_files_of(
        &mut self,
        runtime: &Runtime,
        target: &str,
        relief: &mut Relief,
    ) -> Result<bool, Failure> {
        self.storage.take_error();
        let mut all = true;
        let opens = self.targets.get_mut(target).into_iter().flatten();
        for files in opens.filter_map(|it| it.files.as_mut()) {
            all &= runtime
                .block_on(files.close_all(relief))
                .map_err(|e| lost(&self.storage, "closing files", &e))?;
        }
        Ok(all)
    }

    fn stage_files(&mut self) -> Result<Vec<Piece>, Failure> {
        let mut pieces = Vec::new();
        let targets: Vec<String> = self.targets.keys().cloned().collect();
        for target in targets {
            match self.stage_target(&target) {
                // Without rows since the stage before, it leaves its share to the others.
                Ok(staged) if staged.is_empty() && self.route.only().is_none() => {
                    self.targets.remove(&target);
                }
                Ok(staged) => pieces.extend(staged),
                Err(failure) => self.fail(&target, failure)?,
            }
        }
        pieces.extend(self.failing.pieces());
        Ok(pieces)
    }

    fn stage_target(&mut self, target: &str) -> Result<Vec<Piece>, Failure> {
        let mut pieces = Vec::new();
        let Some(opens) = self.targets.get_mut(target) else {
            return Ok(pieces);
        };
        for open in opens.iter_mut() {
            let Some(files) = open.files.take().filter(|it| !it.is_empty()) else {
                continue;
            };
            let (metadata, sort_order) = (open.table.metadata(), files.sort_order());
            let metrics = Metrics::new(metadata.properties(), metadata.current_schema())
                .map_err(Failure::Misconfigured)?;
            let (base, files) = (open.base_schema_id, files.into_closed());
            let piece = piece::encode(target, &open.table, base, files, &metrics, sort_order);
            pieces.push(piece.map_err(|e| Failure::Broken(format!("staging: {e}")))?);
        }
        // What is older takes no more rows. The newest goes on: until it is committed the table may
        // not have its schema, and the next pieces say again what they need.
        opens.drain(..opens.len().saturating_sub(1));
        Ok(pieces)
    }
}

impl Open {
    /// Makes what takes its rows, if it has nothing yet.
    pub(super) fn make_files(&mut self, settings: &Settings, tables: usize) -> Result<(), Failure> {
        if self.files.is_some() {
            return Ok(());
        }
        let metadata = self.table.metadata();
        let properties = writer_properties(
            metadata.properties(),
            metadata.current_schema(),
            settings.compression_level,
        )
        .map_err(Failure::Misconfigured)?;
        let limits = FileLimits {
            target_bytes: match settings.target_file_size {
                Some(size) => size.0,
                None => target_file_bytes(metadata.properties()).map_err(Failure::Misconfigured)?,
            },
            open: settings.open_files as usize,
            waiting_bytes: usize::try_from(settings.buffer.0).unwrap_or(usize::MAX),
        };
        let files = Files::new(&self.table, properties, limits, self.piece_bytes_per_file);
        let mut files = files.map_err(|e| broken(&e))?;
        files.share(tables);
        self.files = Some(files);
        Ok(())
    }
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::Broken(format!("making rows: {error}"))
}

/// After an error in the middle of files: what was put is gone.
fn lost(storage: &HostStorage, during: &str, error: &iceberg::Error) -> Failure {
    match storage.take_error() {
        Some(error) => errors::store_lossy(during, &error),
        None => Failure::Broken(format!("{during}: {error}")),
    }
}
