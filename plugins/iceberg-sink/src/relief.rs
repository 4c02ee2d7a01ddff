//! How much of its files one call may close: each is a request that the call waits for, and a call
//! that waits too long loses its rows.

use std::time::{Duration, SystemTime};

use crate::orphans::Until;

/// Files that a `put` closes to make room: some seconds, also where a request takes 200 ms. Small
/// ones are what is closed for that, and a batch brings fewer bytes than so many of them give back.
const FILES_PER_PUT_MAX: usize = 32;
/// Bytes of rows in them: two row groups, which a slow line takes in some seconds.
const BYTES_PER_PUT_MAX: usize = 16 * 1024 * 1024;
/// What that may take of the 27 seconds that all requests of a `put` have: the file at which it ends
/// has two thirds of the call by itself.
const PUT_TIME_MAX: Duration = Duration::from_secs(7);
/// What closing files may take of the 108 seconds that all requests of a `stage` have; the rest is
/// for the file at which it ends.
pub(crate) const STAGE_TIME_MAX: Duration = Duration::from_secs(72);

/// What is left of it in this call.
#[derive(Debug)]
pub(crate) struct Relief {
    files: usize,
    bytes: usize,
    until: Until,
    closed: usize,
}

impl Relief {
    /// Of a `put` that begins now.
    pub(crate) fn of_put(clock: fn() -> SystemTime) -> Self {
        Self::new(FILES_PER_PUT_MAX, BYTES_PER_PUT_MAX, PUT_TIME_MAX, clock)
    }

    /// Of a `stage` that begins now: as many as there is time for.
    pub(crate) fn of_stage(clock: fn() -> SystemTime) -> Self {
        Self::new(usize::MAX, usize::MAX, STAGE_TIME_MAX, clock)
    }

    fn new(files: usize, bytes: usize, time: Duration, clock: fn() -> SystemTime) -> Self {
        let until = Until {
            clock,
            at: clock() + time,
        };
        Self {
            files,
            bytes,
            until,
            closed: 0,
        }
    }

    /// A file is closed that so many bytes of rows are left of.
    pub(crate) fn closes(&mut self, bytes: usize) {
        self.closed += 1;
        self.files = self.files.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Whether no more is to be closed in this call.
    pub(crate) fn is_spent(&self) -> bool {
        self.files == 0 || self.bytes == 0 || self.until.is_over()
    }

    /// Files that were closed in this call.
    pub(crate) fn closed(&self) -> usize {
        self.closed
    }
}
