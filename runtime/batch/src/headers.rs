//! A record's headers: given as a slice when writing, read in place from a batch.

use crate::layout::{Cursor, put_sized};
use std::fmt;

/// Stands for a null where a value's length is.
const NULL_VALUE: u32 = u32::MAX;

/// Names and values beside a record, in order; a name may occur more than once.
#[derive(Clone, Default)]
pub struct Headers<'a>(Kind<'a>);

#[derive(Clone, Default)]
enum Kind<'a> {
    #[default]
    None,
    Given(&'a [(&'a str, Option<&'a [u8]>)]),
    Packed(&'a [u8]),
}

impl<'a> Headers<'a> {
    /// Headers to be written.
    pub fn of(headers: &'a [(&'a str, Option<&'a [u8]>)]) -> Self {
        Self(Kind::Given(headers))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        match self.0 {
            Kind::None => true,
            Kind::Given(headers) => headers.is_empty(),
            Kind::Packed(bytes) => bytes.is_empty(),
        }
    }

    /// The names and values.
    pub fn iter(&self) -> HeadersIter<'a> {
        HeadersIter(self.0.clone())
    }

    /// Bytes of a batch's header section that were found sound by [`sound`].
    pub(crate) fn packed(bytes: &'a [u8]) -> Self {
        Self(Kind::Packed(bytes))
    }

    /// Bytes they take in a batch.
    pub(crate) fn packed_len(&self) -> usize {
        match self.0 {
            Kind::None => 0,
            Kind::Given(headers) => headers
                .iter()
                .map(|(name, value)| 8 + name.len() + value.map_or(0, <[u8]>::len))
                .sum(),
            Kind::Packed(bytes) => bytes.len(),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self.0 {
            Kind::None => {}
            Kind::Given(headers) => {
                for (name, value) in headers {
                    put_sized(out, name.as_bytes());
                    match value {
                        Some(value) => put_sized(out, value),
                        None => out.extend_from_slice(&NULL_VALUE.to_le_bytes()),
                    }
                }
            }
            Kind::Packed(bytes) => out.extend_from_slice(bytes),
        }
    }
}

/// Whether these bytes are headers.
pub(crate) fn sound(bytes: &[u8]) -> bool {
    let mut at = Cursor(bytes);
    while !at.0.is_empty() {
        if take(&mut at).is_none() {
            return false;
        }
    }
    true
}

fn take<'a>(at: &mut Cursor<'a>) -> Option<(&'a str, Option<&'a [u8]>)> {
    let name = str::from_utf8(at.sized()?).ok()?;
    let value = match at.u32()? {
        NULL_VALUE => None,
        bytes => Some(at.take(bytes as usize)?),
    };
    Some((name, value))
}

/// The headers of a record one by one.
#[derive(Clone)]
pub struct HeadersIter<'a>(Kind<'a>);

impl<'a> Iterator for HeadersIter<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Kind::None => None,
            Kind::Given(headers) => {
                let (first, rest) = headers.split_first()?;
                *headers = rest;
                Some(*first)
            }
            Kind::Packed(bytes) => {
                let mut at = Cursor(bytes);
                let header = take(&mut at)?;
                *bytes = at.0;
                Some(header)
            }
        }
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        HeadersIter(self.0)
    }
}

impl<'a> IntoIterator for &Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

impl PartialEq for Headers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers<'_> {}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl fmt::Debug for HeadersIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
