//! Records as tests write and compare them.

use crate::{Append, Output, Position, TopicInfo};
use bytes::Bytes;
use jackfield_batch::{Batch, BatchWriter, Headers, Limits, Record, SchemaIds};
use std::time::{SystemTime, UNIX_EPOCH};

/// A record that stands by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Owned {
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) schemas: SchemaIds,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A record that was read, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) offset: i64,
    pub(crate) record: Owned,
}

impl Owned {
    /// A record with a text as its value.
    pub(crate) fn text(text: &str) -> Self {
        Self {
            timestamp_ms: now_ms(),
            key: Some(b"key".to_vec()),
            value: Some(text.as_bytes().to_vec()),
            ..Self::default()
        }
    }
}

impl Seen {
    /// The value, which must be a text.
    pub(crate) fn text(&self) -> &str {
        let value = self.record.value.as_deref().unwrap();
        str::from_utf8(value).unwrap()
    }

    /// Whether the value is this text.
    pub(crate) fn text_is(&self, text: &str) -> bool {
        self.record.value.as_deref() == Some(text.as_bytes())
    }
}

/// The texts of what was read.
pub(crate) fn texts(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(Seen::text).collect()
}

/// Now, as records say it. A time far from now would make a broker refuse or delete them.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Packs records into one batch.
pub(crate) fn pack(records: &[Owned]) -> Bytes {
    let mut writer = BatchWriter::new();
    for record in records {
        push(&mut writer, record);
    }
    writer.finish().into()
}

/// Adds a record to a batch that has room for it.
pub(crate) fn push(writer: &mut BatchWriter, owned: &Owned) {
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
    writer.push(&record).unwrap();
}

/// The records of a batch that was read. It must be sound, within the limits, and say where each
/// of them lies.
pub(crate) fn unpack(bytes: &[u8]) -> Vec<Seen> {
    let batch = Batch::parse(bytes, &Limits::default()).expect("a batch that is read is sound");
    (0..)
        .zip(batch.iter())
        .map(|(i, record)| Seen {
            offset: batch
                .offset(i)
                .expect("a batch that is read has coordinates"),
            record: Owned {
                timestamp_ms: record.timestamp_ms,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                schemas: record.schemas,
                headers: record
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                    .collect(),
            },
        })
        .collect()
}

/// One output of records with these texts.
pub(crate) fn output<T: AsRef<str>>(topic: &TopicInfo, partition: i32, texts: &[T]) -> Output {
    let records: Vec<Owned> = texts.iter().map(|t| Owned::text(t.as_ref())).collect();
    Output {
        topic: topic.name.clone(),
        partition,
        batch: pack(&records),
    }
}

/// An append of nothing but records.
pub(crate) fn of(outputs: impl IntoIterator<Item = Output>) -> Append {
    Append {
        outputs: outputs.into_iter().collect(),
        ..Append::default()
    }
}

/// The position of a partition of an origin: the number `n`.
pub(crate) fn position(partition: &str, n: u64) -> Position {
    Position {
        offset: Some(format!(r#"{{"n":{n}}}"#)),
        ..deleted(partition)
    }
}

/// Takes that position away.
pub(crate) fn deleted(partition: &str) -> Position {
    Position {
        partition: format!(r#"{{"name":"{partition}"}}"#),
        offset: None,
    }
}
