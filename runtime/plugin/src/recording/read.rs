//! A recording, read back.

use super::format::{
    Call, End, Kind, MAGIC, Opening, RecordedSchema, RecordedSpan, SECTION_HEADER_BYTES,
    SlotOpening, VERSION,
};
use crate::shadow::{Heard, Item};
use crate::types::Span;
use bytes::Bytes;
use jackfield_batch::event::Events;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// A file that can't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum BadRecording {
    /// It is something else.
    #[error("it is no recording: it does not begin with `JFRC`")]
    NotOne,
    /// It was written by a later release.
    #[error("it is a recording of version {found}, this release reads version {VERSION}")]
    Version {
        /// The version.
        found: u16,
    },
    /// It says nothing of what was recorded.
    #[error("it was cut off before anything was recorded")]
    Empty,
    /// A section makes no sense.
    #[error("at byte {at}: {reason}")]
    Malformed {
        /// Where the section begins.
        at: usize,
        /// What is wrong.
        reason: String,
    },
}

/// What a sink's task was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A batch.
    Batch {
        /// The task's number.
        task: u16,
        /// Where it lies in the log.
        span: Span,
        /// The records.
        records: Bytes,
    },
    /// A task staged.
    Staged {
        /// The task's number.
        task: u16,
    },
}

/// What a connector was given.
#[derive(Debug, Clone)]
pub struct Recording {
    /// What was recorded.
    pub opening: Opening,
    /// Of a source: each slot, and what reached it, by its number.
    pub slots: BTreeMap<u16, (SlotOpening, Vec<Item>)>,
    /// Of a sink: the schemas of its batches.
    pub schemas: Vec<RecordedSchema>,
    /// Of a sink: what its tasks were given, in order.
    pub entries: Vec<Entry>,
    /// Why it ends; none: it was cut off.
    pub end: Option<String>,
}

impl Recording {
    /// Reads a whole file. What comes after a cut is left out.
    ///
    /// # Errors
    /// It is no recording, or not of a version that is known, or damaged.
    pub fn read(file: Bytes) -> Result<Self, BadRecording> {
        let begin = MAGIC.len() + 2;
        if file.len() < begin || file[..MAGIC.len()] != MAGIC {
            return Err(BadRecording::NotOne);
        }
        let found = u16::from_le_bytes([file[MAGIC.len()], file[MAGIC.len() + 1]]);
        if found != VERSION {
            return Err(BadRecording::Version { found });
        }
        let mut recording: Option<Self> = None;
        let mut at = begin;
        while let Some((kind, slot, bytes)) = next(&file, at) {
            let end = at + SECTION_HEADER_BYTES + bytes.len();
            let malformed = |reason: String| BadRecording::Malformed { at, reason };
            let kind = Kind::of(kind).ok_or_else(|| malformed(format!("unknown kind {kind}")))?;
            match &mut recording {
                None if kind == Kind::Opening => {
                    recording = Some(Self {
                        opening: json(&bytes).map_err(malformed)?,
                        slots: BTreeMap::new(),
                        schemas: Vec::new(),
                        entries: Vec::new(),
                        end: None,
                    });
                }
                None => return Err(malformed("it does not say what was recorded".to_owned())),
                Some(recording) => recording.take(kind, slot, &bytes).map_err(malformed)?,
            }
            at = end;
        }
        recording.ok_or(BadRecording::Empty)
    }

    fn take(&mut self, kind: Kind, slot: u16, bytes: &Bytes) -> Result<(), String> {
        match kind {
            Kind::Opening => return Err("a second beginning".to_owned()),
            Kind::Slot => {
                let opening = json(bytes)?;
                self.slots.insert(slot, (opening, Vec::new()));
            }
            Kind::Events => {
                let items = self.items(slot)?;
                let events = Events::parse(bytes).map_err(|e| e.to_string())?;
                items.extend(events.iter().map(|event| {
                    Item::Event(Heard {
                        number: event.number,
                        kind: event.kind,
                        id: event.id,
                        received_ns: event.received_ns,
                        body: bytes.slice_ref(event.body),
                    })
                }));
            }
            Kind::Call => {
                let call: Call = json(bytes)?;
                self.items(slot)?.push(call.into());
            }
            Kind::End => self.end = Some(json::<End>(bytes)?.reason),
            Kind::Schema => self.schemas.push(json(bytes)?),
            Kind::Batch => {
                let (span, records) = batch(bytes).ok_or("a batch that is cut off")?;
                self.entries.push(Entry::Batch {
                    task: slot,
                    span: json::<RecordedSpan>(&span)?.into(),
                    records,
                });
            }
            Kind::Quiet => {}
            Kind::Staged => self.entries.push(Entry::Staged { task: slot }),
        }
        Ok(())
    }

    fn items(&mut self, slot: u16) -> Result<&mut Vec<Item>, String> {
        let known = self.slots.get_mut(&slot);
        let (_, items) = known.ok_or_else(|| format!("slot {slot} was not told"))?;
        Ok(items)
    }
}

/// The section at `at`, if it is there whole.
fn next(file: &Bytes, at: usize) -> Option<(u8, u16, Bytes)> {
    let header = file.get(at..at + SECTION_HEADER_BYTES)?;
    let slot = u16::from_le_bytes([header[1], header[2]]);
    let length = u32::from_le_bytes([header[3], header[4], header[5], header[6]]) as usize;
    let from = at + SECTION_HEADER_BYTES;
    let to = from.checked_add(length).filter(|to| *to <= file.len())?;
    Some((header[0], slot, file.slice(from..to)))
}

