//! The events that a shadow can be given next.

use super::tap::Heard;
use std::collections::VecDeque;

/// As an inbox gives at once.
pub(super) const RECEIVE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Events that are made ready at once; the rest stays where it is bounded in bytes.
const READY_MAX: usize = 16 * 1024;
/// Bytes of them: what is given at once, and as much again to go on with. What lies here is not
/// counted by the tap, and a shadow that is too slow is told by a tap that is full.
const READY_BYTES_MAX: usize = 2 * RECEIVE_BYTES_MAX;

/// A queue that knows what it holds.
#[derive(Debug, Default)]
pub(super) struct Ready {
    events: VecDeque<Heard>,
    bytes: usize,
}

impl Ready {
    /// Whether no more is to be taken from where the events come from. What the new version is owed
    /// is added even so, and has bounds of its own: the end of its request, or what was parked of a
    /// connection that it has just asked for.
    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= READY_MAX || self.bytes >= READY_BYTES_MAX
    }

    pub(super) fn push_back(&mut self, heard: Heard) {
        self.bytes += heard.cost();
        self.events.push_back(heard);
    }

    pub(super) fn pop_front(&mut self) -> Option<Heard> {
        let heard = self.events.pop_front()?;
        self.bytes -= heard.cost();
        Some(heard)
    }

    pub(super) fn front(&self) -> Option<&Heard> {
        self.events.front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// What it holds in memory.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Heard> {
        self.events.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_batch::event::Kind;

    fn heard(bytes: usize) -> Heard {
        Heard {
            number: 1,
            kind: Kind::Text,
            id: 1,
            received_ns: 0,
            body: vec![0; bytes].into(),
        }
    }

    #[test]
    fn it_is_full_by_bytes_and_by_events_and_has_room_again() {
        for bytes in [0, 1000, 100_000, READY_BYTES_MAX] {
            let mut ready = Ready::default();
            while !ready.is_full() {
                ready.push_back(heard(bytes));
                assert!(ready.bytes() < READY_BYTES_MAX + heard(bytes).cost());
                assert!(ready.events.len() <= READY_MAX);
            }
            while ready.pop_front().is_some() {}
            assert_eq!((ready.bytes(), ready.is_full()), (0, false));
        }
    }
}
