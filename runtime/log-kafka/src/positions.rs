//! Positions and inbox marks as records of a compacted topic, in the form of Kafka Connect's own
//! offset topic, so that its tools read and write them.
//!
//! | what | key | value |
//! |---|---|---|
//! | a position | `["<connector>",{<partition>}]` | `{<offset>}`; null: deleted |
//! | an inbox mark | `["<connector>",{"jackfield-slot":"<slot>"}]` | `{"epoch":"<uuid>","done-through":<n>}` |
//!
//! A mark looks to Connect like one more position. Keys are compared as JSON, whatever the order of
//! their fields; we write them sorted and without white space.

use crate::table::Rows;
use jackfield_log::{InboxMark, LogError, Position, Stored};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The only field of a mark's partition.
const SLOT: &str = "jackfield-slot";
const EPOCH: &str = "epoch";
const DONE_THROUGH: &str = "done-through";

/// A record to write: a key and a value; `None` deletes.
pub(crate) type Put = (String, Option<String>);

/// A position as a record.
pub(crate) fn put(connector: &str, position: &Position) -> Result<Put, LogError> {
    let partition = object(&position.partition, "partition", connector)?;
    if let Some(offset) = &position.offset {
        object(offset, "offset", connector)?;
    }
    Ok((key(connector, &partition), position.offset.clone()))
}

/// A mark as a record.
pub(crate) fn put_mark(connector: &str, slot: &str, mark: InboxMark) -> Put {
    let partition = Map::from_iter([(SLOT.to_owned(), slot.into())]);
    let value = serde_json::json!({
        EPOCH: mark.epoch.to_string(),
        DONE_THROUGH: mark.done_through,
    });
    (key(connector, &partition), Some(value.to_string()))
}

fn key(connector: &str, partition: &Map<String, Value>) -> String {
    let partition = sorted(Value::Object(partition.clone()));
    serde_json::json!([connector, partition]).to_string()
}

/// The same value with the fields of each object in order, whichever way maps are kept.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

fn object(text: &str, what: &str, connector: &str) -> Result<Map<String, Value>, LogError> {
    serde_json::from_str(text).map_err(|_| {
        LogError::Rejected(format!(
            "the {what} of a position of {connector} is no JSON object: {text}"
        ))
    })
}

/// All positions and marks of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    connectors: BTreeMap<String, Connector>,
}

#[derive(Debug, Default)]
struct Connector {
    /// Offsets by partition, both as JSON.
    positions: BTreeMap<String, String>,
    marks: BTreeMap<String, InboxMark>,
}

impl Positions {
    pub(crate) fn stored(&self, connector: &str, slot: &str) -> Stored {
        let Some(connector) = self.connectors.get(connector) else {
            return Stored::default();
        };
        let positions = connector
            .positions
            .iter()
            .map(|(partition, offset)| Position {
                partition: partition.clone(),
                offset: Some(offset.clone()),
            });
        Stored {
            positions: positions.collect(),
            mark: connector.marks.get(slot).copied(),
        }
    }
}

impl Rows for Positions {
    fn apply(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Ok((connector, partition)) =
            serde_json::from_slice::<(String, Map<String, Value>)>(key)
        else {
            tracing::warn!(
                key = %String::from_utf8_lossy(key),
                "a key in the topic of positions is not a connector and a partition"
            );
            return;
        };
        let value = value.and_then(|value| str::from_utf8(value).ok());
        let of = self.connectors.entry(connector).or_default();
        match slot(&partition) {
            Some(slot) => match value.and_then(mark) {
                Some(mark) => drop(of.marks.insert(slot.to_owned(), mark)),
                None => drop(of.marks.remove(slot)),
            },
            None => {
                let partition = sorted(Value::Object(partition)).to_string();
                match value {
                    // Connect writes a JSON null where it deletes.
                    Some(offset) if offset != "null" => {
                        of.positions.insert(partition, offset.to_owned());
                    }
                    _ => drop(of.positions.remove(&partition)),
                }
            }
        }
    }
}

fn slot(partition: &Map<String, Value>) -> Option<&str> {
    match partition.len() {
        1 => partition.get(SLOT)?.as_str(),
        _ => None,
    }
}

fn mark(value: &str) -> Option<InboxMark> {
    let value: Value = serde_json::from_str(value).ok()?;
    Some(InboxMark {
        epoch: Uuid::parse_str(value.get(EPOCH)?.as_str()?).ok()?,
        done_through: value.get(DONE_THROUGH)?.as_u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(partition: &str, offset: Option<&str>) -> Position {
        Position {
            partition: partition.into(),
            offset: offset.map(Into::into),
        }
    }

    #[test]
    fn a_position_lies_as_kafka_connect_writes_it() {
        let put = put("c", &position(r#"{"b":1,"a":"x"}"#, Some(r#"{"n":1}"#))).unwrap();
        assert_eq!(put.0, r#"["c",{"a":"x","b":1}]"#);
        assert_eq!(put.1.as_deref(), Some(r#"{"n":1}"#));
    }

    #[test]
    fn positions_are_no_other_json() {
        for (partition, offset) in [("[]", None), ("x", None), ("{}", Some("1"))] {
            let refused = put("c", &position(partition, offset));
            assert!(matches!(refused, Err(LogError::Rejected(_))), "{partition}");
        }
    }

    #[test]
    fn what_was_put_is_stored() {
        let mut all = Positions::default();
        let mut apply = |put: Put| all.apply(put.0.as_bytes(), put.1.as_deref().map(str::as_bytes));
        let mark = InboxMark {
            epoch: Uuid::from_u128(7),
            done_through: u64::MAX,
        };
        apply(put("c", &position(r#"{"p":1}"#, Some(r#"{"n":1}"#))).unwrap());
        apply(put("c", &position(r#"{"p":2}"#, Some(r#"{"n":2}"#))).unwrap());
        apply(put("c", &position(r#"{"p":1}"#, None)).unwrap());
        apply(put_mark("c", "s", mark));
        apply(("no key".into(), Some("{}".into())));
        let stored = all.stored("c", "s");
        assert_eq!(
            stored.positions,
            [position(r#"{"p":2}"#, Some(r#"{"n":2}"#))]
        );
        assert_eq!(stored.mark, Some(mark));
        assert_eq!(all.stored("c", "t").mark, None);
        assert_eq!(all.stored("d", "s"), Stored::default());
    }

    #[test]
    fn connects_own_order_of_fields_is_the_same_partition() {
        let mut all = Positions::default();
        all.apply(br#"["c",{"b":1,"a":2}]"#, Some(b"{\"n\":1}"));
        all.apply(br#"["c",{"a":2,"b":1}]"#, Some(b"{\"n\":2}"));
        let stored = all.stored("c", "s").positions;
        assert_eq!(stored, [position(r#"{"a":2,"b":1}"#, Some(r#"{"n":2}"#))]);
    }
}
