//! How much a task holds until it is staged: pieces that cross in one `stage`, files that one `stage`
//! closes, rows in memory, and tables. Where there is no room for a batch, the host is asked to have
//! the rest staged first; only what one batch alone is too much for is for a person to mend.

use std::ops::Range;
use std::time::Duration;

use jackfield_sdk::Failure;
use tokio::runtime::Runtime;

use super::{Before, Open, Place, Task};
use crate::decoder::Decoder;
use crate::errors;
use crate::files::{self, Files, Looked};
use crate::relief::{Relief, STAGE_TIME_MAX};
use crate::settings::Settings;

/// What crosses in a `stage` is 16 MiB at most, of all tables; how large a piece gets is an estimate.
/// In 64 bits, since the worst case may be more than a component can address.
const PIECE_BYTES_MAX: u64 = 14 * 1024 * 1024;
/// Of so many a stage is asked for: batches that are under way may still add to them.
const PIECE_BYTES_ENOUGH: usize = 6 * 1024 * 1024;
/// Records that a batch brings at most: rows are looked at before those of one more could be of too
/// many partitions.
const BATCH_RECORDS: u64 = 1000;
/// Of the rows of each batch so many tell whether they are of many partitions: to look at all of them
/// costs as much as to group them.
const SAMPLE_ROWS: usize = 64;
/// Files that a stage is asked for until it is known how quick the store is: with these it may take
/// 144 ms for each. A swap and a stop give a stage one call.
const FILES_ENOUGH: usize = 500;
/// However quick it is: the next stage may find it slower.
const FILES_ENOUGH_MAX: usize = 3000;
/// However slow it is.
const FILES_ENOUGH_MIN: usize = 16;
/// With fewer a stage says nothing of how quick the store is with many: connections are there, and
/// the time is too short to measure.
const FILES_TELLING: usize = 100;
/// What a stage of as many files as are asked for may take: three quarters of what it has, since the
/// batches that are under way bring more.
const STAGE_TIME_ENOUGH: Duration = Duration::from_secs(54);
const _: () = assert!(STAGE_TIME_ENOUGH.as_secs() < STAGE_TIME_MAX.as_secs());

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
        let time = STAGE_TIME_ENOUGH.as_millis();
        let enough = closed as u128 * time / took.as_millis().max(1);
        let enough = usize::try_from(enough).unwrap_or(usize::MAX);
        let enough = enough.min(FILES_ENOUGH_MAX);
        if !all {
            self.files_enough = enough.max(FILES_ENOUGH_MIN);
        } else if closed >= FILES_TELLING.min(self.files_enough) {
            // Few large ones say nothing of many small ones.
            self.files_enough = self.files_enough.max(enough);
        }
    }
}

impl Open {
    fn is_partitioned(&self) -> bool {
        let spec = self.table.metadata().default_partition_spec();
        !spec.is_unpartitioned()
    }

    /// Rows that are gathered, and of which it is not known which partitions they are of.
    fn unlooked(&self) -> usize {
        self.decoders.values().map(Decoder::unlooked).sum()
    }

    /// How large its piece gets at most: each row that was not looked at may be of another partition.
    fn piece_bytes_max(&self) -> u64 {
        if self.is_idle() {
            return 0;
        }
        let metadata = self.table.metadata();
        let schema = if self.base_schema_id == metadata.current_schema_id() {
            0
        } else {
            files::piece_bytes_of_schema(metadata.current_schema())
        };
        let known = self.files.as_ref().map_or(0, Files::piece_bytes);
        let unlooked = self.unlooked();
        let files = if self.is_partitioned() {
            unlooked
        } else {
            unlooked.min(1)
        };
        (schema + known) as u64 + self.piece_bytes_of(files)
    }

    fn piece_bytes_of(&self, files: usize) -> u64 {
        files as u64 * self.piece_bytes_per_file as u64
    }

    /// How many files staging will close, about: rows that were not looked at are of as many
    /// partitions as those that were.
    fn unclosed(&self) -> usize {
        let known = self.files.as_ref().map_or(0, Files::unclosed);
        if !self.is_partitioned() {
            return known;
        }
        let (partitions, rows) = self.spread;
        known + self.unlooked().saturating_mul(partitions).div_ceil(rows)
    }

    /// Looks at which partitions rows are of that a decoder has gathered, before a row; none: that is
    /// known of all of them.
    fn look(&self, schema: u32, before: usize) -> Result<Option<Looked>, Failure> {
        let (Some(files), Some(decoder)) = (&self.files, self.decoders.get(&schema)) else {
            return Ok(None);
        };
        let rows = decoder.looked_to()..before.min(decoder.rows());
        if rows.is_empty() {
            return Ok(None);
        }
        looked(files, decoder, &rows).map(Some)
    }

