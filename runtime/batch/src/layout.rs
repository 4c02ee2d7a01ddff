//! Where things lie: the header's fields, the flags, and columns of little-endian numbers.

use crate::Malformed;

pub(crate) const MAGIC: &str = "JFRB";
pub(crate) const VERSION: u16 = 1;

pub(crate) const HEADER_BYTES: usize = 32;
pub(crate) const RUN_BYTES: usize = 12;
/// Timestamp, key end and value end.
pub(crate) const RECORD_BYTES: usize = 16;
pub(crate) const GAP_BYTES: usize = 4;
pub(crate) const HEADER_END_BYTES: usize = 4;

pub(crate) const FLAG_HEADERS: u16 = 1;
pub(crate) const FLAG_COORDINATES: u16 = 2;
pub(crate) const FLAG_GAPS: u16 = 4;
pub(crate) const FLAGS_KNOWN: u16 = FLAG_HEADERS | FLAG_COORDINATES | FLAG_GAPS;

pub(crate) const AT_FLAGS: usize = 6;
pub(crate) const AT_RUNS: usize = 12;
pub(crate) const AT_FIRST_OFFSET: usize = 24;

/// Set in an end whose key or value is null; ends are below it.
pub(crate) const NULL: u32 = 1 << 31;

pub(crate) type U32 = [u8; 4];
pub(crate) type I64 = [u8; 8];

/// The fields after magic, version and flags.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) flags: u16,
    pub(crate) count: u32,
    pub(crate) runs: u32,
    pub(crate) body_len: u32,
    pub(crate) headers_len: u32,
    pub(crate) first_offset: i64,
}

impl Header {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC.as_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        for field in [self.count, self.runs, self.body_len, self.headers_len] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&self.first_offset.to_le_bytes());
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut at = Cursor(bytes);
        let header = at.take(HEADER_BYTES).ok_or(Malformed::CutOff {
            have: bytes.len(),
            need: HEADER_BYTES,
        })?;
        let flags = preamble(header, MAGIC, VERSION)?;
        let (fields, first_offset) = header[8..].split_at(16);
        let field = |i: usize| u32_at(fields.as_chunks().0, i);
        let first_offset = i64_at(first_offset.as_chunks().0, 0);
        let read = Self {
            flags,
            count: field(0),
            runs: field(1),
            body_len: field(2),
            headers_len: field(3),
            first_offset,
        };
        let gaps_nowhere = flags & (FLAG_COORDINATES | FLAG_GAPS) == FLAG_GAPS;
        let unflagged_headers = !read.has(FLAG_HEADERS) && read.headers_len != 0;
        let unflagged_offset = !read.has(FLAG_COORDINATES) && first_offset != 0;
        if flags & !FLAGS_KNOWN != 0 || gaps_nowhere || unflagged_headers || unflagged_offset {
            return Err(Malformed::Flags { found: flags });
        }
        Ok((read, at.0))
    }

    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// What the whole batch must measure.
    pub(crate) fn total(&self) -> u64 {
        let count = u64::from(self.count);
        HEADER_BYTES as u64
            + u64::from(self.runs) * RUN_BYTES as u64
            + count * RECORD_BYTES as u64
            + self.gaps_len()
            + u64::from(self.headers_len)
            + u64::from(self.body_len)
    }

    pub(crate) fn gaps_len(&self) -> u64 {
        if self.has(FLAG_GAPS) {
            u64::from(self.count) * GAP_BYTES as u64
        } else {
            0
        }
    }
}

/// Checks magic and version, which every frame starts with, and gives the flags after them.
pub(crate) fn preamble(header: &[u8], magic: &'static str, version: u16) -> Result<u16, Malformed> {
    let found: [u8; 4] = header[..4]
        .try_into()
        .expect("the caller took the whole header");
    if found != magic.as_bytes() {
        return Err(Malformed::Magic {
            expected: magic,
            found,
        });
    }
    let found = u16::from_le_bytes([header[4], header[5]]);
    if found != version {
        return Err(Malformed::Version {
            found,
            known: version,
        });
    }
    Ok(u16::from_le_bytes([header[6], header[7]]))
}

#[inline]
pub(crate) fn u32_at(column: &[U32], i: usize) -> u32 {
    u32::from_le_bytes(column[i])
}

#[inline]
pub(crate) fn i64_at(column: &[I64], i: usize) -> i64 {
    i64::from_le_bytes(column[i])
}

/// Takes pieces off the front of bytes whose length is or is not known to suffice.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn column<const N: usize>(&mut self, count: usize) -> Option<&'a [[u8; N]]> {
        Some(self.take(count.checked_mul(N)?)?.as_chunks().0)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| u32_at(bytes.as_chunks().0, 0))
    }

    /// A length and as many bytes.
    pub(crate) fn sized(&mut self) -> Option<&'a [u8]> {
        let bytes = self.u32()?;
        self.take(bytes as usize)
    }
}

/// A length and as many bytes.
pub(crate) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("frames are bounded far below 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes);
}