fn batch(bytes: &Bytes) -> Option<(Bytes, Bytes)> {
    let length: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    let end = 4usize.checked_add(u32::from_le_bytes(length) as usize)?;
    (end <= bytes.len()).then(|| (bytes.slice(4..end), bytes.slice(end..)))
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{
        Secrets, SlotWriter, begin, end, masked, sink_batch, sink_staged, slot_opening,
    };
    use crate::types::{Position, Saved, Slot};
    use crate::websocket::{Connection, ConnectionState};
    use jackfield_batch::event::Kind as EventKind;
    use std::time::Duration;

    fn opening() -> Opening {
        Opening {
            connector: "c".into(),
            kind: "source".into(),
            plugin: "p".into(),
            version: "1".into(),
            sha256: "00".into(),
            settings: serde_json::json!({}),
            masked: false,
            exactly_once: true,
            slots: 1,
            began_ms: 5,
        }
    }

    fn slot() -> SlotOpening {
        let slot = Slot {
            id: "s".into(),
            settings: "{}".into(),
        };
        let saved = Saved {
            version: 3,
            bytes: vec![0, 255, 7],
        };
        let connection = Connection {
            id: 4,
            name: "n".into(),
            url: "ws://x".into(),
            state: ConnectionState::Live,
            age: Duration::from_millis(17),
            note: Some(saved.clone()),
        };
        let position = Position {
            partition: "{}".into(),
            offset: None,
        };
        let mut secrets = Secrets::default();
        SlotOpening::new(
            &slot,
            9,
            &[position],
            Some(&saved),
            &[connection],
            &mut secrets,
        )
    }

    fn items() -> Vec<Item> {
        let event = |number: u64| {
            Item::Event(Heard {
                number,
                kind: EventKind::Text,
                id: 4,
                received_ns: 11,
                body: Bytes::from_static(b"frame"),
            })
        };
        let call = Item::Sent {
            id: 4,
            text: "hi".into(),
        };
        vec![event(10), event(11), call, event(12)]
    }

    fn file() -> Vec<u8> {
        let mut file = begin(&opening());
        file.extend(slot_opening(0, &slot()));
        let mut writer = SlotWriter::new(0);
        for item in items() {
            writer.push(item, &mut file);
        }
        writer.flush(&mut file);
        file
    }

    #[test]
    fn what_was_written_is_read_in_its_order() {
        let mut file = file();
        file.extend(end("enough"));
        let recording = Recording::read(file.into()).unwrap();
        assert_eq!(recording.opening, opening());
        let (slot_read, read) = &recording.slots[&0];
        assert_eq!((slot_read, read), (&slot(), &items()));
        assert_eq!(slot_read.saved().unwrap().bytes, [0, 255, 7]);
        assert_eq!(slot_read.connections()[0].age, Duration::from_millis(17));
        assert_eq!(recording.end.as_deref(), Some("enough"));
    }

    #[test]
    fn no_secret_of_the_settings_is_in_what_is_written_of_a_slot() {
        let settings = serde_json::json!({ "pin": "hidden-pin" });
        let schema = r#"{ "properties": { "pin": { "writeOnly": true } } }"#;
        let (shown, mut secrets) = masked(&settings, Some(schema));
        let slot = Slot {
            id: "s".into(),
            settings: r#"{"login":"me hidden-pin","symbol":"X"}"#.into(),
        };
        let slot = SlotOpening::new(&slot, 0, &[], None, &[], &mut secrets);
        let mut file = begin(&Opening {
            settings: shown,
            masked: secrets.any(),
            ..opening()
        });
        file.extend(slot_opening(0, &slot));
        assert!(!String::from_utf8_lossy(&file).contains("hidden"));
        let recording = Recording::read(file.into()).unwrap();
        assert!(recording.opening.masked);
        let read = recording.slots[&0].0.slot();
        assert_eq!(read.settings, r#"{"login":"me ***","symbol":"X"}"#);
    }

    #[test]
    fn a_sinks_batches_are_read_with_their_spans() {
        let span = Span {
            topic: "t".into(),
            topic_id: "i".into(),
            partition: 2,
            first_offset: 3,
            next_offset: 5,
        };
        let mut file = begin(&opening());
        file.extend(sink_batch(1, &span, b"records"));
        file.extend(sink_staged(1));
        let recording = Recording::read(file.into()).unwrap();
        let batch = Entry::Batch {
            task: 1,
            span,
            records: Bytes::from_static(b"records"),
        };
        assert_eq!(recording.entries, [batch, Entry::Staged { task: 1 }]);
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_holds_what_is_whole() {
        let file = file();
        let whole = Recording::read(file.clone().into()).unwrap();
        let all = &whole.slots[&0].1;
        for cut in 0..file.len() {
            match Recording::read(file[..cut].to_vec().into()) {
                Ok(recording) => {
                    let some = recording.slots.get(&0).map(|it| it.1.as_slice());
                    assert!(all.starts_with(some.unwrap_or_default()));
                }
                Err(BadRecording::NotOne | BadRecording::Empty) => {}
                Err(other) => panic!("cut at {cut}: {other}"),
            }
        }
    }

    #[test]
    fn another_file_or_version_is_refused() {
        assert!(matches!(
            Recording::read(Bytes::from_static(b"JFEV  ")),
            Err(BadRecording::NotOne)
        ));
        let mut later = file();
        later[4] = 9;
        assert!(matches!(
            Recording::read(later.into()),
            Err(BadRecording::Version { found: 9 })
        ));
    }
}
