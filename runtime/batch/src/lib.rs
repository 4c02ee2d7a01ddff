//! The packed batch: how records and inbox events cross between host and component, and how
//! records lie in the log.
//!
//! A batch is written once by a [`BatchWriter`] and from then on only looked at: [`Batch::parse`]
//! checks every length, end, offset and name once, and after that reading a record is a few loads
//! and no copy. The host changes two things in place: schema ids ([`stamp_schemas`]) and log
//! coordinates ([`stamp_first_offset`]). [`event`] has the same for what a source's inbox gives.
//!
//! # The format
//!
//! Little-endian throughout, sections in this order, nothing between or after them:
//!
//! | section | bytes | holds |
//! |---|---|---|
//! | header | 32 | magic `JFRB`, version u16, flags u16, count u32, runs u32, arena bytes u32, header bytes u32, first offset i64 |
//! | runs | runs × 12 | records u32, value schema id u32, key schema id u32 |
//! | timestamps | count × 8 | i64, ms since the epoch |
//! | key ends | count × 4 | end in the arena; bit 31: null |
//! | value ends | count × 4 | likewise |
//! | gaps, if flagged | count × 4 | u32, offset − first offset, strictly rising from 0 |
//! | headers, if flagged | header bytes | count × u32 ends, then each record's headers: name length u32, name, value length u32 (all ones: null), value |
//! | arena | arena bytes | key 0, value 0, key 1, value 1, … |
//!
//! Flags: 1 headers, 2 log coordinates, 4 gaps (only with 2). Without gaps, record `i` is at
//! `first offset + i`. A version or a flag that is not known is refused.
//!
//! ```
//! use jackfield_batch::{Batch, BatchWriter, Limits, Record};
//!
//! let mut writer = BatchWriter::new();
//! writer.push(&Record { key: Some(b"BTCUSDT"), value: Some(b"60000"), ..Record::default() })?;
//! let bytes = writer.finish();
//! let batch = Batch::parse(&bytes, &Limits::default())?;
//! assert_eq!(batch.record(0).key, Some(b"BTCUSDT".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![forbid(unsafe_code)]

pub mod event;
mod headers;
mod layout;
mod limits;
mod malformed;
mod reader;
mod record;
mod stamp;
mod writer;

pub use headers::{Headers, HeadersIter};
pub use limits::{BATCH_BYTES_MAX, Limits, RECORDS_MAX};
pub use malformed::Malformed;
pub use reader::{Batch, Records, Run};
pub use record::{Record, SchemaIds};
pub use stamp::{stamp_first_offset, stamp_schemas};
pub use writer::{BatchWriter, Full};
