//! A record as a line of JSON.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use apache_avro::{Schema, from_avro_datum};
use jackfield_sdk::sink::{Ports, SchemasError, Span};
use jackfield_sdk::{Failure, SchemaKind};
use serde_json::{Value, json};

/// How values of one schema are encoded.
#[derive(Debug)]
pub(crate) enum Format {
    Avro(Box<Schema>),
    Json,
    Text,
}

/// The format of that schema; 0 is none.
pub(crate) fn format<'a>(
    known: &'a mut HashMap<u32, Format>,
    ports: &Ports,
    id: u32,
) -> Result<&'a Format, Failure> {
    match known.entry(id) {
        Entry::Occupied(it) => Ok(it.into_mut()),
        Entry::Vacant(it) if id == 0 => Ok(it.insert(Format::Text)),
        Entry::Vacant(it) => {
            let schema = ports.schemas.get(id).map_err(|error| match error {
                SchemasError::Transient(reason) => Failure::Retry {
                    after_ms: 1000,
                    reason,
                },
                SchemasError::Refused(reason) => Failure::Misconfigured(reason),
                SchemasError::Missing => Failure::Misconfigured(format!("there is no schema {id}")),
            })?;
            let format = match schema.kind {
                SchemaKind::Avro => {
                    Schema::parse_str(&schema.text).map(|it| Format::Avro(Box::new(it)))
                }
                SchemaKind::Json => Ok(Format::Json),
                SchemaKind::None => Ok(Format::Text),
            };
            Ok(it.insert(
                format.map_err(|error| Failure::Misconfigured(format!("schema {id}: {error}")))?,
            ))
        }
    }
}

/// The record's line, or why it can't have one. Its coordinates let the receiver drop what it has
/// seen before.
pub(crate) fn of(
    at: &Span,
    offset: Option<i64>,
    format: &Format,
    value: Option<&[u8]>,
) -> Result<Vec<u8>, String> {
    let value = match value {
        Some(bytes) => json(format, bytes)?,
        None => Value::Null,
    };
    let line =
        json!({"topic": at.topic, "partition": at.partition, "offset": offset, "value": value});
    Ok(format!("{line}\n").into_bytes())
}

fn json(format: &Format, mut bytes: &[u8]) -> Result<Value, String> {
    match format {
        Format::Avro(schema) => from_avro_datum(schema, &mut bytes, None)
            .and_then(Value::try_from)
            .map_err(|error| error.to_string()),
        Format::Json => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
        Format::Text => String::from_utf8(bytes.to_vec())
            .map(Value::String)
            .map_err(|error| error.to_string()),
    }
}
