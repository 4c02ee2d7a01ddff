//! Values as they lie in a datum.

use crate::decimal;

/// Bytes of the longest number, at seven bits each.
const LONG_BYTES_MAX: usize = 10;

pub(super) fn write_long(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    let mut bytes = [0; LONG_BYTES_MAX];
    let mut last = 0;
    while rest >= 0x80 {
        bytes[last] = (rest as u8) | 0x80;
        rest >>= 7;
        last += 1;
    }
    bytes[last] = rest as u8;
    out.extend_from_slice(&bytes[..=last]);
}

pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    // A slice is never longer than an i64 counts.
    write_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// `None` where it does not fit into the fixed size.
pub(super) fn write_decimal(unscaled: i128, fixed: Option<usize>, out: &mut Vec<u8>) -> Option<()> {
    let bytes = unscaled.to_be_bytes();
    let short = decimal::shortest(&bytes);
    let Some(size) = fixed else {
        write_bytes(short, out);
        return Some(());
    };
    let padding = size.checked_sub(short.len())?;
    let sign = if unscaled < 0 { 0xff } else { 0 };
    out.resize(out.len() + padding, sign);
    out.extend_from_slice(short);
    Some(())
}
