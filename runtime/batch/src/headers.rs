//! Headers of one record.

use crate::layout::{u16_at, u32_at};
use crate::malformed::Malformed;

/// Length that stands for a null value.
const NULL_LEN: u32 = u32::MAX;
/// Name length and value length before each header.
const PREFIX_BYTES: usize = 6;

/// A record's headers: names, each with a value or null. Names may repeat.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a>(Source<'a>);

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    /// As they lie in a batch; checked when it was parsed.
    Packed(&'a [u8]),
    /// As given for writing.
    Given(&'a [(&'a str, Option<&'a [u8]>)]),
}

impl Default for Source<'_> {
    fn default() -> Self {
        Source::Given(&[])
    }
}

impl<'a> Headers<'a> {
    /// Headers to be written.
    pub fn of(headers: &'a [(&'a str, Option<&'a [u8]>)]) -> Self {
        Self(Source::Given(headers))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        match self.0 {
            Source::Packed(bytes) => bytes.is_empty(),
            Source::Given(headers) => headers.is_empty(),
        }
    }

    /// Checks packed headers of one record.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some((name, _, after)) = split(rest) else {
                return Err(Malformed::Inconsistent(
                    "a header ends past its record's headers",
                ));
            };
            if std::str::from_utf8(name).is_err() {
                return Err(Malformed::Inconsistent("a header's name is not UTF-8"));
            }
            rest = after;
        }
        Ok(Self(Source::Packed(bytes)))
    }

    /// Packed headers of one record of a batch that was parsed.
    pub(crate) fn packed(bytes: &'a [u8]) -> Self {
        Self(Source::Packed(bytes))
    }

    /// Bytes that these headers take when packed; `None` when a name is too long.
    pub(crate) fn packed_len(&self) -> Option<usize> {
        match self.0 {
            Source::Packed(bytes) => Some(bytes.len()),
            Source::Given(headers) => headers.iter().try_fold(0usize, |sum, (name, value)| {
                u16::try_from(name.len()).ok()?;
                Some(sum + PREFIX_BYTES + name.len() + value.map_or(0, <[u8]>::len))
            }),
        }
    }

    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        match self.0 {
            Source::Packed(bytes) => out.extend_from_slice(bytes),
            Source::Given(headers) => {
                for (name, value) in headers {
                    // Lengths were checked by packed_len before anything is written.
                    out.extend_from_slice(&(name.len() as u16).to_le_bytes());
                    let len = value.map_or(NULL_LEN, |value| value.len() as u32);
                    out.extend_from_slice(&len.to_le_bytes());
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(value.unwrap_or_default());
                }
            }
        }
    }
}

/// Name, value and rest of packed headers.
fn split(bytes: &[u8]) -> Option<(&[u8], Option<&[u8]>, &[u8])> {
    let name_len = usize::from(u16_at(bytes, 0)?);
    let value_len = u32_at(bytes, 2)?;
    let (name, rest) = bytes.get(PREFIX_BYTES..)?.split_at_checked(name_len)?;
    if value_len == NULL_LEN {
        return Some((name, None, rest));
    }
    let (value, rest) = rest.split_at_checked(value_len as usize)?;
    Some((name, Some(value), rest))
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        Iter(self.0)
    }
}

/// Iterates over a record's headers in their order.
#[derive(Debug, Clone)]
pub struct Iter<'a>(Source<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Packed(bytes) => {
                let (name, value, rest) = split(bytes)?;
                *bytes = rest;
                Some((std::str::from_utf8(name).ok()?, value))
            }
            Source::Given(headers) => {
                let (first, rest) = headers.split_first()?;
                *headers = rest;
                Some(*first)
            }
        }
    }
}
