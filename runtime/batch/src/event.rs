//! What a source's inbox gives: frames, closings and answers of all its connections, packed.
//!
//! Little-endian, sections in this order:
//!
//! | section | bytes | holds |
//! |---|---|---|
//! | header | 16 | magic `JFEV`, version u16, flags u16 (none yet), count u32, arena bytes u32 |
//! | numbers | count × 8 | u64, strictly rising from at least 1 |
//! | ids | count × 8 | u64, of the connection or request |
//! | received | count × 8 | i64, ns since the epoch |
//! | kinds | count × 1 | see [`Kind`] |
//! | ends | count × 4 | u32, end in the arena |
//! | arena | arena bytes | the bodies |
//!
//! The body of a frame is its bytes; those of the other kinds are [`Closed`], [`Response`] and
//! [`RequestFailed`], packed.

mod body;
mod frame;
mod reader;
mod writer;

pub use body::{Closed, RequestError, RequestFailed, Response};
pub use reader::{Events, EventsIter};
pub use writer::EventWriter;

use crate::Malformed;

/// What happened.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A connection is live; no body.
    Opened = 1,
    /// A text frame arrived; the body is UTF-8.
    Text = 2,
    /// A connection ended, or never came to be; the body is a [`Closed`].
    Closed = 3,
    /// An answer arrived; the body is a [`Response`].
    Response = 4,
    /// No answer will arrive; the body is a [`RequestFailed`].
    RequestFailed = 5,
    /// A binary frame arrived.
    Binary = 6,
}

impl TryFrom<u8> for Kind {
    type Error = Malformed;

    fn try_from(code: u8) -> Result<Self, Malformed> {
        Ok(match code {
            1 => Self::Opened,
            2 => Self::Text,
            3 => Self::Closed,
            4 => Self::Response,
            5 => Self::RequestFailed,
            6 => Self::Binary,
            found => {
                return Err(Malformed::Unknown {
                    what: "event kind",
                    found: found.into(),
                });
            }
        })
    }
}

/// One event of an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its place in the inbox, from 1.
    pub number: u64,
    /// What happened.
    pub kind: Kind,
    /// The connection or request that it happened to.
    pub id: u64,
    /// When the host received it, ns since the epoch.
    pub received_ns: i64,
    /// What came with it.
    pub body: &'a [u8],
}

impl Event<'_> {
    /// Bytes that it adds to a packed list of events.
    pub fn encoded_len(&self) -> usize {
        frame::EVENT_BYTES + self.body.len()
    }
}
