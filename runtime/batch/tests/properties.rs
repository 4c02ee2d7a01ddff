//! What holds of any records, and of any bytes.
#![allow(clippy::unwrap_used, missing_docs)]

mod arbitrary;

use arbitrary::{Owned, batch_of, records};
use jackfield_batch::event::{Closed, Event, EventWriter, Events, Kind, RequestFailed, Response};
use jackfield_batch::{Batch, BatchWriter, Limits, Malformed};
use proptest::collection::vec;
use proptest::prelude::*;

/// Reads all that a batch gives, so that an accessor that could fail does.
fn walk(bytes: &[u8]) -> Result<(), Malformed> {
    let batch = Batch::parse(bytes, &Limits::default())?;
    let mut read = 0;
    for (i, record) in (0u32..).zip(batch.iter()) {
        assert_eq!(record, batch.record(i));
        read += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        read += record
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len))
            .sum::<usize>();
        assert_eq!(batch.offset(i).is_some(), batch.first_offset().is_some());
        assert!(
            batch
                .offset(i)
                .is_none_or(|at| at >= batch.first_offset().unwrap() && at < i64::MAX)
        );
    }
    assert!(read <= bytes.len());
    assert_eq!(
        batch.runs().map(|run| run.records).sum::<u32>(),
        batch.len()
    );
    assert_eq!(batch.as_bytes(), bytes);
    // A part of it, here all of it, goes into a batch again.
    let mut writer = BatchWriter::new();
    for (i, record) in (0u32..).zip(batch.iter()) {
        match batch.offset(i) {
            Some(offset) => writer.push_at(offset, &record).unwrap(),
            None => writer.push(&record).unwrap(),
        }
    }
    assert!(writer.encoded_len() <= bytes.len());
    Ok(())
}

fn walk_events(bytes: &[u8]) -> Result<(), Malformed> {
    let events = Events::parse(bytes)?;
    let mut last = 0;
    for event in &events {
        assert!(event.number > last);
        last = event.number;
        let _ = Closed::parse(event.body);
        let _ = Response::parse(event.body);
        let _ = RequestFailed::parse(event.body);
    }
    assert_eq!(events.iter().len(), events.len());
    Ok(())
}

fn packed_events(events: &[(u64, u8, u64, i64, Vec<u8>)]) -> Vec<u8> {
    let mut writer = EventWriter::new();
    let mut number = 0;
    for (step, kind, id, received_ns, body) in events {
        number += step;
        let kind = Kind::try_from(*kind).unwrap();
        writer.push(&Event {
            number,
            kind,
            id: *id,
            received_ns: *received_ns,
            body,
        });
    }
    let len = writer.encoded_len();
    let bytes = writer.finish();
    assert_eq!(bytes.len(), len);
    bytes
}

fn events() -> impl Strategy<Value = Vec<(u64, u8, u64, i64, Vec<u8>)>> {
    vec(
        (
            1u64..1000,
            1u8..=6,
            any::<u64>(),
            any::<i64>(),
            vec(any::<u8>(), 0..40),
        ),
        0..20,
    )
}

proptest! {
    #[test]
    fn what_was_written_is_read(records in records(0..40)) {
        let bytes = batch_of(&records);
        let batch = Batch::parse(&bytes, &Limits::default()).unwrap();
        let read: Vec<Owned> =
            (0u32..).zip(batch.iter()).map(|(i, record)| Owned::of(&record, batch.offset(i))).collect();
        prop_assert_eq!(&read, &records);
        walk(&bytes).unwrap();
    }

    #[test]
    fn what_was_read_is_written_to_the_same_bytes(records in records(0..40)) {
        let bytes = batch_of(&records);
        let batch = Batch::parse(&bytes, &Limits::default()).unwrap();
        let read: Vec<Owned> =
            (0u32..).zip(batch.iter()).map(|(i, record)| Owned::of(&record, batch.offset(i))).collect();
        prop_assert_eq!(batch_of(&read), bytes);
    }

    #[test]
    fn every_truncation_is_refused(records in records(0..12)) {
        let bytes = batch_of(&records);
        for len in 0..bytes.len() {
            prop_assert!(Batch::parse(&bytes[..len], &Limits::default()).is_err());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert!(Batch::parse(&longer, &Limits::default()).is_err());
    }

    #[test]
    fn every_changed_byte_is_refused_or_safe(records in records(0..8), to in any::<u8>()) {
        let mut bytes = batch_of(&records);
        for at in 0..bytes.len() {
            for value in [to, 0, 0xff, bytes[at] ^ 0x80, bytes[at].wrapping_add(1)] {
                let was = std::mem::replace(&mut bytes[at], value);
                let _ = walk(&bytes);
                bytes[at] = was;
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..300), magic in any::<bool>()) {
        let mut bytes = bytes;
        if magic && bytes.len() > 8 {
            bytes[..8].copy_from_slice(b"JFRB\x01\0\x07\0");
        }
        let _ = walk(&bytes);
        if magic && bytes.len() > 8 {
            bytes[..8].copy_from_slice(b"JFEV\x01\0\0\0");
        }
        let _ = walk_events(&bytes);
        let _ = Closed::parse(&bytes);
        let _ = Response::parse(&bytes);
        let _ = RequestFailed::parse(&bytes);
    }

    #[test]
    fn events_come_back(events in events()) {
        let bytes = packed_events(&events);
        let mut number = 0;
        let read = Events::parse(&bytes).unwrap();
        prop_assert_eq!(read.len(), events.len());
        for (event, (step, kind, id, received_ns, body)) in read.iter().zip(&events) {
            number += step;
            let kind = Kind::try_from(*kind).unwrap();
            prop_assert_eq!(event, Event { number, kind, id: *id, received_ns: *received_ns, body });
        }
        walk_events(&bytes).unwrap();
    }

    #[test]
    fn damaged_events_are_refused_or_safe(events in events(), to in any::<u8>()) {
        let mut bytes = packed_events(&events);
        for len in 1..bytes.len() {
            prop_assert!(Events::parse(&bytes[..len]).is_err());
        }
        for at in 0..bytes.len() {
            for value in [to, 0, 0xff, bytes[at] ^ 0x80] {
                let was = std::mem::replace(&mut bytes[at], value);
                let _ = walk_events(&bytes);
                bytes[at] = was;
            }
        }
    }
}
