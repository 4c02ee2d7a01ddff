//! Packed records and packed inbox events.
//!
//! Records cross from source to log and from log to sink without being unpacked: one byte string
//! a batch, written once by [`BatchWriter`] and read in place by [`Batch`]. Everything about a
//! batch is checked once, in [`Batch::parse`]; what comes after can't fail.
//!
//! # Layout
//! Little-endian. A header of 32 bytes: magic `JFRB`, version `u16`, flags `u16` (1 headers,
//! 2 coordinates, 4 gaps), records `u32`, runs `u32`, arena bytes `u32`, headers-section bytes
//! `u32`, first offset `i64` (0 without coordinates). Then, each as a column over all records:
//! runs of (records, value schema id, key schema id), `u32` each; timestamps in ms, `i64`; key
//! ends `u32`; value ends `u32`; with gaps, offsets relative to the first, `u32`; the headers
//! section; the arena. Record i's key lies in the arena from the end of value i-1 to its key end,
//! its value from there to its value end. The top bit of an end marks null: null is not empty.
//!
//! The headers section: for each record the end of its headers' bytes in the rest of the section
//! (`u32`), then for each header name length `u16`, value length `u32` (`u32::MAX`: null), name, value.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod event;
mod headers;
mod layout;
mod malformed;
mod reader;
mod record;
mod stamp;
mod writer;

pub use headers::Headers;
pub use layout::{BATCH_BYTES_MAX, Limits, RECORDS_MAX};
pub use malformed::Malformed;
pub use reader::{Batch, Run};
pub use record::{Record, SchemaIds};
pub use stamp::{stamp_first_offset, stamp_schemas};
pub use writer::{BatchWriter, Full};