    /// Looks at a few rows of each decoder that got more. Where they are of more partitions than the
    /// rows before, so may the others be that came with them.
    fn sample(&mut self, settings: &Settings, tables: usize) -> Result<(), Failure> {
        let grown = self.decoders.iter();
        let grown = grown.filter(|(_, it)| it.unsampled() >= SAMPLE_ROWS);
        let grown: Vec<u32> = grown.map(|(schema, _)| *schema).collect();
        for schema in grown {
            self.make_files(settings, tables)?;
            let (Some(files), Some(decoder)) = (&self.files, self.decoders.get_mut(&schema)) else {
                continue;
            };
            let rows = decoder.rows() - SAMPLE_ROWS..decoder.rows();
            let partitions = looked(files, decoder, &rows)?.partitions();
            decoder.sampled();
            let (known, of_rows) = self.spread;
            if partitions * of_rows > known * SAMPLE_ROWS {
                self.spread = (partitions, SAMPLE_ROWS);
            }
        }
        Ok(())
    }

    /// Takes note of what was found before a row.
    fn note(&mut self, schema: u32, before: usize, looked: Looked) {
        let (Some(files), Some(decoder)) = (&mut self.files, self.decoders.get_mut(&schema)) else {
            return;
        };
        let before = before.min(decoder.rows());
        self.spread = (looked.partitions(), before - decoder.looked_to());
        decoder.look_to(before);
        files.expect(looked);
    }
}

