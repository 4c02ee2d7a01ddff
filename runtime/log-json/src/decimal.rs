//! Decimals as text and as Avro's big-endian integers.

use std::fmt::Write;

/// Digits of which an i128 holds every number.
const DIGITS_MAX: u32 = 38;

/// Digits of which a u64 holds every number, and fewer than it holds: a step of the reading.
const WORD_DIGITS: usize = 18;

/// `-12345` with scale 2 is `-123.45`.
pub(crate) fn write(unscaled: i128, scale: u32, out: &mut String) {
    if unscaled < 0 {
        out.push('-');
    }
    let digits = unscaled.unsigned_abs().to_string();
    let scale = scale as usize;
    let padding = (scale + 1).saturating_sub(digits.len());
    let digits = format!("{}{digits}", "0".repeat(padding));
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.push_str(whole);
    if scale > 0 {
        // A String takes everything.
        let _ = write!(out, ".{fraction}");
    }
}

/// The unscaled integer of a text; `None` when it is no decimal, or has more digits than fit.
pub(crate) fn read(text: &str, scale: u32, precision: u32) -> Option<i128> {
    plain(text.as_bytes(), scale, precision).or_else(|| of_any_form(text, scale, precision))
}

/// Of digits with a point at most, as nearly all are, and none that the schema has no place for.
/// `None` says that it is another text, not that it is no decimal.
pub(crate) fn plain(text: &[u8], scale: u32, precision: u32) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > DIGITS_MAX as usize {
        return None;
    }
    let mut unscaled: u128 = 0;
    let mut count: u32 = 0;
    let mut whole = None;
    for chunk in digits.chunks(WORD_DIGITS) {
        let mut part: u64 = 0;
        let before = count;
        for byte in chunk {
            match byte {
                b'0'..=b'9' => {
                    part = part * 10 + u64::from(byte - b'0');
                    count += 1;
                }
                b'.' if whole.is_none() => whole = Some(count),
                _ => return None,
            }
        }
        unscaled = match unscaled {
            0 => u128::from(part),
            _ => unscaled * u128::from(10_u64.pow(count - before)) + u128::from(part),
        };
    }
    let fraction = count - whole.unwrap_or(count);
    let shift = scale.checked_sub(fraction)?;
    let fits = count.checked_add(shift)? <= precision.min(DIGITS_MAX);
    if count == 0 || !fits {
        return None;
    }
    if shift > 0 {
        unscaled *= 10_u128.pow(shift);
    }
    let unscaled = i128::try_from(unscaled).ok()?;
    Some(if negative { -unscaled } else { unscaled })
}

fn of_any_form(text: &str, scale: u32, precision: u32) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut unscaled: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
        unscaled = unscaled.checked_mul(10)?.checked_add(digit)?;
    }
    let shift = i64::from(exponent) + i64::from(scale) - i64::try_from(fraction.len()).ok()?;
    if unscaled != 0 {
        for _ in 0..shift.max(0) {
            unscaled = unscaled.checked_mul(10)?;
        }
        for _ in 0..shift.min(0).unsigned_abs() {
            // Digits that the schema has no place for.
            if unscaled % 10 != 0 {
                return None;
            }
            unscaled /= 10;
        }
    }
    if unscaled.unsigned_abs() >= 10_u128.checked_pow(precision)? {
        return None;
    }
    Some(if negative { -unscaled } else { unscaled })
}

/// From two's complement, big-endian.
pub(crate) fn of_bytes(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    let sign = if first & 0x80 == 0 { 0 } else { 0xff };
    let skip = bytes.len().saturating_sub(16);
    let (spare, bytes) = bytes.split_at(skip);
    if spare.iter().any(|byte| *byte != sign) || (skip > 0 && (bytes[0] ^ sign) & 0x80 != 0) {
        return None;
    }
    let mut whole = [sign; 16];
    whole[16 - bytes.len()..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(whole))
}

