//! Reads Avro's binary encoding, trusting nothing.

/// Why a datum can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it ends too early")]
    Short,
    #[error("a number of more than 64 bits")]
    LongNumber,
    #[error("{0} does not fit an int")]
    NotInt(i64),
    #[error("a length of {0}")]
    Length(i64),
    #[error("{0} is not a boolean")]
    NotBoolean(u8),
    #[error("text that is not UTF-8")]
    NotUtf8,
    #[error("{0} is not a branch of the union")]
    Branch(i64),
    #[error("{0} is not a symbol of the enum")]
    Symbol(i64),
    #[error("more digits than decimal({precision}, {scale}) holds")]
    Digits { precision: u32, scale: u32 },
    #[error("a time out of range")]
    Time,
    #[error("a date out of range")]
    Date,
    #[error("a time before 1970 with a fraction of a second, of which no partition can be made")]
    Fraction,
    #[error("{0} ns is no whole number of microseconds, which is what the table holds")]
    Nanoseconds(i64),
    #[error("`{0}` is not a UUID")]
    NotUuid(String),
    #[error("more than {0} items in one record")]
    Items(u32),
    #[error("{0} bytes are left over")]
    LeftOver(usize),
    #[error("`{field}`: {source}")]
    Field {
        field: String,
        source: Box<Malformed>,
    },
}

impl Malformed {
    pub(crate) fn within(self, field: &str) -> Self {
        Self::Field {
            field: field.to_owned(),
            source: Box::new(self),
        }
    }
}

/// A datum, and how far it has been read.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    /// Items that arrays and maps of this record may still have: an item can be zero bytes long,
    /// so the datum's length does not bound them.
    items: u32,
}

/// A record with more is a mistake, or an attack.
pub(crate) const ITEMS_MAX: u32 = 100_000;

/// The bit of each of eight bytes that says that the number goes on.
const MORE: u64 = 0x8080_8080_8080_8080;

