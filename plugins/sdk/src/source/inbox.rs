//! Events as a source takes them, across polls.

use jackfield_batch::event::{Event, Events};

use super::Host;
use crate::Failure;

/// Bytes of events asked for at once: about a batch's worth, so that neither waits for the other.
const RECEIVE_BYTES_MAX: u32 = 256 * 1024;

/// The events that were received and not taken yet.
///
/// A poll takes as many as fit its batches; the next poll goes on where this one stopped.
#[derive(Debug, Default)]
pub struct Inbox {
    packed: Vec<u8>,
    count: usize,
    taken: usize,
    done_through: u64,
}

impl Inbox {
    /// Without events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the host for events, unless some are left. Waits at most `wait_ms` for the first.
    ///
    /// # Errors
    /// The host's bytes are no events: its promise is broken.
    pub fn refill(&mut self, host: &Host, wait_ms: u32) -> Result<(), Failure> {
        if !self.is_empty() {
            return Ok(());
        }
        let packed = host.receive(RECEIVE_BYTES_MAX, wait_ms);
        (self.count, self.taken) = (0, 0);
        if !packed.is_empty() {
            self.count = Events::parse(&packed)
                .map_err(|error| {
                    Failure::Broken(format!("the host's events are malformed: {error}"))
                })?
                .len();
        }
        self.packed = packed;
        Ok(())
    }

    /// Whether nothing is left to take.
    pub fn is_empty(&self) -> bool {
        self.taken == self.count
    }

    /// The events that are not taken yet, in order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        let all =
            (self.count > 0).then(|| Events::parse(&self.packed).expect("parsed when received"));
        all.into_iter().flat_map(|it| it.iter()).skip(self.taken)
    }

    /// The first `events` of those not taken are contained in what this poll gives.
    pub fn take(&mut self, events: usize) {
        if let Some(last) = events.checked_sub(1).and_then(|at| self.events().nth(at)) {
            self.done_through = last.number;
        }
        self.taken = self.count.min(self.taken + events);
    }

    /// The last event taken: what a source that never holds events back reports as done.
    pub fn done_through(&self) -> u64 {
        self.done_through
    }
}
