//! Room in a table's metadata. Each snapshot stays in it, and a catalog takes so many bytes of it:
//! beyond them no commit gets through, not even one that expires snapshots.

use std::time::Duration;

use iceberg::table::Table;
use jackfield_sdk::sink::LogLevel;

use super::Committer;
use crate::offsets::taken_back;

/// From so many bytes of a document on snapshots go whatever their age: well below the 64 MiB that
/// the host takes, since parsed it is about three times as large.
pub(super) const DOCUMENT_BYTES_NEAR: usize = 24 * 1024 * 1024;
/// From so many on it is said, where nothing expires: readers and each commit get slow by then.
pub(super) const DOCUMENT_BYTES_LARGE: usize = 16 * 1024 * 1024;
/// Commits between two warnings of that.
const WARNED_EACH: u64 = 500;
/// Snapshots of a table, whatever their age: at a kilobyte or two each, ten megabytes and more that
/// every commit writes anew. A clean-up reads some more.
pub(super) const SNAPSHOTS_MAX: usize = 10_000;
/// Tenths of those that are left where there are more: a tenth goes at once, instead of one with
/// each commit.
const SNAPSHOTS_LEFT_TENTHS: usize = 9;
/// As many stay, however large the document is: then it is not they that make it so.
const SNAPSHOTS_LEFT_MIN: usize = 100;
/// The part of the age that snapshots are too old by before a life begins with their expiry: short
/// lives would else make one such commit each.
const MARGIN_PART: u32 = 10;

impl Committer {
    /// Before a commit: expires snapshots, if this is the table's first commit of a life or its
    /// metadata is about to get too large. Whether the table has changed by that.
    pub(super) fn make_room(&mut self, target: &str, table: &Table) -> bool {
        let Some(age) = self.settings.expire else {
            return false;
        };
        let near = self.known.document_bytes(target) >= self.schedule.document_bytes_near;
        let state = self.upkept.entry(target.to_owned()).or_default();
        if state.looked && !near {
            return false;
        }
        // Only once such a connector has committed can it do without what it stands on.
        if !near && !taken_back(table.metadata()).is_empty() {
            return false;
        }
        state.looked = true;
        let margin: Duration = age.0 / MARGIN_PART;
        let now = (self.schedule.clock)();
        let done = self.expire_of(target, table.clone(), now, age.0 + margin);
        let changed = matches!(done, Ok(Some(_)));
        self.said(target, "expiring snapshots", done);
        changed
    }

    /// How many snapshots an expiry leaves at most, of so many: the head, and those that can go.
    pub(super) fn snapshots_left(&self, target: &str, count: usize) -> usize {
        let near = self.known.document_bytes(target) >= self.schedule.document_bytes_near;
        let max = self.schedule.snapshots_max;
        let left = if count > max {
            max * SNAPSHOTS_LEFT_TENTHS / 10
        } else {
            count
        };
        if near {
            left.min((count / 2).max(SNAPSHOTS_LEFT_MIN))
        } else {
            left
        }
    }

    /// After a commit: a person must act before no more gets through.
    pub(super) fn warn_of_size(&mut self, target: &str) {
        let bytes = self.known.document_bytes(target);
        if self.settings.expire.is_some() || bytes < self.schedule.document_bytes_large {
            return;
        }
        let state = self.upkept.entry(target.to_owned()).or_default();
        let lately = |warned: u64| state.commits < warned + WARNED_EACH;
        if state.warned_at.is_some_and(lately) {
            return;
        }
        state.warned_at = Some(state.commits);
        let line = format!(
            "{target}: its metadata has {bytes} bytes, and no catalog is given more than 64 MiB of \
             it: set `maintain: {{ expire: 7d }}`, or expire old snapshots"
        );
        self.ports.log.write(LogLevel::Warn, &line);
    }
}
