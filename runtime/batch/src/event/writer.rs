//! Packs events.

use super::Event;
use super::frame::{EVENT_BYTES, HEADER_BYTES, MAGIC, VERSION};

/// Packs events in the order of their numbers. How many fit is the caller's to know: see
/// [`encoded_len`](Self::encoded_len) and [`Event::encoded_len`].
#[derive(Debug, Default)]
pub struct EventWriter {
    numbers: Vec<u8>,
    ids: Vec<u8>,
    received: Vec<u8>,
    kinds: Vec<u8>,
    ends: Vec<u8>,
    arena: Vec<u8>,
    last: u64,
}

impl EventWriter {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes an event.
    ///
    /// # Panics
    /// When the bodies pass 4 GiB; an inbox is bounded far below.
    pub fn push(&mut self, event: &Event<'_>) {
        debug_assert!(
            event.number > self.last,
            "event {} after {}",
            event.number,
            self.last
        );
        self.last = event.number;
        self.numbers.extend_from_slice(&event.number.to_le_bytes());
        self.ids.extend_from_slice(&event.id.to_le_bytes());
        self.received
            .extend_from_slice(&event.received_ns.to_le_bytes());
        self.kinds.push(event.kind as u8);
        self.arena.extend_from_slice(event.body);
        self.ends
            .extend_from_slice(&length(self.arena.len()).to_le_bytes());
    }

    /// Events written.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Bytes that [`finish`](Self::finish) would give now.
    pub fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.len() * EVENT_BYTES + self.arena.len()
    }

    /// The packed events. The writer is empty afterwards and keeps its buffers.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend_from_slice(MAGIC.as_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(&length(self.len()).to_le_bytes());
        out.extend_from_slice(&length(self.arena.len()).to_le_bytes());
        for column in [
            &mut self.numbers,
            &mut self.ids,
            &mut self.received,
            &mut self.kinds,
            &mut self.ends,
            &mut self.arena,
        ] {
            out.extend_from_slice(column);
            column.clear();
        }
        self.last = 0;
        out
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("an inbox is bounded far below 4 GiB")
}