/// The last of a big-endian integer's bytes: as few as hold it.
pub(crate) fn shortest(bytes: &[u8; 16]) -> &[u8] {
    let unscaled = i128::from_be_bytes(*bytes);
    let bits = if unscaled < 0 { !unscaled } else { unscaled };
    // And a bit for the sign.
    let len = (128 - bits.leading_zeros() as usize) / 8 + 1;
    &bytes[16 - len..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_and_integers() {
        for (unscaled, scale, text) in [
            (6_304_217_000_000, 8, "63042.17000000"),
            (-12345, 2, "-123.45"),
            (5, 3, "0.005"),
            (-5, 0, "-5"),
            (0, 2, "0.00"),
        ] {
            let mut written = String::new();
            write(unscaled, scale, &mut written);
            assert_eq!(written, text);
            assert_eq!(read(text, scale, 38), Some(unscaled));
            let bytes = unscaled.to_be_bytes();
            assert_eq!(of_bytes(shortest(&bytes)), Some(unscaled));
        }
        assert_eq!(read("1e-2", 4, 10), Some(100));
        assert_eq!(read("1.50", 1, 10), Some(15));
        for bad in ["", "-", ".", "1.55", "1x", "0x1", "1e", "99999999999"] {
            assert_eq!(read(bad, 1, 10), None, "{bad}");
        }
    }

    #[test]
    fn bytes_of_every_length() {
        for unscaled in [0, 1, -1, 127, 128, -128, -129, i128::MAX, i128::MIN] {
            let bytes = unscaled.to_be_bytes();
            assert_eq!(of_bytes(shortest(&bytes)), Some(unscaled));
            let sign = if unscaled < 0 { 0xff } else { 0 };
            let long = [vec![sign; 20], unscaled.to_be_bytes().to_vec()].concat();
            assert_eq!(of_bytes(&long), Some(unscaled));
        }
        assert_eq!(of_bytes(&[]), None);
        assert_eq!(of_bytes(&[1; 17]), None);
        for (unscaled, len) in [
            (0_i128, 1),
            (-1, 1),
            (127, 1),
            (128, 2),
            (-128, 1),
            (-129, 2),
            (i128::MAX, 16),
            (i128::MIN, 16),
        ] {
            let bytes = unscaled.to_be_bytes();
            assert_eq!(shortest(&bytes).len(), len, "{unscaled}");
        }
    }

    #[test]
    fn common_texts_are_plain() {
        assert_eq!(plain(b"63042.17000000", 8, 38), Some(6_304_217_000_000));
        assert_eq!(plain(b"-0.5", 8, 38), Some(-50_000_000));
        assert_eq!(plain(b"7", 0, 1), Some(7));
        let all = "9".repeat(37);
        assert_eq!(plain(all.as_bytes(), 0, 38), Some(10_i128.pow(37) - 1));
        let wei = plain(b"12345678901234567.123456789012345678", 18, 38);
        assert_eq!(wei, Some(12_345_678_901_234_567_123_456_789_012_345_678));
    }

    proptest! {
        #[test]
        fn plain_says_what_is_read_of_any_form(
            text in "-?[0-9]{0,40}(\\.[0-9]{0,40})?(e[0-9])?|[-+.eE0-9]{0,8}",
            scale in 0..=38_u32,
            precision in 0..=38_u32,
        ) {
            if let Some(unscaled) = plain(text.as_bytes(), scale, precision) {
                prop_assert_eq!(of_any_form(&text, scale, precision), Some(unscaled));
            }
        }

        #[test]
        fn plain_says_what_is_read_of_any_form_of_few_digits(
            text in "-?[0-9]{0,20}\\.[0-9]{0,18}",
            scale in 0..20_u32,
        ) {
            if let Some(unscaled) = plain(text.as_bytes(), scale, 38) {
                prop_assert_eq!(of_any_form(&text, scale, 38), Some(unscaled));
            }
        }
    }
}
