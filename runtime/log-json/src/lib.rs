//! Topics whose records lie as JSON text, while both sides of the log know Avro only.
//!
//! [`JsonLog`] stands before another log. What is appended to a JSON topic is turned from Avro
//! datums into JSON by the schema that each record has; what is read of one is turned back by the
//! newest schema of the topic's subject, and has that schema's id then. Other topics pass as they
//! are, and so does whatever has no schema.
//!
//! | Avro | JSON |
//! |---|---|
//! | null, boolean, int, long, string, enum, array, map, record | what JSON has for it |
//! | times and dates | numbers, in the unit of the schema |
//! | float, double | numbers; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | decimal | text with all its digits, `"63042.17000000"`; a number is read too |
//! | bytes, fixed | base64 |
//! | union of null and one more | null, or the other's value |
//! | other unions | `{"<type>": value}`, null for null |
//!
//! When JSON is read, a field that is missing has its default, or null where it may be null; one
//! that no schema has is left out. Text that can't be read by the schema stays as it is, without a
//! schema and with the header [`REASON`], so that the sink rejects it and the reason is told.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod decimal;
mod log;
mod plan;
mod read;
mod reader;
mod schemas;
mod write;
mod writer;

pub use log::{JsonLog, JsonTopics};
pub use plan::{Plan, Unplannable};
pub use read::Unreadable;
pub use reader::REASON;
pub use write::Malformed;
