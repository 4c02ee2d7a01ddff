//! Decimals as text and as Avro's big-endian integers.

use std::fmt::Write;

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

/// In as few bytes as hold it.
pub(crate) fn shortest(unscaled: i128) -> Vec<u8> {
    let bytes = unscaled.to_be_bytes();
    let sign = if unscaled < 0 { 0xff } else { 0 };
    let mut from = 0;
    while from < 15 && bytes[from] == sign && (bytes[from + 1] ^ sign) & 0x80 == 0 {
        from += 1;
    }
    bytes[from..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(of_bytes(&shortest(unscaled)), Some(unscaled));
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
            let short = shortest(unscaled);
            assert_eq!(of_bytes(&short), Some(unscaled));
            let sign = if unscaled < 0 { 0xff } else { 0 };
            let long = [vec![sign; 20], unscaled.to_be_bytes().to_vec()].concat();
            assert_eq!(of_bytes(&long), Some(unscaled));
        }
        assert_eq!(of_bytes(&[]), None);
        assert_eq!(of_bytes(&[1; 17]), None);
    }
}
