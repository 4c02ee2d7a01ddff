//! The batch format over arbitrary records and arbitrary bytes.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_batch::event::{
    Closed, Event, EventWriter, Events, Kind, RequestError, RequestFailed, Response,
};
use jackfield_batch::{
    Batch, BatchWriter, Full, Headers, Limits, Malformed, Record, SchemaIds, stamp_first_offset,
    stamp_schemas,
};
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq)]
struct Owned {
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    schemas: (u32, u32),
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Owned {
    fn with<T>(&self, f: impl FnOnce(&Record<'_>) -> T) -> T {
        let headers: Vec<(&str, Option<&[u8]>)> = self
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_deref()))
            .collect();
        f(&Record {
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            schemas: SchemaIds {
                value: self.schemas.0,
                key: self.schemas.1,
            },
            headers: Headers::of(&headers),
        })
    }

    fn of(record: &Record<'_>) -> Self {
        Self {
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            schemas: (record.schemas.value, record.schemas.key),
            headers: record
                .headers
                .into_iter()
                .map(|(n, v)| (n.to_owned(), v.map(<[u8]>::to_vec)))
                .collect(),
        }
    }
}

fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40))
}

fn record() -> impl Strategy<Value = Owned> {
    let headers = proptest::collection::vec(("[a-zé]{0,6}", bytes()), 0..3);
    (any::<i64>(), bytes(), bytes(), (0u32..3, 0u32..2), headers).prop_map(
        |(timestamp_ms, key, value, schemas, headers)| Owned {
            timestamp_ms,
            key,
            value,
            schemas,
            headers,
        },
    )
}

