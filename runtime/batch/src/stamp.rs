//! What the host writes into a batch without packing it anew.

use crate::layout::{
    AT_FIRST_OFFSET, AT_FLAGS, AT_RUNS, FLAG_COORDINATES, HEADER_BYTES, RUN_BYTES, u16_at, u32_at,
};
use crate::record::SchemaIds;

/// Sets the schemas of all records of a batch that was parsed.
pub fn stamp_schemas(bytes: &mut [u8], ids: SchemaIds) {
    let runs = u32_at(bytes, AT_RUNS).unwrap_or(0) as usize;
    let Some(runs) = bytes
        .get_mut(HEADER_BYTES..)
        .map(|rest| rest.chunks_exact_mut(RUN_BYTES).take(runs))
    else {
        return;
    };
    for run in runs {
        run[4..8].copy_from_slice(&ids.value.to_le_bytes());
        run[8..12].copy_from_slice(&ids.key.to_le_bytes());
    }
}

/// Gives a batch that was parsed the coordinates from `first` on. Gaps that it has stay.
pub fn stamp_first_offset(bytes: &mut [u8], first: i64) {
    let Some(flags) = u16_at(bytes, AT_FLAGS) else {
        return;
    };
    if let Some(field) = bytes.get_mut(AT_FLAGS..AT_FLAGS + 2) {
        field.copy_from_slice(&(flags | FLAG_COORDINATES).to_le_bytes());
    }
    if let Some(field) = bytes.get_mut(AT_FIRST_OFFSET..AT_FIRST_OFFSET + 8) {
        field.copy_from_slice(&first.to_le_bytes());
    }
}
