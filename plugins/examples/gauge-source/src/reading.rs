//! The record, and the number that it is made of.

use jackfield_sdk::avro::{self, AvroRecord};
use jackfield_sdk::batch::event::{Event, Kind, RequestFailed, Response};
use jackfield_sdk::source::Host;
use serde::Deserialize;

/// A record of the feed `reading`.
pub(crate) struct Reading {
    pub(crate) number: i64,
    pub(crate) value: f64,
    pub(crate) received_ms: i64,
}

impl AvroRecord for Reading {
    const SCHEMA: &'static str = r#"{"type": "record", "name": "Reading", "fields": [
        {"name": "number", "type": "long", "doc": "Consecutive, from 1."},
        {"name": "value", "type": "double"},
        {"name": "received_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}
    ]}"#;

    fn encode(&self, out: &mut Vec<u8>) {
        avro::long(out, self.number);
        avro::double(out, self.value);
        avro::long(out, self.received_ms);
    }
}

/// What the URL answers. Other fields are passed over.
#[derive(Deserialize)]
struct Answer {
    value: f64,
}

/// The number in an event; none where the next question may bring one. An error: it can never
/// become a record.
pub(crate) fn value(host: &Host, event: &Event<'_>) -> Result<Option<f64>, String> {
    match event.kind {
        Kind::Response => {
            let response = Response::parse(event.body).map_err(|error| error.to_string())?;
            if response.status != 200 {
                host.warn(format!("answered with status {}", response.status));
                return Ok(None);
            }
            match serde_json::from_slice(response.body) {
                Ok(Answer { value }) => Ok(Some(value)),
                Err(error) => Err(error.to_string()),
            }
        }
        Kind::RequestFailed => {
            let failed = RequestFailed::parse(event.body).map_err(|error| error.to_string())?;
            host.warn(format!("not answered: {}", failed.message));
            Ok(None)
        }
        // Of connections, which this source does not open.
        Kind::Opened | Kind::Text | Kind::Binary | Kind::Closed => Ok(None),
    }
}
