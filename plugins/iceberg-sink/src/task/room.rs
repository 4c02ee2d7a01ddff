//! How much a task holds until it is staged: pieces that cross in one `stage`, files that one `stage`
//! closes, rows in memory, and tables. Where there is no room for a batch, the host is asked to have
//! the rest staged first; only what one batch alone is too much for is for a person to mend.

use std::time::Duration;

use jackfield_sdk::Failure;
use tokio::runtime::Runtime;

use super::{Before, Open, Task};
use crate::errors;
use crate::files::{self, Files, Grouped};
use crate::relief::{Relief, STAGE_TIME_MAX};

/// What crosses in a `stage` is 16 MiB at most, of all tables; how large a piece gets is an estimate.
const PIECE_BYTES_MAX: usize = 14 * 1024 * 1024;
/// Of so many a stage is asked for: batches that are under way may still add to them.
const PIECE_BYTES_ENOUGH: usize = 6 * 1024 * 1024;
/// Records that a batch brings at most: rows are put into their partitions before one more could be
/// too many.
const BATCH_RECORDS: usize = 1000;
/// Files that are closed within two stages, until it is known how quick the store is: with these it
/// may take 144 ms for each.
const FILES_ENOUGH: usize = 1000;
/// However quick it is: the next stage may find it slower.
const FILES_ENOUGH_MAX: usize = 3000;
/// However slow it is.
const FILES_ENOUGH_MIN: usize = 16;
/// Stages that may be asked for until all files of one are closed. The host gives a task up that
/// does not get to an end for minutes.
const STAGES: u32 = 2;

/// How many files a stage is asked for, by what those before have managed.
#[derive(Debug)]
pub(super) struct Pace {
    files_enough: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            files_enough: FILES_ENOUGH,
        }
    }
}

impl Pace {
    /// A stage has closed so many files in that time, and those were all or not.
    pub(super) fn learn(&mut self, closed: usize, took: Duration, all: bool) {
        let time = (STAGE_TIME_MAX * STAGES).as_millis();
        let enough = closed as u128 * time / took.as_millis().max(1);
        let enough = usize::try_from(enough).unwrap_or(usize::MAX);
        let enough = enough.min(FILES_ENOUGH_MAX);
        self.files_enough = if all {
            // Few and large ones say nothing of many small ones.
            self.files_enough.max(enough)
        } else {
            enough.max(FILES_ENOUGH_MIN)
        };
    }
}

impl Open {
    fn is_partitioned(&self) -> bool {
        let spec = self.table.metadata().default_partition_spec();
        !spec.is_unpartitioned()
    }

    fn piece_bytes_per_file(&self) -> usize {
        files::piece_bytes_per_file(self.table.metadata().current_schema())
    }

    /// How large its piece gets at most: each row that is gathered may be of another partition.
    fn piece_bytes_max(&self) -> usize {
        if self.is_idle() {
            return 0;
        }
        let metadata = self.table.metadata();
        let schema = if self.base_schema_id == metadata.current_schema_id() {
            0
        } else {
            files::piece_bytes_of_schema(metadata.current_schema())
        };
        let written = self.files.as_ref().map_or(0, Files::piece_bytes);
        let rows: usize = self.decoders.values().map(|it| it.rows()).sum();
        let files = if self.is_partitioned() {
            rows
        } else {
            rows.min(1)
        };
        schema + written + files * self.piece_bytes_per_file()
    }
}

impl Task {
    /// Before a batch is taken.
    ///
    /// # Errors
    /// All that is to be staged has to be staged first.
    pub(super) fn has_room(
        &mut self,
        runtime: &Runtime,
        relief: &mut Relief,
    ) -> Result<(), Failure> {
        if self.half_staged {
            let why = "files are being closed: their stage is to end first";
            return Err(errors::stage_first(why));
        }
        let most = self.waiting_bytes_max();
        if self.waiting_bytes() <= most {
            return Ok(());
        }
        self.shrink(runtime, relief)?;
        if self.waiting_bytes() <= most {
            return Ok(());
        }
        Err(errors::stage_first(format!(
            "more than {most} bytes of rows wait for files, and of these a call can close a few only"
        )))
    }

