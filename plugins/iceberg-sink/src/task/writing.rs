//! Gathered rows → files → pieces.

use jackfield_sdk::Failure;
use jackfield_sdk::sink::Piece;
use tokio::runtime::Runtime;

use super::{Open, SCHEMAS_MAX, Task};
use crate::errors;
use crate::files::{CLOSED_PER_PUT_MAX, FileLimits, Files, FilesError};
use crate::metrics::Metrics;
use crate::parquet_properties::{target_file_bytes, writer_properties};
use crate::piece;
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
    pub(super) fn write_full(&mut self, runtime: &Runtime) -> Result<(), Failure> {
        self.shrink(runtime)?;
        let bytes_max =
            GATHERED_BYTES_MAX.min(GATHERED_BYTES_MAX_OF_ALL / self.targets.len().max(1));
        let mut full = Vec::new();
        for (target, opens) in &self.targets {
            for (generation, open) in opens.iter().enumerate() {
                let crowded = open.decoders.len() > SCHEMAS_MAX;
                let decoders = open.decoders.iter().filter(|(_, it)| {
                    crowded || it.rows() >= GATHERED_ROWS_MAX || it.bytes() >= bytes_max
                });
                full.extend(decoders.map(|(id, _)| (target.clone(), generation, *id)));
            }
        }
        full.iter()
            .try_for_each(|(target, generation, id)| self.write(runtime, target, *generation, *id))
    }

    /// Tables that came have left the others less, also those that get no rows now.
    fn shrink(&mut self, runtime: &Runtime) -> Result<(), Failure> {
        let exceeds = |it: &Open| it.files.as_ref().is_some_and(Files::exceeds_share);
        let targets = self.targets.iter();
        let exceeding = targets.filter(|(_, opens)| opens.iter().any(exceeds));
        let exceeding: Vec<String> = exceeding.map(|(target, _)| target.clone()).collect();
        let mut closings = CLOSED_PER_PUT_MAX;
        for target in exceeding {
            let shrunk = self.try_shrink(runtime, &target, &mut closings);
            self.or_leave_out(&target, shrunk)?;
        }
        Ok(())
    }

    fn try_shrink(
        &mut self,
        runtime: &Runtime,
        target: &str,
        closings: &mut usize,
    ) -> Result<(), Failure> {
        let opens = self.targets.get_mut(target).into_iter().flatten();
        for files in opens.filter_map(|it| it.files.as_mut()) {
            self.storage.take_error();
            runtime
                .block_on(files.shrink(closings))
                .map_err(|e| lost(&self.storage, "writing", &e))?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        runtime: &Runtime,
        target: &str,
        generation: usize,
        schema: u32,
    ) -> Result<(), Failure> {
        let written = self.try_write(runtime, target, generation, schema);
        self.or_leave_out(target, written)
    }

    /// A table whose rows are lost is left out from now on.
    ///
    /// # Errors
    /// As for [`Task::fail`].
    fn or_leave_out(&mut self, target: &str, outcome: Result<(), Failure>) -> Result<(), Failure> {
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
    ) -> Result<(), Failure> {
        let tables = self.targets.len();
        let opens = self.targets.get_mut(target);
        let Some(open) = opens.and_then(|it| it.get_mut(generation)) else {
            return Ok(());
        };
        let Some(decoder) = open.decoders.get_mut(&schema) else {
            return Ok(());
        };
        if decoder.rows() == 0 {
            return Ok(());
        }
        let broken = |e: &dyn std::fmt::Display| Failure::Broken(format!("making rows: {e}"));
        let rows = decoder.finish().map_err(|e| broken(&e))?;
        if open.files.is_none() {
            let properties = writer_properties(
                open.table.metadata().properties(),
                open.table.metadata().current_schema(),
                self.settings.compression_level,
            )
            .map_err(Failure::Misconfigured)?;
            let limits = FileLimits {
                target_bytes: match self.settings.target_file_size {
                    Some(size) => size.0,
                    None => target_file_bytes(open.table.metadata().properties())
                        .map_err(Failure::Misconfigured)?,
                },
                open: self.settings.open_files as usize,
                waiting_bytes: usize::try_from(self.settings.buffer.0).unwrap_or(usize::MAX),
            };
            let files = Files::new(&open.table, properties, limits);
            let mut files = files.map_err(|e| broken(&e))?;
            files.share(tables);
            open.files = Some(files);
        }
        let files = open
            .files
            .as_mut()
            .expect("it was there, or has just been made");
        self.storage.take_error();
        runtime
            .block_on(files.write(rows))
            .map_err(|e| lost(&self.storage, "writing", &e))
    }

    pub(crate) fn stage(&mut self, runtime: &Runtime) -> Result<Vec<Piece>, Failure> {
        let mut gathered = Vec::new();
        for (target, opens) in &self.targets {
            for (generation, open) in opens.iter().enumerate() {
                let ids = open.decoders.keys();
                gathered.extend(ids.map(|id| (target.clone(), generation, *id)));
            }
        }
        for (target, generation, id) in gathered {
            self.write(runtime, &target, generation, id)?;
        }
        let staged = self.stage_files(runtime);
        if staged.is_err() {
            self.discard();
        }
        staged
    }

    fn stage_files(&mut self, runtime: &Runtime) -> Result<Vec<Piece>, Failure> {
        let mut pieces = Vec::new();
        let targets: Vec<String> = self.targets.keys().cloned().collect();
        for target in targets {
            match self.stage_target(runtime, &target) {
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

    fn stage_target(&mut self, runtime: &Runtime, target: &str) -> Result<Vec<Piece>, Failure> {
        let mut pieces = Vec::new();
        let Some(opens) = self.targets.get_mut(target) else {
            return Ok(pieces);
        };
        for open in opens.iter_mut() {
            let Some(files) = open.files.take() else {
                continue;
            };
            let (metadata, sort_order) = (open.table.metadata(), files.sort_order());
            let metrics = Metrics::new(metadata.properties(), metadata.current_schema())
                .map_err(Failure::Misconfigured)?;
            self.storage.take_error();
            let files = runtime
                .block_on(files.finish())
                .map_err(|e| lost(&self.storage, "closing files", &e))?;
            let base = open.base_schema_id;
            let piece = piece::encode(target, &open.table, base, files, &metrics, sort_order);
            pieces.push(piece.map_err(|e| Failure::Broken(format!("staging: {e}")))?);
        }
        // What is older takes no more rows. The newest goes on: until it is committed the table may
        // not have its schema, and the next pieces say again what they need.
        opens.drain(..opens.len().saturating_sub(1));
        Ok(pieces)
    }
}

/// After an error in the middle of files: what was put is gone.
fn lost(storage: &HostStorage, during: &str, error: &FilesError) -> Failure {
    match (error, storage.take_error()) {
        (FilesError::TooMany(_), _) => Failure::Misconfigured(error.to_string()),
        (FilesError::Library(_), Some(error)) => errors::store_lossy(during, &error),
        (FilesError::Library(error), None) => Failure::Broken(format!("{during}: {error}")),
    }
}
