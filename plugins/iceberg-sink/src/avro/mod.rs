//! Avro datum → Arrow columns, directly and strictly.
//!
//! The columns can be rolled back to any earlier row, so that a batch with a bad record in it is
//! not taken at all, and every bad record of it is named.

mod columns;
mod cursor;
mod decode;
mod schema;
mod skip;

pub(crate) use columns::Columns;
pub(crate) use cursor::Cursor;
pub(crate) use decode::{DAY_MICROS, Plan, Read};
pub(crate) use schema::{AvroField, AvroType, UUID_WIDTH, parse};
