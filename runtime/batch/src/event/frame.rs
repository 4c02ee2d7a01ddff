//! Where things lie in packed events.

pub(super) const MAGIC: &str = "JFEV";
pub(super) const VERSION: u16 = 1;
pub(super) const HEADER_BYTES: usize = 16;
/// Number, id, receive time, kind and end.
pub(super) const EVENT_BYTES: usize = 8 + 8 + 8 + 1 + 4;