    /// Whether a stage should come before anything else is put.
    pub(super) fn has_enough(&self) -> bool {
        let all = || self.targets.values().flatten();
        let all = || all().filter_map(|it| it.files.as_ref());
        let piece_bytes: usize = all().map(Files::piece_bytes).sum();
        let unclosed: usize = all().map(Files::unclosed).sum();
        piece_bytes >= PIECE_BYTES_ENOUGH
            || unclosed >= self.pace.files_enough
            || self.waiting_bytes() > self.waiting_bytes_max()
    }

    /// Whether anything is to be staged that was put before this batch.
    pub(super) fn has_earlier(&self, before: &Before) -> bool {
        self.targets.iter().any(|(target, opens)| {
            opens.iter().enumerate().any(|(generation, open)| {
                let written = open.files.as_ref().is_some_and(|it| !it.is_empty());
                let mut decoders = open.decoders.iter();
                written
                    || decoders.any(|(schema, it)| {
                        let rows = before.get(&(target.clone(), generation, *schema));
                        rows.copied().unwrap_or_else(|| it.rows()) > 0
                    })
            })
        })
    }

    /// Makes sure that the pieces of all that was taken cross in one stage. Where that is not plain,
    /// the rows of this batch are looked at apart from those before.
    ///
    /// # Errors
    /// They would not, and nothing of this batch was taken once the caller has rolled back what is
    /// left in `before`. Or rows are lost.
    pub(super) fn fit(
        &mut self,
        runtime: &Runtime,
        before: &mut Before,
        relief: &mut Relief,
    ) -> Result<(), Failure> {
        if self.piece_bytes_max() <= PIECE_BYTES_MAX {
            return Ok(());
        }
        let mut apart = Vec::new();
        for place in self.gathered(Open::is_partitioned) {
            let rows = before.remove(&place);
            let (target, generation, schema) = place;
            let at = (target.as_str(), generation, schema);
            let grouped = self.set_apart(runtime, at, rows, relief);
            match grouped {
                Ok(Some(grouped)) => apart.push((target, generation, grouped)),
                Ok(None) => {}
                Err(failure) => self.or_leave_out(&target, Err(failure))?,
            }
        }
        let mut bytes = self.piece_bytes_max();
        let mut fresh = 0;
        for (target, generation, grouped) in &apart {
            if let Some(files) = self.files_at(target, *generation) {
                bytes += files.adds(grouped);
                fresh += grouped.fresh();
            }
        }
        if bytes > PIECE_BYTES_MAX {
            if self.has_earlier(before) {
                let why = "the pieces of so many files do not cross in one stage";
                return Err(errors::stage_first(why));
            }
            return Err(Failure::Misconfigured(format!(
                "rows of {fresh} partitions at once are more than one commit can hand over: \
                 `partition-by` is too fine for these records"
            )));
        }
        for (target, generation, grouped) in apart {
            self.storage.take_error();
            let Some(files) = self.files_at(&target, generation) else {
                continue;
            };
            let taken = runtime.block_on(files.take(grouped, relief));
            let taken = taken.map_err(|e| super::writing::lost(&self.storage, "writing", &e));
            self.or_leave_out(&target, taken)?;
        }
        Ok(())
    }

