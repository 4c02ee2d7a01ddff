//! Records of any shape.

use jackfield_batch::{BatchWriter, Headers, Record, SchemaIds};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::ops::Range;

pub(crate) type OwnedHeaders = Vec<(String, Option<Vec<u8>>)>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Owned {
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    schemas: SchemaIds,
    headers: OwnedHeaders,
    offset: Option<i64>,
}

impl Owned {
    pub(crate) fn of(record: &Record<'_>, offset: Option<i64>) -> Self {
        Self {
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            schemas: record.schemas,
            headers: record
                .headers
                .iter()
                .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                .collect(),
            offset,
        }
    }
}

pub(crate) fn batch_of(records: &[Owned]) -> Vec<u8> {
    let mut writer = BatchWriter::new();
    for owned in records {
        let headers: Vec<(&str, Option<&[u8]>)> = owned
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect();
        let record = Record {
            timestamp_ms: owned.timestamp_ms,
            key: owned.key.as_deref(),
            value: owned.value.as_deref(),
            schemas: owned.schemas,
            headers: Headers::of(&headers),
        };
        match owned.offset {
            Some(offset) => writer.push_at(offset, &record).unwrap(),
            None => writer.push(&record).unwrap(),
        }
    }
    let len = writer.encoded_len();
    let bytes = writer.finish();
    assert_eq!(bytes.len(), len);
    bytes
}

/// Few different schemas, so that there are runs; null, empty and filled keys and values; batches
/// with and without headers, coordinates and gaps.
pub(crate) fn records(count: Range<usize>) -> impl Strategy<Value = Vec<Owned>> {
    let bytes = || option::of(vec(any::<u8>(), 0..24));
    let header = (".{0,4}", option::of(vec(any::<u8>(), 0..6)));
    let record = (
        any::<i64>(),
        bytes(),
        bytes(),
        (0u32..3, 0u32..2),
        vec(header, 0..3),
        1u32..3,
    );
    let place = option::of(prop_oneof![Just(0), 0..i64::MAX / 2]);
    (vec(record, count), place, any::<bool>(), any::<bool>()).prop_map(
        |(records, first, with_headers, with_gaps)| {
            let mut next = first;
            let owned = |(timestamp_ms, key, value, (value_id, key_id), headers, step): (
                _,
                _,
                _,
                _,
                OwnedHeaders,
                u32,
            )| {
                let offset = next;
                next = next.map(|at| at + if with_gaps { i64::from(step) } else { 1 });
                let schemas = SchemaIds {
                    value: value_id,
                    key: key_id,
                };
                let headers = if with_headers { headers } else { Vec::new() };
                Owned {
                    timestamp_ms,
                    key,
                    value,
                    schemas,
                    headers,
                    offset,
                }
            };
            records.into_iter().map(owned).collect()
        },
    )
}
