//! What a connector was given, in a file: a bug report that can be run again.
//!
//! Little-endian: magic `JFRC`, version u16, then sections: kind u8, slot u16, length u32, bytes.
//!
//! | kind | holds |
//! |---|---|
//! | 1 | what was recorded, as JSON: see [`Opening`]; the first section |
//! | 2 | where a slot stood when it began, as JSON: see [`SlotOpening`] |
//! | 3 | events of a slot, packed as an inbox gives them: see [`jackfield_batch::event`] |
//! | 4 | what a slot's running version asked of the host, as JSON: a [`Call`] |
//! | 5 | why it ends, as JSON; the last section |
//! | 6 | a schema by its id, as JSON: see [`RecordedSchema`]; before the batches of it |
//! | 7 | a batch that a sink's task was given: length u32 of the span's JSON, the span, the batch |
//! | 8 | a sink's task staged; empty |
//! | 9 | nothing, so that a quiet recording is seen to go on; empty |
//!
//! For a sink the slot is the task's number. A file that ends in the middle of a section was cut
//! off, and holds what is whole before.

mod format;
mod mask;
mod read;
mod replay;
mod write;

pub use format::{Call, Opening, RecordedSchema, RecordedSpan, SlotOpening};
pub use mask::{Secrets, masked};
pub use read::{BadRecording, Entry, Recording};
pub use replay::{FeedTally, RecordSeen, ReplayEnd, Replayed, replay};
pub use write::{SlotWriter, begin, end, quiet, schema, sink_batch, sink_staged, slot_opening};
