//! What an author of a Jackfield connector uses.
//!
//! A connector is a struct that implements [`source::Source`] or [`sink::Sink`] in plain Rust.
//! `export_source!` or `export_sink!` turns it into a WASM component when it is built for
//! `wasm32-wasip2` with the feature of the same name; everywhere else the same struct runs
//! natively, in tests, on the fakes of the `testing` modules.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod avro;
pub mod sink;
pub mod source;

mod human_duration;
mod settings;
mod types;

pub use human_duration::HumanDuration;
pub use jackfield_batch as batch;
pub use settings::{parse_settings, settings_schema};
pub use types::{
    Context, Counts, Delivery, Description, Failure, Finding, Rejection, Role, Saved, Schema,
    SchemaKind, Severity,
};
