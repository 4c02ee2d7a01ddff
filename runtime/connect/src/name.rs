//! Names of connectors made over REST.

/// Longest name: what fits into the names of groups, writers and topics that begin with it.
pub const NAME_CHARS_MAX: usize = 200;

/// Whether a connector can have this name. It becomes part of names of consumer groups, writers
/// and keys of the log, so it is taken from what all of them admit.
///
/// # Errors
/// It can't, and why.
pub fn check_name(name: &str) -> Result<(), String> {
    let admitted = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.bytes().all(admitted) {
        return Ok(());
    }
    Err(format!(
        "a connector's name has 1 to {NAME_CHARS_MAX} of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`"
    ))
}
