//! The parts of a JSON text in their plain forms. Whatever is not taken here, serde decides: so
//! nothing may be taken that serde refuses or reads otherwise.

/// Digits of which a u64 holds every number.
const LONG_DIGITS_MAX: usize = 19;

/// What is left of a text.
pub(super) struct Scan<'t> {
    rest: &'t [u8],
}

/// A text in quotes.
pub(super) struct Quoted<'t> {
    /// With its quotes.
    pub(super) whole: &'t [u8],
    /// Without them. Not checked to be UTF-8.
    pub(super) inner: &'t [u8],
    /// `inner` has a backslash; what follows it is not checked.
    pub(super) escaped: bool,
}

impl<'t> Quoted<'t> {
    /// What it says, where nothing is escaped.
    pub(super) fn plain(&self) -> Option<&'t [u8]> {
        (!self.escaped).then_some(self.inner)
    }
}

impl<'t> Scan<'t> {
    pub(super) fn of(text: &'t [u8]) -> Self {
        Self { rest: text }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        while let [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Takes these bytes if they come now.
    #[inline]
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a mark, with white space around it.
    #[inline]
    pub(super) fn mark(&mut self, mark: u8) -> bool {
        self.skip_space();
        match self.rest {
            [first, rest @ ..] if *first == mark => {
                self.rest = rest;
                self.skip_space();
                true
            }
            _ => false,
        }
    }

    /// Takes a text that says just this, which needs no escapes.
    #[inline]
    pub(super) fn take_quoted(&mut self, inner: &[u8]) -> bool {
        let [b'"', rest @ ..] = self.rest else {
            return false;
        };
        let Some([b'"', rest @ ..]) = rest.strip_prefix(inner) else {
            return false;
        };
        self.rest = rest;
        true
    }

    pub(super) fn quoted(&mut self) -> Option<Quoted<'t>> {
        let whole = self.rest;
        let [b'"', rest @ ..] = whole else {
            return None;
        };
        let mut escaped = false;
        let mut len = 0;
        loop {
            len += plain_len(rest.get(len..)?);
            match rest.get(len)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    // The byte after it may be a quote.
                    len += 2;
                }
                _ => return None,
            }
        }
        self.rest = &rest[len + 1..];
        Some(Quoted {
            whole: &whole[..len + 2],
            inner: &rest[..len],
            escaped,
        })
    }

    /// A whole number without a point or an exponent; what follows is not looked at.
    pub(super) fn integer(&mut self) -> Option<i64> {
        let (negative, digits) = match self.rest {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let mut magnitude: u64 = 0;
        let mut len = 0;
        for byte in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
            if len == LONG_DIGITS_MAX {
                return None;
            }
            magnitude = magnitude * 10 + u64::from(byte - b'0');
            len += 1;
        }
        // JSON has no leading zeros, and to serde `-0` is no whole number.
        let zero = digits.first() == Some(&b'0') && (negative || len > 1);
        if len == 0 || zero {
            return None;
        }
        self.rest = &digits[len..];
        let number = i64::try_from(magnitude).ok()?;
        Some(if negative { -number } else { number })
    }

    /// Any number, as it is written.
    pub(super) fn number(&mut self) -> Option<&'t [u8]> {
        let whole = self.rest;
        self.take(b"-");
        let zero = self.rest.first() == Some(&b'0');
        let count = self.skip_digits();
        if count == 0 || (zero && count > 1) {
            return None;
        }
        if self.take(b".") && self.skip_digits() == 0 {
            return None;
        }
        if self.take(b"e") || self.take(b"E") {
            let _sign = self.take(b"+") || self.take(b"-");
            if self.skip_digits() == 0 {
                return None;
            }
        }
        Some(&whole[..whole.len() - self.rest.len()])
    }

    fn skip_digits(&mut self) -> usize {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit());
        let count = digits.count();
        self.rest = &self.rest[count..];
        count
    }

    /// What is written of a number, or said by a text without escapes.
    pub(super) fn token(&mut self) -> Option<&'t [u8]> {
        match self.rest.first()? {
            b'"' => self.quoted()?.plain(),
            _ => self.number(),
        }
    }

    /// Takes a value that nobody wants.
    pub(super) fn skip_value(&mut self) -> Option<()> {
        match self.rest.first()? {
            b'"' => {
                self.quoted()?.plain()?;
            }
            b't' => return self.take(b"true").then_some(()),
            b'f' => return self.take(b"false").then_some(()),
            b'n' => return self.take(b"null").then_some(()),
            _ => {
                self.number()?;
            }
        }
        Some(())
    }
}

/// Bytes before the first quote, backslash or control character.
fn plain_len(text: &[u8]) -> usize {
    let (words, tail) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let ends = ends(u64::from_le_bytes(*word));
        if ends != 0 {
            return index * 8 + ends.trailing_zeros() as usize / 8;
        }
    }
    let end = tail
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    words.len() * 8 + end.unwrap_or(tail.len())
}

/// The highest bit of the first of eight bytes that ends a plain text, and maybe of later ones.
fn ends(word: u64) -> u64 {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = u64::from_le_bytes([0x80; 8]);
    // Taking 1 from a byte that is 0 sets its highest bit, and borrows from later ones only.
    let quote = word ^ (EACH * b'"' as u64);
    let quote = quote.wrapping_sub(EACH) & !quote;
    let backslash = word ^ (EACH * b'\\' as u64);
    let backslash = backslash.wrapping_sub(EACH) & !backslash;
    let control = word.wrapping_sub(EACH * 0x20) & !word;
    (quote | backslash | control) & HIGHEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_where_it_ends_wherever_that_is() {
        for end in [b'"', b'\\', 0, 0x1f] {
            for before in [b'a', b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff] {
                for len in 0..20 {
                    let mut text = vec![before; len];
                    text.extend([end, b'"', end, before, b'x', b'\\']);
                    assert_eq!(plain_len(&text), len, "{end} after {len} of {before}");
                    assert_eq!(plain_len(&text[..len]), len, "{len} of {before}");
                }
            }
        }
    }
}