#[inline]
fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// The seven low bits of each byte, put together: those of two bytes, of four, of eight.
#[inline]
fn joined(word: u64) -> u64 {
    let word = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
    let word = (word & 0x0000_3fff_0000_3fff) | ((word & 0x3fff_0000_3fff_0000) >> 2);
    (word & 0x0fff_ffff) | ((word & 0x0fff_ffff_0000_0000) >> 4)
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            items: ITEMS_MAX,
        }
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(Malformed::LeftOver(self.bytes.len()))
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Malformed::Short)?;
        self.bytes = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(Malformed::Short)?;
        self.bytes = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64, Malformed> {
        // Lengths, branches and symbols: most numbers are one byte.
        if let Some((byte, rest)) = self.bytes.split_first()
            && *byte < 0x80
        {
            self.bytes = rest;
            return Ok(unzigzag(u64::from(*byte)));
        }
        self.longer()
    }

    /// The branch of a union that has only one.
    #[inline]
    pub(crate) fn sole_branch(&mut self) -> Result<(), Malformed> {
        match self.long()? {
            0 => Ok(()),
            branch => Err(Malformed::Branch(branch)),
        }
    }

    #[inline]
    fn longer(&mut self) -> Result<i64, Malformed> {
        // Times and ids take five to eight bytes, which are read at once.
        if let Some(chunk) = self.bytes.first_chunk() {
            let word = u64::from_le_bytes(*chunk);
            let ends = !word & MORE;
            if ends != 0 {
                let bits = ends.trailing_zeros() + 1;
                self.bytes = self.bytes.get(bits as usize / 8..).unwrap_or_default();
                return Ok(unzigzag(joined(word & (u64::MAX >> (64 - bits)))));
            }
        }
        self.byte_by_byte()
    }

    fn byte_by_byte(&mut self) -> Result<i64, Malformed> {
        let mut value = 0_u64;
        let mut shift = 0;
        for (at, byte) in self.bytes.iter().enumerate() {
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && *byte > 1 {
                return Err(Malformed::LongNumber);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                self.bytes = self.bytes.get(at + 1..).unwrap_or_default();
                return Ok(unzigzag(value));
            }
            shift += 7;
        }
        Err(Malformed::Short)
    }

    #[inline]
    pub(crate) fn int(&mut self) -> Result<i32, Malformed> {
        let value = self.long()?;
        i32::try_from(value).map_err(|_| Malformed::NotInt(value))
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Malformed> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(Malformed::NotBoolean(other)),
        }
    }

    pub(crate) fn float(&mut self) -> Result<f32, Malformed> {
        self.array().map(f32::from_le_bytes)
    }

    pub(crate) fn double(&mut self) -> Result<f64, Malformed> {
        self.array().map(f64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| Malformed::Length(length))?;
        self.take(length)
    }

    #[inline]
    pub(crate) fn string(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::NotUtf8)
    }

    /// How many items the next block of an array or a map has; 0: it ends.
    pub(crate) fn block(&mut self) -> Result<u32, Malformed> {
        let mut count = self.long()?;
        if count < 0 {
            self.long()?; // the block's size in bytes, for readers that skip it
            count = count.checked_neg().ok_or(Malformed::Length(count))?;
        }
        let count = u32::try_from(count).map_err(|_| Malformed::Items(ITEMS_MAX))?;
        self.items = self
            .items
            .checked_sub(count)
            .ok_or(Malformed::Items(ITEMS_MAX))?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(bytes: &[u8]) -> Result<i64, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let value = cursor.long()?;
        cursor.end()?;
        Ok(value)
    }

    #[test]
    fn longs_are_zigzag() {
        for (bytes, value) in [(&[0_u8][..], 0), (&[1], -1), (&[2], 1), (&[0x80, 1], 64)] {
            assert_eq!(long(bytes), Ok(value));
        }
        let min = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(long(&min), Ok(i64::MIN));
    }

    fn zigzag(value: i64) -> Vec<u8> {
        let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
        let mut bytes = Vec::new();
        while bits >= 0x80 {
            bytes.push((bits & 0x7f) as u8 | 0x80);
            bits >>= 7;
        }
        bytes.push(bits as u8);
        bytes
    }

    #[test]
    fn longs_of_every_length_end_where_they_end_whatever_follows() {
        for bits in 0..64 {
            let mask = i64::MAX >> (63 - bits);
            for value in [mask, !mask, 0x55aa_1234_5678_9abc & mask] {
                for (more, filler) in (0..10).flat_map(|more| [(more, 0), (more, 0xff)]) {
                    let mut bytes = zigzag(value);
                    bytes.resize(bytes.len() + more, filler);
                    let mut cursor = Cursor::new(&bytes);
                    assert_eq!(cursor.long(), Ok(value), "{bytes:x?}");
                    assert_eq!(cursor.bytes.len(), more, "{bytes:x?}");
                }
            }
        }
    }

    #[test]
    fn longs_may_be_longer_than_they_need_to_be() {
        for length in 2..=10 {
            let mut bytes = [0x80_u8; 20];
            bytes[0] = 0x83;
            bytes[length - 1] = 0;
            let mut cursor = Cursor::new(&bytes);
            assert_eq!(cursor.long(), Ok(-2), "{length}");
            assert_eq!(cursor.bytes.len(), 20 - length);
        }
    }

    #[test]
    fn nothing_is_read_past_the_end_or_beyond_the_type() {
        assert_eq!(long(&[]), Err(Malformed::Short));
        assert_eq!(long(&[0x80]), Err(Malformed::Short));
        assert_eq!(long(&[0xff; 11]), Err(Malformed::LongNumber));
        let too_much = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert_eq!(long(&too_much), Err(Malformed::LongNumber));
        assert_eq!(Cursor::new(&[2]).boolean(), Err(Malformed::NotBoolean(2)));
        assert_eq!(Cursor::new(&[4, 65]).bytes(), Err(Malformed::Short));
        assert_eq!(Cursor::new(&[1]).bytes(), Err(Malformed::Length(-1)));
        assert_eq!(Cursor::new(&[2, 0xff]).string(), Err(Malformed::NotUtf8));
        assert!(matches!(
            Cursor::new(&[0x80, 0x80, 0x80, 0x80, 0x20]).int(),
            Err(Malformed::NotInt(_))
        ));
    }

    #[test]
    fn the_items_of_a_record_are_bounded() {
        let mut endless = Cursor::new(&[0xfe, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(endless.block(), Err(Malformed::Items(ITEMS_MAX)));
        let mut least = Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0]);
        assert!(least.block().is_err());
    }
}
