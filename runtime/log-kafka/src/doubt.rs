//! What errors in place of records leave in doubt.
//!
//! librdkafka takes an error for the record at its offset. When the group changes it goes on behind
//! that offset, past a record that it gave nobody. And where it stands just there, nobody can tell
//! a control record that was passed from the error. A seek to where the reader stands settles both.

use std::time::{Duration, Instant};

/// How long after the last error its place is looked at anew: many times as long as librdkafka
/// waits after an error before it fetches again (0.5 s), so that a row of errors costs one seek.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// What is in doubt of a partition since its last seek.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    /// How far errors alone have moved librdkafka's position, and when the last of them was taken.
    moved: Option<(i64, Instant)>,
    needs_seek: bool,
}

impl Doubt {
    /// An error was taken in place of the record at `offset`, which may be none.
    pub(crate) fn error(&mut self, offset: i64, now: Instant) {
        let past = offset + 1;
        let moved = self.moved.map_or(past, |(moved, _)| moved.max(past));
        self.moved = Some((moved, now));
    }

    /// librdkafka goes on from its own position. `error_waits`: it gave an error that was not
    /// looked at yet. Whether a seek is needed from now on.
    pub(crate) fn rebalanced(&mut self, error_waits: bool) -> bool {
        self.needs_seek |= error_waits || self.moved.is_some();
        self.needs_seek
    }

    /// Whether reading must go on with a seek to where the reader stands.
    pub(crate) fn needs_seek(&self) -> bool {
        self.needs_seek
    }

    /// Whether an error alone may have moved librdkafka to this position.
    pub(crate) fn covers(&self, position: i64) -> bool {
        self.moved.is_some_and(|(moved, _)| position <= moved)
    }

    /// Nothing has come for long: a seek tells whether the partition was stopped.
    pub(crate) fn lasts(&mut self) {
        self.needs_seek = true;
    }

    /// librdkafka stands where errors have moved it, and gives nothing more. Whether a seek is
    /// needed from now on, since errors have ended.
    pub(crate) fn settles(&mut self, now: Instant) -> bool {
        self.needs_seek |= self
            .moved
            .is_some_and(|(_, at)| now.duration_since(at) >= SETTLED_AFTER);
        self.needs_seek
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_moves_to_its_offset_and_no_further() {
        let mut doubt = Doubt::default();
        assert!(!doubt.covers(0));
        let now = Instant::now();
        doubt.error(7, now);
        // Of a topic, not of a record.
        doubt.error(0, now);
        assert!(doubt.covers(8));
        assert!(!doubt.covers(9), "past a record or a mark");
    }

    #[test]
    fn a_rebalance_needs_a_seek_after_an_error_alone() {
        let mut doubt = Doubt::default();
        assert!(!doubt.rebalanced(false));
        assert!(doubt.rebalanced(true), "one that waits");
        let mut doubt = Doubt::default();
        // An error without an offset.
        doubt.error(-1001, Instant::now());
        assert!(!doubt.needs_seek());
        assert!(doubt.rebalanced(false));
        assert!(doubt.needs_seek());
    }

    #[test]
    fn what_an_error_hides_is_looked_at_when_errors_have_ended() {
        let mut doubt = Doubt::default();
        let now = Instant::now();
        assert!(!doubt.settles(now));
        doubt.error(7, now);
        doubt.error(7, now + SETTLED_AFTER);
        assert!(!doubt.settles(now + SETTLED_AFTER));
        assert!(doubt.settles(now + SETTLED_AFTER * 2));
        assert!(doubt.needs_seek());
    }
}
