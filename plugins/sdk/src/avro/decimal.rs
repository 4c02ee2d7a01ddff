//! Decimals from their text, exactly.

/// Why a text is not a value of a decimal type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not digits with at most one point, and a sign in front at most.
    #[error("not a decimal")]
    Malformed,
    /// More digits behind the point than the type keeps.
    #[error("more digits behind the point than {0}")]
    TooPrecise(u32),
    /// More digits than the type holds.
    #[error("more digits than {0}")]
    Overflow(u32),
}

/// Digits that surely fit in a `u64`.
const U64_DIGITS: u32 = 19;

/// The unscaled value of a decimal text for `decimal(precision, scale)`, without any float.
///
/// Zeros behind the point beyond the scale are passed over; any other digit there is refused.
/// No exponents. `precision` is at most 38.
///
/// # Errors
/// The text is no such decimal, or the type can't hold it.
pub fn parse_decimal(text: &str, precision: u32, scale: u32) -> Result<i128, DecimalError> {
    debug_assert!(precision <= 38 && scale <= precision);
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut reader = Reader {
        low: 0,
        high: 0,
        significant: 0,
        precision,
    };
    let mut seen = false;
    let mut behind: Option<u32> = None;
    for &byte in digits {
        match (byte, behind) {
            (b'.', None) => behind = Some(0),
            (b'0'..=b'9', Some(places)) if places == scale => {
                if byte != b'0' {
                    return Err(DecimalError::TooPrecise(scale));
                }
            }
            (b'0'..=b'9', _) => {
                seen = true;
                reader.digit(byte - b'0')?;
                behind = behind.map(|places| places + 1);
            }
            _ => return Err(DecimalError::Malformed),
        }
    }
    if !seen || digits.last() == Some(&b'.') {
        return Err(DecimalError::Malformed);
    }
    for _ in behind.unwrap_or(0)..scale {
        reader.digit(0)?;
    }
    let value = reader.finish();
    Ok(if negative { -value } else { value })
}

/// Collects digits in a `u64` as long as they fit, since those of `i128` are slow.
struct Reader {
    low: u64,
    high: i128,
    significant: u32,
    precision: u32,
}

impl Reader {
    fn digit(&mut self, digit: u8) -> Result<(), DecimalError> {
        if self.significant == 0 && digit == 0 {
            return Ok(());
        }
        if self.significant == self.precision {
            return Err(DecimalError::Overflow(self.precision));
        }
        self.significant += 1;
        if self.significant <= U64_DIGITS {
            self.low = self.low * 10 + u64::from(digit);
        } else {
            if self.significant == U64_DIGITS + 1 {
                self.high = i128::from(self.low);
            }
            self.high = self.high * 10 + i128::from(digit);
        }
        Ok(())
    }

    fn finish(&self) -> i128 {
        if self.significant <= U64_DIGITS {
            i128::from(self.low)
        } else {
            self.high
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_and_their_values() {
        for (text, value) in [
            ("61837.63000000", 6_183_763_000_000),
            ("0.00000001", 1),
            ("0", 0),
            ("-0.5", -50_000_000),
            ("+7", 700_000_000),
            ("7.", -1),
            (".5", 50_000_000),
            ("1.230000000000", 123_000_000),
            (
                "000000000000000000000000000000000000000000000001.1",
                110_000_000,
            ),
        ] {
            match parse_decimal(text, 38, 8) {
                Ok(read) => assert_eq!(read, value, "{text}"),
                Err(error) => assert_eq!((error, text), (DecimalError::Malformed, "7.")),
            }
        }
        for text in ["", ".", "-", "1e5", "1.2.3", "NaN", "1_000", " 1", "１"] {
            assert_eq!(
                parse_decimal(text, 38, 8),
                Err(DecimalError::Malformed),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(
            parse_decimal("0.000000001", 38, 8),
            Err(DecimalError::TooPrecise(8))
        );
        let most = format!("{}.{}", "9".repeat(30), "9".repeat(8));
        assert_eq!(parse_decimal(&most, 38, 8), Ok(10i128.pow(38) - 1));
        assert_eq!(
            parse_decimal(&format!("-{most}"), 38, 8),
            Ok(1 - 10i128.pow(38))
        );
        assert_eq!(
            parse_decimal(&format!("1{}", "0".repeat(30)), 38, 8),
            Err(DecimalError::Overflow(38))
        );
    }

    proptest! {
        #[test]
        fn every_value_survives_its_text(value in any::<i128>(), shift in 0u32..127) {
            let value = (value >> shift) % 10i128.pow(38);
            let magnitude = value.unsigned_abs();
            let one = 10u128.pow(8);
            let sign = if value < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:08}", magnitude / one, magnitude % one);
            prop_assert_eq!(parse_decimal(&text, 38, 8), Ok(value));
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = parse_decimal(&text, 38, 8);
        }
    }
}
