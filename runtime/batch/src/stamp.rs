//! What the host writes into a batch that it passes on.

use crate::SchemaIds;
use crate::layout::{
    AT_FIRST_OFFSET, AT_FLAGS, AT_RUNS, FLAG_COORDINATES, HEADER_BYTES, RUN_BYTES,
};

/// Writes the schemas of all records of a batch that was parsed, in place.
pub fn stamp_schemas(bytes: &mut [u8], ids: SchemaIds) {
    let Some((header, rest)) = bytes.split_at_mut_checked(HEADER_BYTES) else {
        return;
    };
    let runs = header.as_chunks::<4>().0[AT_RUNS / 4];
    for run in rest
        .as_chunks_mut::<RUN_BYTES>()
        .0
        .iter_mut()
        .take(u32::from_le_bytes(runs) as usize)
    {
        run[4..8].copy_from_slice(&ids.value.to_le_bytes());
        run[8..12].copy_from_slice(&ids.key.to_le_bytes());
    }
}

/// Writes where in its log a batch that was parsed lies, in place. `first` is an offset of that
/// log, so not negative.
pub fn stamp_first_offset(bytes: &mut [u8], first: i64) {
    debug_assert!(first >= 0, "{first} is not an offset of a log");
    let Some((header, _)) = bytes.split_at_mut_checked(HEADER_BYTES) else {
        return;
    };
    header[AT_FLAGS] |= FLAG_COORDINATES as u8;
    header[AT_FIRST_OFFSET..].copy_from_slice(&first.to_le_bytes());
}