/// Looks at which partitions some rows of a decoder are of.
fn looked(files: &Files, decoder: &Decoder, rows: &Range<usize>) -> Result<Looked, Failure> {
    let unseen = |why: &dyn std::fmt::Display| {
        Failure::Broken(format!("looking at which partitions rows are of: {why}"))
    };
    let columns = decoder.part(rows, |column| files.is_partitioned_by(column));
    let columns = columns.map_err(|e| unseen(&e))?;
    files.look(&columns).map_err(|e| unseen(&e))
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
        let files = self.targets.values().flatten();
        let files = files.filter_map(|it| it.files.as_ref());
        let piece_bytes: usize = files.map(Files::piece_bytes).sum();
        piece_bytes >= PIECE_BYTES_ENOUGH
            || self.unclosed() >= self.pace.files_enough
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
    /// it is looked at which partitions rows are of, and those of this batch apart from those before.
    ///
    /// # Errors
    /// They would not: the caller rolls back what was taken of this batch. Or rows are lost.
    pub(super) fn fit(&mut self, before: &Before) -> Result<(), Failure> {
        if self.piece_bytes_max() <= PIECE_BYTES_MAX {
            return Ok(());
        }
        let mut late = Vec::new();
        for place in self.gathered(|open, it| open.is_partitioned() && it.rows() > 0) {
            match self.look_apart(&place, before) {
                Ok(Some(looked)) => late.push((place, looked)),
                Ok(None) => {}
                Err(failure) => self.or_leave_out(&place.0, Err(failure))?,
            }
        }
        let mut bytes = self.piece_bytes_max();
        let mut fresh = 0;
        for (place, looked) in &late {
            let (_, _, schema) = place;
            if let Some(open) = self.open_at(place)
                && let Some(decoder) = open.decoders.get(schema)
            {
                let spared = decoder.unlooked().saturating_sub(looked.fresh());
                bytes = bytes.saturating_sub(open.piece_bytes_of(spared));
                fresh += looked.fresh();
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
        for (place, looked) in late {
            if let Some(open) = self.open_at_mut(&place) {
                open.note(place.2, usize::MAX, looked);
            }
        }
        Ok(())
    }

    /// Looks at the rows that a decoder had before this batch, and takes note of them; then at the
    /// others.
    fn look_apart(&mut self, place: &Place, before: &Before) -> Result<Option<Looked>, Failure> {
        let earlier = before.get(place).copied().unwrap_or(usize::MAX);
        self.look(place, earlier)?;
        let open = self.open_at(place);
        open.map_or(Ok(None), |it| it.look(place.2, usize::MAX))
    }

    /// Looks at which partitions gathered rows are of, the most of one decoder first: as long as
    /// those of one more batch could be too many for a piece, or there may be enough for a stage.
    pub(super) fn look_ahead(&mut self) -> Result<(), Failure> {
        self.sample()?;
        let opens = self.targets.values().flatten();
        let per_file = opens.map(|it| it.piece_bytes_of(1)).max().unwrap_or(0);
        let most = PIECE_BYTES_MAX.saturating_sub(BATCH_RECORDS * per_file);
        let (mut bytes, mut unclosed) = (self.piece_bytes_max(), self.unclosed());
        if bytes <= most && unclosed < self.pace.files_enough {
            return Ok(());
        }
        let gathered = self
            .gathered(|open, it| open.is_partitioned() && it.rows() > 0)
            .into_iter();
        let mut places: Vec<_> = gathered.map(|it| (self.unlooked_at(&it), it)).collect();
        places.sort_unstable_by(|a, b| b.cmp(a));
        for (rows, place) in places {
            if rows == 0 || (bytes <= most && unclosed < self.pace.files_enough) {
                break;
            }
            let (bytes_before, unclosed_before) = self.coming_at(&place);
            if let Err(failure) = self.look(&place, usize::MAX) {
                self.or_leave_out(&place.0, Err(failure))?;
                (bytes, unclosed) = (self.piece_bytes_max(), self.unclosed());
                continue;
            }
            let (bytes_now, unclosed_now) = self.coming_at(&place);
            bytes = (bytes + bytes_now).saturating_sub(bytes_before);
            unclosed = (unclosed + unclosed_now).saturating_sub(unclosed_before);
        }
        Ok(())
    }

    /// Looks at a few rows of what came.
    fn sample(&mut self) -> Result<(), Failure> {
        let tables = self.targets.len();
        let mut failed = Vec::new();
        for (target, opens) in &mut self.targets {
            for open in opens.iter_mut().filter(|it| it.is_partitioned()) {
                if let Err(failure) = open.sample(&self.settings, tables) {
                    failed.push((target.clone(), failure));
                }
            }
        }
        let mut failed = failed.into_iter();
        failed.try_for_each(|(target, failure)| self.or_leave_out(&target, Err(failure)))
    }

    /// Looks at which partitions rows are of that a decoder has gathered, before a row, and takes
    /// note of it.
    fn look(&mut self, place: &Place, before: usize) -> Result<(), Failure> {
        let tables = self.targets.len();
        let (target, generation, schema) = place;
        let opens = self.targets.get_mut(target);
        let Some(open) = opens.and_then(|it| it.get_mut(*generation)) else {
            return Ok(());
        };
        open.make_files(&self.settings, tables)?;
        if let Some(looked) = open.look(*schema, before)? {
            open.note(*schema, before, looked);
        }
        Ok(())
    }

    /// How large all pieces get at most.
    fn piece_bytes_max(&self) -> u64 {
        let opens = self.targets.values().flatten();
        let own: u64 = opens.map(Open::piece_bytes_max).sum();
        own + self.failing.piece_bytes() as u64
    }

    /// How many files staging will close, about.
    fn unclosed(&self) -> usize {
        let opens = self.targets.values().flatten();
        opens.map(Open::unclosed).sum()
    }

    /// Of the table that a decoder is of, how large its piece gets at most, and how many files of it
    /// staging will close, about.
    fn coming_at(&self, place: &Place) -> (u64, usize) {
        let open = self.open_at(place);
        open.map_or((0, 0), |it| (it.piece_bytes_max(), it.unclosed()))
    }

    /// Some of the tables' decoders: target, which of its opens, schema.
    pub(super) fn gathered(&self, of: impl Fn(&Open, &Decoder) -> bool) -> Vec<Place> {
        let mut found = Vec::new();
        for (target, opens) in &self.targets {
            for (generation, open) in opens.iter().enumerate() {
                let decoders = open.decoders.iter().filter(|(_, it)| of(open, it));
                found.extend(decoders.map(|(id, _)| (target.clone(), generation, *id)));
            }
        }
        found
    }

    fn unlooked_at(&self, place: &Place) -> usize {
        let decoder = self.open_at(place).and_then(|it| it.decoders.get(&place.2));
        decoder.map_or(0, Decoder::unlooked)
    }

    fn open_at(&self, (target, generation, _): &Place) -> Option<&Open> {
        self.targets.get(target)?.get(*generation)
    }

    fn open_at_mut(&mut self, (target, generation, _): &Place) -> Option<&mut Open> {
        self.targets.get_mut(target)?.get_mut(*generation)
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
        pace.learn(500, Duration::from_secs(27), true);
        assert_eq!(pace.files_enough, 1000);
        pace.learn(360, Duration::from_secs(72), false);
        assert_eq!(pace.files_enough, 270);
        // Few large files.
        pace.learn(FILES_TELLING, Duration::from_secs(50), true);
        assert_eq!(pace.files_enough, 270);
        pace.learn(1, Duration::from_secs(72), false);
        assert_eq!(pace.files_enough, FILES_ENOUGH_MIN);
        pace.learn(MANY, Duration::ZERO, true);
        assert_eq!(pace.files_enough, FILES_ENOUGH_MAX);
    }

    #[test]
    fn a_stage_of_few_files_does_not_say_that_a_store_is_quick() {
        let mut pace = Pace::default();
        pace.learn(1, Duration::from_millis(20), true);
        pace.learn(FILES_TELLING - 1, Duration::from_millis(20), true);
        assert_eq!(pace.files_enough, FILES_ENOUGH);
        pace.learn(FILES_TELLING, Duration::from_millis(20), true);
        assert_eq!(pace.files_enough, FILES_ENOUGH_MAX);
    }
}
