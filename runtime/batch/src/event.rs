//! Packed inbox events: all that reaches a source from outside.
//!
//! # Layout
//! Little-endian. A header of 16 bytes: magic `JFEV`, version `u16`, flags `u16` (0), events
//! `u32`, arena bytes `u32`. Then columns over all events: numbers `u64`, ids of connections or
//! requests `u64`, receive times in ns `i64`, body ends `u32`, kinds `u8`; then the arena.

use crate::layout::{i64_at, u16_at, u32_at, u64_at};
use crate::malformed::Malformed;

const MAGIC: [u8; 4] = *b"JFEV";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 16;
/// Columns of one event.
const EVENT_BYTES: usize = 8 + 8 + 8 + 4 + 1;

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A connection is live; no body.
    Opened = 1,
    /// A text frame; the body is its text.
    Text = 2,
    /// A connection is closed, or could not be opened; the body is [`Closed`].
    Closed = 3,
    /// A request was answered; the body is [`Response`].
    Response = 4,
    /// A request was not answered; the body is [`RequestFailed`].
    RequestFailed = 5,
    /// A binary frame; the body is its bytes.
    Binary = 6,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Opened),
            2 => Some(Self::Text),
            3 => Some(Self::Closed),
            4 => Some(Self::Response),
            5 => Some(Self::RequestFailed),
            6 => Some(Self::Binary),
            _ => None,
        }
    }
}

/// One event of an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// From 1 in each slot, rising.
    pub number: u64,
    /// What it is.
    pub kind: Kind,
    /// The connection or the request; never reused within a slot.
    pub id: u64,
    /// When the host received it, ns since the epoch.
    pub received_ns: i64,
    /// Depends on the kind.
    pub body: &'a [u8],
}

/// Packs events.
#[derive(Debug, Default)]
pub struct EventWriter {
    numbers: Vec<u8>,
    ids: Vec<u8>,
    received: Vec<u8>,
    ends: Vec<u8>,
    kinds: Vec<u8>,
    arena: Vec<u8>,
}

impl EventWriter {
    /// A writer without events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event. The caller bounds the bytes: see [`EventWriter::encoded_len`].
    ///
    /// # Panics
    /// When all bodies together reach 4 GiB.
    pub fn push(&mut self, event: &Event<'_>) {
        self.numbers.extend_from_slice(&event.number.to_le_bytes());
        self.ids.extend_from_slice(&event.id.to_le_bytes());
        self.received
            .extend_from_slice(&event.received_ns.to_le_bytes());
        self.arena.extend_from_slice(event.body);
        let end = u32::try_from(self.arena.len())
            .expect("an inbox gives megabytes at a time, not gigabytes");
        self.ends.extend_from_slice(&end.to_le_bytes());
        self.kinds.push(event.kind as u8);
    }

    /// Events so far.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there is no event yet.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Bytes if it were finished now.
    pub fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.len() * EVENT_BYTES + self.arena.len()
    }

    /// Bytes that an event with a body of `body` bytes adds.
    pub fn cost(body: usize) -> usize {
        EVENT_BYTES + body
    }

    /// The packed events; the writer is empty again.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        // The arena's length was kept within u32 by push, and each event takes a byte of it or none.
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.arena.len() as u32).to_le_bytes());
        for column in [
            &mut self.numbers,
            &mut self.ids,
            &mut self.received,
            &mut self.ends,
            &mut self.kinds,
            &mut self.arena,
        ] {
            out.append(column);
        }
        out
    }
}

/// Packed events, checked as a whole by [`Events::parse`].
#[derive(Debug, Clone, Copy)]
pub struct Events<'a> {
    count: usize,
    numbers: &'a [u8],
    ids: &'a [u8],
    received: &'a [u8],
    ends: &'a [u8],
    kinds: &'a [u8],
    arena: &'a [u8],
}

impl<'a> Events<'a> {
    /// Checks all bytes, once.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header = Malformed::Truncated {
            what: "the header",
            bytes: bytes.len(),
        };
        if bytes.get(..4).ok_or(header.clone())? != MAGIC {
            return Err(Malformed::Magic);
        }
        let version = u16_at(bytes, 4).ok_or(header.clone())?;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let flags = u16_at(bytes, 6).ok_or(header.clone())?;
        if flags != 0 {
            return Err(Malformed::Flags(flags));
        }
        let count = u32_at(bytes, 8).ok_or(header.clone())? as usize;
        let arena_len = u32_at(bytes, 12).ok_or(header)? as usize;
        let mut rest = &bytes[HEADER_BYTES..];
        let mut take = |len: Option<usize>, what| {
            let truncated = Malformed::Truncated {
                what,
                bytes: bytes.len(),
            };
            let (column, after) = len
                .and_then(|len| rest.split_at_checked(len))
                .ok_or(truncated)?;
            rest = after;
            Ok::<_, Malformed>(column)
        };
        let events = Self {
            count,
            numbers: take(count.checked_mul(8), "the numbers")?,
            ids: take(count.checked_mul(8), "the ids")?,
            received: take(count.checked_mul(8), "the receive times")?,
            ends: take(count.checked_mul(4), "the ends")?,
            kinds: take(Some(count), "the kinds")?,
            arena: take(Some(arena_len), "the arena")?,
        };
        if !rest.is_empty() {
            return Err(Malformed::Trailing(rest.len()));
        }
        events.check()?;
        Ok(events)
    }

    fn check(&self) -> Result<(), Malformed> {
        let (mut last_end, mut last_number) = (0, 0);
        for i in 0..self.count {
            let end = u32_at(self.ends, i * 4).unwrap_or(0);
            let number = u64_at(self.numbers, i * 8).unwrap_or(0);
            if end < last_end {
                return Err(Malformed::Inconsistent("an event ends before it begins"));
            }
            if number <= last_number {
                return Err(Malformed::Inconsistent("numbers don't rise"));
            }
            if Kind::of(self.kinds[i]).is_none() {
                return Err(Malformed::Inconsistent("an event of unknown kind"));
            }
            (last_end, last_number) = (end, number);
        }
        if last_end as usize != self.arena.len() {
            return Err(Malformed::Inconsistent("the events don't fill the arena"));
        }
        Ok(())
    }

    /// Events.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All events, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event<'a>> + use<'a> {
        let events = *self;
        (0..self.count).map(move |i| events.event(i))
    }

    fn event(&self, i: usize) -> Event<'a> {
        const CHECKED: &str = "columns and kinds are checked in parse";
        let from = if i == 0 {
            0
        } else {
            u32_at(self.ends, (i - 1) * 4).expect(CHECKED) as usize
        };
        let end = u32_at(self.ends, i * 4).expect(CHECKED) as usize;
        Event {
            number: u64_at(self.numbers, i * 8).expect(CHECKED),
            kind: Kind::of(self.kinds[i]).expect(CHECKED),
            id: u64_at(self.ids, i * 8).expect(CHECKED),
            received_ns: i64_at(self.received, i * 8).expect(CHECKED),
            body: &self.arena[from..end],
        }
    }
}

