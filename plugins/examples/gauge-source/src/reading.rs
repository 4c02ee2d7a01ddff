//! The record, and the answer that it is made of.

use jackfield_sdk::avro::{self, AvroRecord};
use jackfield_sdk::batch::event::{Event, Kind, RequestFailed, Response};
use jackfield_sdk::source::{Host, RejectedEvent};
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

/// What an event becomes; none where the next question may bring a reading.
pub(crate) fn of(
    host: &Host,
    event: &Event<'_>,
    number: i64,
) -> Result<Option<Reading>, RejectedEvent> {
    let rejected = |reason| RejectedEvent {
        event: event.number,
        reason,
        excerpt: event.body.to_vec(),
    };
    match event.kind {
        Kind::Response => {
            let response = Response::parse(event.body).map_err(|it| rejected(it.to_string()))?;
            if response.status != 200 {
                host.warn(format!("answered with status {}", response.status));
                return Ok(None);
            }
            let Answer { value } =
                serde_json::from_slice(response.body).map_err(|it| rejected(it.to_string()))?;
            Ok(Some(Reading {
                number,
                value,
                received_ms: event.received_ns / 1_000_000,
            }))
        }
        Kind::RequestFailed => {
            let failed = RequestFailed::parse(event.body).map_err(|it| rejected(it.to_string()))?;
            host.warn(format!("not answered: {}", failed.message));
            Ok(None)
        }
        // Of connections, which this source does not open.
        Kind::Opened | Kind::Text | Kind::Binary | Kind::Closed => Ok(None),
    }
}
