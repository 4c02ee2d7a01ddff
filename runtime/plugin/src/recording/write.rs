//! Sections, one after the other.

use super::format::{
    Call, End, Kind, MAGIC, Opening, RecordedSchema, RecordedSpan, SECTION_HEADER_BYTES,
    SlotOpening, VERSION,
};
use crate::shadow::Item;
use crate::types::Span;
use jackfield_batch::event::{Event, EventWriter};
use serde::Serialize;

/// Bytes of events in a section, so that a file that is cut off loses little.
const EVENTS_BYTES_MAX: usize = 256 * 1024;

fn section(kind: Kind, slot: u16, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(SECTION_HEADER_BYTES + bytes.len());
    out.push(kind as u8);
    out.extend_from_slice(&slot.to_le_bytes());
    let length = u32::try_from(bytes.len()).expect("what is recorded at once is far below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
    out
}

fn json(kind: Kind, slot: u16, value: &impl Serialize) -> Vec<u8> {
    let bytes = serde_json::to_vec(value).expect("names, texts and numbers are JSON");
    section(kind, slot, &bytes)
}

/// The beginning of the file.
pub fn begin(opening: &Opening) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend(json(Kind::Opening, 0, opening));
    out
}

/// Where a slot stood.
pub fn slot_opening(slot: u16, opening: &SlotOpening) -> Vec<u8> {
    json(Kind::Slot, slot, opening)
}

/// The end of the file, and why it ends.
pub fn end(reason: &str) -> Vec<u8> {
    let end = End {
        reason: reason.to_owned(),
    };
    json(Kind::End, 0, &end)
}

/// A schema, before the first batch that carries its id.
pub fn schema(schema: &RecordedSchema) -> Vec<u8> {
    json(Kind::Schema, 0, schema)
}

/// A batch that a sink's task was given.
pub fn sink_batch(task: u16, span: &Span, batch: &[u8]) -> Vec<u8> {
    let span = serde_json::to_vec(&RecordedSpan::from(span)).expect("texts and numbers are JSON");
    let length = u32::try_from(span.len()).expect("a span is short");
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(&span);
    bytes.extend_from_slice(batch);
    section(Kind::Batch, task, &bytes)
}

/// A sink's task staged.
pub fn sink_staged(task: u16) -> Vec<u8> {
    section(Kind::Staged, task, &[])
}

/// Says that the recording goes on, where nothing happens.
pub fn quiet() -> Vec<u8> {
    section(Kind::Quiet, 0, &[])
}

/// Packs what reached a slot.
#[derive(Debug)]
pub struct SlotWriter {
    slot: u16,
    events: EventWriter,
}

impl SlotWriter {
    /// Of this slot, by its number.
    pub fn new(slot: u16) -> Self {
        Self {
            slot,
            events: EventWriter::new(),
        }
    }

    /// Adds an item; what is complete is appended to `out`.
    pub fn push(&mut self, item: Item, out: &mut Vec<u8>) {
        let call = match item {
            Item::Event(heard) => {
                self.events.push(&Event {
                    number: heard.number,
                    kind: heard.kind,
                    id: heard.id,
                    received_ns: heard.received_ns,
                    body: &heard.body,
                });
                if self.events.encoded_len() >= EVENTS_BYTES_MAX {
                    self.flush(out);
                }
                return;
            }
            Item::Opened { id, name, url } => Call::Open { id, name, url },
            Item::Sent { id, text } => Call::Send { id, text },
            Item::Closed { id } => Call::Close { id },
            Item::Asked { id, request } => Call::Request { id, request },
        };
        self.flush(out);
        out.extend(json(Kind::Call, self.slot, &call));
    }

    /// Appends what is packed so far.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if self.events.is_empty() {
            return;
        }
        let events = std::mem::replace(&mut self.events, EventWriter::new()).finish();
        out.extend(section(Kind::Events, self.slot, &events));
    }
}