/// The body of [`Kind::Closed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed<'a> {
    /// The close code; 0: none was given, or the connection could not be opened.
    pub code: u16,
    /// The reason, for people.
    pub reason: &'a str,
}

impl<'a> Closed<'a> {
    /// Packs the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.code.to_le_bytes().to_vec();
        out.extend_from_slice(self.reason.as_bytes());
        out
    }

    /// Reads the body.
    ///
    /// # Errors
    /// [`Malformed`] when it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let truncated = Malformed::Truncated {
            what: "the close code",
            bytes: bytes.len(),
        };
        let code = u16_at(bytes, 0).ok_or(truncated)?;
        Ok(Self {
            code,
            reason: text(&bytes[2..])?,
        })
    }
}

/// The body of [`Kind::Response`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The note given with the request.
    pub note: &'a [u8],
    /// Headers, names in lower case.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Response<'a> {
    /// Packs the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.note.len() + self.body.len());
        out.extend_from_slice(&self.status.to_le_bytes());
        push_sized(&mut out, self.note);
        // A server's answer has some tens of headers; what does not fit is not given.
        let headers = &self.headers[..self.headers.len().min(usize::from(u16::MAX))];
        out.extend_from_slice(&(headers.len() as u16).to_le_bytes());
        for (name, value) in headers {
            push_sized(&mut out, name.as_bytes());
            push_sized(&mut out, value.as_bytes());
        }
        out.extend_from_slice(self.body);
        out
    }

    /// Reads the body.
    ///
    /// # Errors
    /// [`Malformed`] when it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let truncated = || Malformed::Truncated {
            what: "a response",
            bytes: bytes.len(),
        };
        let status = u16_at(bytes, 0).ok_or_else(truncated)?;
        let (note, mut rest) = take_sized(&bytes[2..]).ok_or_else(truncated)?;
        let count = u16_at(rest, 0).ok_or_else(truncated)?;
        rest = &rest[2..];
        let mut headers = Vec::with_capacity(usize::from(count).min(64));
        for _ in 0..count {
            let (name, after) = take_sized(rest).ok_or_else(truncated)?;
            let (value, after) = take_sized(after).ok_or_else(truncated)?;
            headers.push((text(name)?, text(value)?));
            rest = after;
        }
        Ok(Self {
            status,
            note,
            headers,
            body: rest,
        })
    }

    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }
}

/// Why a request was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RequestError {
    /// No grant covers it.
    Denied = 1,
    /// No connection to the server.
    Unreachable = 2,
    /// The answer is larger than allowed.
    TooLarge = 3,
    /// No answer in time.
    Timeout = 4,
    /// The host ended it.
    Interrupted = 5,
}

/// The body of [`Kind::RequestFailed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFailed<'a> {
    /// The note given with the request.
    pub note: &'a [u8],
    /// Why.
    pub error: RequestError,
    /// For people.
    pub message: &'a str,
}

impl<'a> RequestFailed<'a> {
    /// Packs the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.error as u8];
        push_sized(&mut out, self.note);
        out.extend_from_slice(self.message.as_bytes());
        out
    }

    /// Reads the body.
    ///
    /// # Errors
    /// [`Malformed`] when it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let truncated = || Malformed::Truncated {
            what: "a failed request",
            bytes: bytes.len(),
        };
        let (kind, rest) = bytes.split_first().ok_or_else(truncated)?;
        let error = match kind {
            1 => RequestError::Denied,
            2 => RequestError::Unreachable,
            3 => RequestError::TooLarge,
            4 => RequestError::Timeout,
            5 => RequestError::Interrupted,
            _ => {
                return Err(Malformed::Inconsistent(
                    "a request failed in an unknown way",
                ));
            }
        };
        let (note, message) = take_sized(rest).ok_or_else(truncated)?;
        Ok(Self {
            note,
            error,
            message: text(message)?,
        })
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed::Inconsistent("text that is not UTF-8"))
}

fn push_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    // Notes and headers are kilobytes at most; the host checks them on the way in.
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn take_sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = u32_at(bytes, 0)? as usize;
    bytes.get(4..)?.split_at_checked(len)
}
