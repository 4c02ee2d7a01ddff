//! What an event that is not a frame carries.

use crate::Malformed;
use crate::layout::{Cursor, put_sized};

/// How a connection ended: `code` u16, then the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed<'a> {
    /// The close code; 0: none was given, or the connection never came to be.
    pub code: u16,
    /// For people.
    pub reason: &'a str,
}

/// An answer: `status` u16, note (length u32 and bytes), count of headers u32, each header's name
/// and value (length u32 and bytes), then the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<'a> {
    /// The HTTP status.
    pub status: u16,
    /// What the asker kept beside the request.
    pub note: &'a [u8],
    /// Names in lower case, and values.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body, whole.
    pub body: &'a [u8],
}

/// Why there is no answer: the error u8, note (length u32 and bytes), then the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFailed<'a> {
    /// What the asker kept beside the request.
    pub note: &'a [u8],
    /// Of which kind.
    pub error: RequestError,
    /// For people.
    pub message: &'a str,
}

/// Why there is no answer to a request.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestError {
    /// No grant covers it.
    Denied = 1,
    /// Nothing answered there.
    Unreachable = 2,
    /// The answer is larger than allowed.
    TooLarge = 3,
    /// It took longer than asked.
    Timeout = 4,
    /// It was given up; nothing is known of the outcome.
    Interrupted = 5,
}

impl TryFrom<u8> for RequestError {
    type Error = Malformed;

    fn try_from(code: u8) -> Result<Self, Malformed> {
        Ok(match code {
            1 => Self::Denied,
            2 => Self::Unreachable,
            3 => Self::TooLarge,
            4 => Self::Timeout,
            5 => Self::Interrupted,
            found => {
                return Err(Malformed::Unknown {
                    what: "request error",
                    found: found.into(),
                });
            }
        })
    }
}

impl<'a> Closed<'a> {
    /// Packs it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.code.to_le_bytes().to_vec();
        out.extend_from_slice(self.reason.as_bytes());
        out
    }

    /// Reads it in place.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (code, reason) = split_u16(bytes)?;
        Ok(Self {
            code,
            reason: text("the reason of a closing", reason)?,
        })
    }
}

impl<'a> Response<'a> {
    /// Packs it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.status.to_le_bytes().to_vec();
        put_sized(&mut out, self.note);
        let count = u32::try_from(self.headers.len())
            .expect("an HTTP client bounds headers far below 4 billion");
        out.extend_from_slice(&count.to_le_bytes());
        for (name, value) in &self.headers {
            put_sized(&mut out, name.as_bytes());
            put_sized(&mut out, value.as_bytes());
        }
        out.extend_from_slice(self.body);
        out
    }

    /// Reads it; only the list of headers is allocated.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (status, rest) = split_u16(bytes)?;
        let cut_off = || cut_off(bytes);
        let mut at = Cursor(rest);
        let note = at.sized().ok_or_else(cut_off)?;
        let count = at.u32().ok_or_else(cut_off)?;
        // The list grows with what is really there, not with what the count says.
        let mut headers = Vec::new();
        for _ in 0..count {
            let name = at.sized().ok_or_else(cut_off)?;
            let value = at.sized().ok_or_else(cut_off)?;
            headers.push((
                text("a header's name", name)?,
                text("a header's value", value)?,
            ));
        }
        Ok(Self {
            status,
            note,
            headers,
            body: at.0,
        })
    }
}

impl<'a> RequestFailed<'a> {
    /// Packs it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.error as u8];
        put_sized(&mut out, self.note);
        out.extend_from_slice(self.message.as_bytes());
        out
    }

    /// Reads it in place.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (&error, rest) = bytes.split_first().ok_or_else(|| cut_off(bytes))?;
        let mut at = Cursor(rest);
        let note = at.sized().ok_or_else(|| cut_off(bytes))?;
        Ok(Self {
            note,
            error: error.try_into()?,
            message: text("the message of a failed request", at.0)?,
        })
    }
}

fn split_u16(bytes: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (first, rest) = bytes.split_first_chunk().ok_or_else(|| cut_off(bytes))?;
    Ok((u16::from_le_bytes(*first), rest))
}

/// It ends inside something that it said would be there.
fn cut_off(bytes: &[u8]) -> Malformed {
    Malformed::CutOff {
        have: bytes.len(),
        need: bytes.len() + 1,
    }
}

fn text<'a>(what: &'static str, bytes: &'a [u8]) -> Result<&'a str, Malformed> {
    str::from_utf8(bytes).map_err(|_| Malformed::NotText { what })
}