/// Uses everything that a parsed batch offers.
fn walk(batch: &Batch<'_>) {
    let mut n = 0;
    for (i, record) in (0u32..).zip(batch.iter()) {
        let owned = Owned::of(&record);
        assert_eq!(owned, Owned::of(&batch.record(i)));
        assert_eq!(batch.offset(i).is_some(), batch.first_offset().is_some());
        n += 1;
    }
    assert_eq!(n, batch.len());
    assert_eq!(
        batch.runs().map(|run| u64::from(run.records)).sum::<u64>(),
        u64::from(n)
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(records in proptest::collection::vec(record(), 0..60), gaps in proptest::option::of((0i64..1 << 40, proptest::collection::vec(1i64..5, 60)))) {
        let mut writer = BatchWriter::new();
        let mut offsets = Vec::new();
        let mut at = gaps.as_ref().map_or(0, |(first, _)| *first);
        for (i, owned) in records.iter().enumerate() {
            match &gaps {
                Some((_, steps)) => {
                    owned.with(|r| writer.push_at(at, r)).unwrap();
                    offsets.push(at);
                    at += steps[i];
                }
                None => owned.with(|r| writer.push(r)).unwrap(),
            }
        }
        let len = writer.encoded_len();
        let packed = writer.finish();
        prop_assert_eq!(packed.len(), len);
        prop_assert!(writer.is_empty());
        let batch = Batch::parse(&packed, &Limits::default()).unwrap();
        let read: Vec<Owned> = batch.iter().map(|r| Owned::of(&r)).collect();
        prop_assert_eq!(&read, &records);
        if gaps.is_some() {
            let read: Vec<i64> = (0..batch.len()).map(|i| batch.offset(i).unwrap()).collect();
            prop_assert_eq!(read, offsets);
        } else {
            prop_assert_eq!(batch.first_offset(), None);
        }
        walk(&batch);
    }

    #[test]
    fn a_batch_never_exceeds_its_limits(records in proptest::collection::vec(record(), 1..60), records_max in 1u32..20, bytes_max in 100usize..2000) {
        let limits = Limits { records_max, bytes_max };
        let mut writer = BatchWriter::with_limits(limits);
        let mut read = Vec::new();
        let mut fit = Vec::new();
        for owned in &records {
            let taken = match owned.with(|r| writer.push(r)) {
                Ok(()) => true,
                Err(Full::BatchIsFull) => {
                    let packed = writer.finish();
                    read.extend(Batch::parse(&packed, &limits).unwrap().iter().map(|r| Owned::of(&r)));
                    owned.with(|r| writer.push(r)).is_ok()
                }
                Err(_) => false,
            };
            if taken { fit.push(owned.clone()); }
        }
        let packed = writer.finish();
        read.extend(Batch::parse(&packed, &limits).unwrap().iter().map(|r| Owned::of(&r)));
        prop_assert_eq!(read, fit);
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut noise in proptest::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
        if magic && noise.len() >= 8 {
            noise[..8].copy_from_slice(b"JFRB\x01\0\0\0");
        }
        if let Ok(batch) = Batch::parse(&noise, &Limits::default()) { walk(&batch); }
        if magic && noise.len() >= 8 {
            noise[..8].copy_from_slice(b"JFEV\x01\0\0\0");
        }
        if let Ok(events) = Events::parse(&noise) { prop_assert_eq!(events.iter().count(), events.len()); }
        let _ = Closed::parse(&noise);
        let _ = Response::parse(&noise);
        let _ = RequestFailed::parse(&noise);
    }

    #[test]
    fn every_mutation_is_refused_or_harmless(records in proptest::collection::vec(record(), 1..12), at in any::<prop::sample::Index>(), byte in any::<u8>(), coordinates in any::<bool>()) {
        let mut writer = BatchWriter::new();
        for (i, owned) in records.iter().enumerate() {
            if coordinates { owned.with(|r| writer.push_at(i as i64 * 3, r)).unwrap() } else { owned.with(|r| writer.push(r)).unwrap() }
        }
        let mut packed = writer.finish();
        for end in 0..packed.len() {
            prop_assert!(Batch::parse(&packed[..end], &Limits::default()).is_err(), "truncated to {}", end);
        }
        let at = at.index(packed.len());
        packed[at] = byte;
        if let Ok(batch) = Batch::parse(&packed, &Limits::default()) { walk(&batch); }
    }

    #[test]
    fn events_are_read_as_written(bodies in proptest::collection::vec((1u8..7, any::<u64>(), any::<i64>(), proptest::collection::vec(any::<u8>(), 0..50)), 0..40), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let kinds = [Kind::Opened, Kind::Text, Kind::Closed, Kind::Response, Kind::RequestFailed, Kind::Binary];
        let mut writer = EventWriter::new();
        for (i, (kind, id, received_ns, body)) in bodies.iter().enumerate() {
            writer.push(&Event { number: i as u64 * 2 + 1, kind: kinds[usize::from(*kind) - 1], id: *id, received_ns: *received_ns, body });
        }
        let mut packed = writer.finish();
        let events = Events::parse(&packed).unwrap();
        prop_assert_eq!(events.len(), bodies.len());
        for (event, (kind, id, received_ns, body)) in events.iter().zip(&bodies) {
            prop_assert_eq!((event.kind as u8, event.id, event.received_ns, event.body), (*kind, *id, *received_ns, body.as_slice()));
        }
        for end in 0..packed.len() {
            prop_assert!(Events::parse(&packed[..end]).is_err());
        }
        let at = at.index(packed.len());
        packed[at] = byte;
        if let Ok(events) = Events::parse(&packed) { prop_assert_eq!(events.iter().count(), events.len()); }
    }
}

#[test]
fn stamps_are_written_in_place() {
    let mut writer = BatchWriter::new();
    let record = Record {
        timestamp_ms: 5,
        key: Some(b"k"),
        value: None,
        schemas: SchemaIds::default(),
        headers: Headers::default(),
    };
    writer.push(&record).unwrap();
    writer
        .push(&Record {
            schemas: SchemaIds { value: 9, key: 9 },
            value: Some(b""),
            ..record
        })
        .unwrap();
    let mut packed = writer.finish();
    stamp_schemas(&mut packed, SchemaIds { value: 3, key: 4 });
    stamp_first_offset(&mut packed, 1000);
    let batch = Batch::parse(&packed, &Limits::default()).unwrap();
    assert!(
        batch
            .iter()
            .all(|r| r.schemas == SchemaIds { value: 3, key: 4 })
    );
    assert_eq!((batch.offset(0), batch.offset(1)), (Some(1000), Some(1001)));
    assert_eq!(
        (batch.record(0).value, batch.record(1).value),
        (None, Some([].as_slice()))
    );
}

#[test]
fn an_unknown_version_is_named() {
    let mut packed = BatchWriter::new().finish();
    packed[4] = 2;
    assert_eq!(
        Batch::parse(&packed, &Limits::default()).unwrap_err(),
        Malformed::Version(2)
    );
}

#[test]
fn too_much_is_refused_before_it_is_looked_at() {
    let big = vec![0; jackfield_batch::BATCH_BYTES_MAX + 1];
    assert!(matches!(
        Batch::parse(&big, &Limits::default()),
        Err(Malformed::TooLarge { .. })
    ));
    let mut packed = BatchWriter::new().finish();
    packed[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(
        Batch::parse(&packed, &Limits::default()),
        Err(Malformed::TooManyRecords { .. })
    ));
}

#[test]
fn bodies_are_read_as_written() {
    let response = Response {
        status: 429,
        note: b"n",
        headers: vec![("retry-after", "3")],
        body: b"{}",
    };
    let packed = response.encode();
    let read = Response::parse(&packed).unwrap();
    assert_eq!(read, response);
    assert_eq!(read.header("retry-after"), Some("3"));
    let failed = RequestFailed {
        note: b"n",
        error: RequestError::Timeout,
        message: "after 5 s",
    };
    assert_eq!(RequestFailed::parse(&failed.encode()).unwrap(), failed);
    let closed = Closed {
        code: 1008,
        reason: "too many messages",
    };
    assert_eq!(Closed::parse(&closed.encode()).unwrap(), closed);
}