    /// Puts rows that are gathered into their partitions, the most of one table first, as long as
    /// those of one more batch could be too many.
    pub(super) fn sort_out(
        &mut self,
        runtime: &Runtime,
        relief: &mut Relief,
    ) -> Result<(), Failure> {
        let opens = self.targets.values().flatten();
        let per_file = opens.map(Open::piece_bytes_per_file).max().unwrap_or(0);
        let most = PIECE_BYTES_MAX.saturating_sub(BATCH_RECORDS * per_file);
        while self.piece_bytes_max() > most {
            let gathered = self.gathered(Open::is_partitioned).into_iter();
            let Some((target, generation, schema)) = gathered.max_by_key(|it| self.rows_at(it))
            else {
                break;
            };
            self.write(runtime, &target, generation, schema, relief)?;
        }
        Ok(())
    }

    /// How large all pieces get at most.
    fn piece_bytes_max(&self) -> usize {
        let opens = self.targets.values().flatten();
        let own: usize = opens.map(Open::piece_bytes_max).sum();
        own + self.failing.piece_bytes()
    }

    /// The tables' decoders that have rows: target, which of its opens, schema.
    pub(super) fn gathered(&self, of: impl Fn(&Open) -> bool) -> Vec<(String, usize, u32)> {
        let mut found = Vec::new();
        for (target, opens) in &self.targets {
            for (generation, open) in opens.iter().enumerate() {
                if !of(open) {
                    continue;
                }
                let decoders = open.decoders.iter().filter(|(_, it)| it.rows() > 0);
                found.extend(decoders.map(|(id, _)| (target.clone(), generation, *id)));
            }
        }
        found
    }

    fn rows_at(&self, (target, generation, schema): &(String, usize, u32)) -> usize {
        let opens = self.targets.get(target);
        let open = opens.and_then(|it| it.get(*generation));
        let decoder = open.and_then(|it| it.decoders.get(schema));
        decoder.map_or(0, |it| it.rows())
    }

    fn files_at(&mut self, target: &str, generation: usize) -> Option<&mut Files> {
        let open = self.targets.get_mut(target)?.get_mut(generation)?;
        open.files.as_mut()
    }

    /// Writes the rows of a decoder that it had before this batch; `before` says how many these are:
    /// if nothing, all. The others, by partition; none: there are none.
    fn set_apart(
        &mut self,
        runtime: &Runtime,
        (target, generation, schema): (&str, usize, u32),
        before: Option<usize>,
        relief: &mut Relief,
    ) -> Result<Option<Grouped>, Failure> {
        let Some((rows, files)) = self.rows_and_files(target, generation, schema)? else {
            return Ok(None);
        };
        let earlier = before.unwrap_or(rows.num_rows()).min(rows.num_rows());
        let late = rows.num_rows() - earlier;
        let grouped = runtime.block_on(async {
            if earlier > 0 {
                files.write(rows.slice(0, earlier), relief).await?;
            }
            let those = (late > 0).then(|| files.group(rows.slice(earlier, late)));
            those.transpose()
        });
        grouped.map_err(|e| super::writing::lost(&self.storage, "writing", &e))
    }

    fn waiting_bytes(&self) -> usize {
        let files = self.targets.values().flatten();
        let files = files.filter_map(|it| it.files.as_ref());
        files.map(Files::waiting_bytes).sum()
    }

    fn waiting_bytes_max(&self) -> usize {
        usize::try_from(self.settings.buffer.0).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 100_000;

    #[test]
    fn a_slow_store_is_given_fewer_files_and_a_quick_one_more() {
        let mut pace = Pace::default();
        pace.learn(1000, Duration::from_secs(40), true);
        assert_eq!(pace.files_enough, FILES_ENOUGH_MAX);
        pace.learn(360, Duration::from_secs(72), false);
        assert_eq!(pace.files_enough, 720);
        // Few large files.
        pace.learn(16, Duration::from_secs(30), true);
        assert_eq!(pace.files_enough, 720);
        pace.learn(1, Duration::from_secs(72), false);
        assert_eq!(pace.files_enough, FILES_ENOUGH_MIN);
        pace.learn(MANY, Duration::ZERO, true);
        assert_eq!(pace.files_enough, FILES_ENOUGH_MAX);
    }
}
