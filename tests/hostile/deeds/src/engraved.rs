//! What to do wrong in `describe`, which is given no settings: it stands in the component itself,
//! and a test writes another one over it.

use std::hint::black_box;

/// The mark, and the deed padded with dots.
static ENGRAVED: [u8; 48] = *b"engraved-deed:..................................";
/// Where the deed begins.
const MARK_BYTES: usize = 14;

/// The deed that is written into this component; empty: none.
pub fn engraved() -> &'static str {
    // Read at run time: what was written over it is not known to the compiler.
    let bytes: &'static [u8; 48] = black_box(&ENGRAVED);
    let deed = std::str::from_utf8(&bytes[MARK_BYTES..]).unwrap_or_default();
    deed.trim_end_matches('.')
}
