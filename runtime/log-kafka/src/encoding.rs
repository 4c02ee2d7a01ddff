//! Schema ids before keys and values, as the registry's other clients write and read them.

use crate::config::Encoding;

/// Before bytes that have a schema: this, then the schema's id, big-endian.
const MAGIC: u8 = 0;
/// Bytes before a value or a key that has a schema.
const PREFIX_BYTES: usize = 5;

/// Why bytes can't lie in a topic so that they are read as they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unwritable {
    /// The id has no place.
    #[error("has schema {0}, and the topic's format has no place for one")]
    NoPlaceForSchema(u32),
    /// A reader would take the first five bytes for a schema id.
    #[error("has no schema and begins like bytes that have one: make the topic's format plain")]
    LooksRegistered,
}

/// Whether bytes with this schema, 0 for none, can be written. A null has no schema.
pub(crate) fn check(encoding: Encoding, bytes: Option<&[u8]>, id: u32) -> Result<(), Unwritable> {
    match (encoding, bytes) {
        (_, None) => Ok(()),
        (Encoding::Plain, Some(_)) if id != 0 => Err(Unwritable::NoPlaceForSchema(id)),
        (Encoding::Registered, Some(bytes)) if id == 0 && registered(bytes).is_some() => {
            Err(Unwritable::LooksRegistered)
        }
        (Encoding::Plain | Encoding::Registered, Some(_)) => Ok(()),
    }
}

/// The bytes as they lie in Kafka. `scratch` is where they are put together, if they must be.
pub(crate) fn encoded<'a>(
    bytes: Option<&'a [u8]>,
    id: u32,
    scratch: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    let bytes = bytes?;
    if id == 0 {
        return Some(bytes);
    }
    scratch.clear();
    scratch.push(MAGIC);
    scratch.extend_from_slice(&id.to_be_bytes());
    scratch.extend_from_slice(bytes);
    Some(scratch)
}

/// The bytes as they were written, and their schema's id.
pub(crate) fn decoded(encoding: Encoding, bytes: Option<&[u8]>) -> (Option<&[u8]>, u32) {
    match (encoding, bytes) {
        (Encoding::Registered, Some(bytes)) => match registered(bytes) {
            Some((id, rest)) => (Some(rest), id),
            None => (Some(bytes), 0),
        },
        (Encoding::Plain | Encoding::Registered, bytes) => (bytes, 0),
    }
}

/// The schema and the rest of bytes that have one. Id 0 is no schema's.
fn registered(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let [MAGIC, id @ ..] = *prefix else {
        return None;
    };
    match u32::from_be_bytes(id) {
        0 => None,
        id => Some((id, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_written_is_read_as_it_was() {
        let some: [Option<&[u8]>; 6] = [
            None,
            Some(b""),
            Some(b"plain"),
            Some(&[0, 0, 0, 0, 0, 1]),
            Some(&[0, 0, 0, 0, 7, 1]),
            Some(&[0]),
        ];
        for encoding in [Encoding::Registered, Encoding::Plain] {
            for bytes in some {
                for id in [0, 1, 7, u32::MAX] {
                    if check(encoding, bytes, id).is_err() {
                        continue;
                    }
                    let mut scratch = Vec::new();
                    let lies = encoded(bytes, id, &mut scratch).map(<[u8]>::to_vec);
                    let id = if bytes.is_none() { 0 } else { id };
                    assert_eq!(decoded(encoding, lies.as_deref()), (bytes, id));
                }
            }
        }
    }

    #[test]
    fn what_would_be_read_otherwise_is_refused() {
        let looks = check(Encoding::Registered, Some(&[0, 0, 0, 0, 7, 1]), 0);
        assert_eq!(looks, Err(Unwritable::LooksRegistered));
        let plain = check(Encoding::Plain, Some(b"x"), 7);
        assert_eq!(plain, Err(Unwritable::NoPlaceForSchema(7)));
    }

    #[test]
    fn the_prefix_is_the_registrys() {
        let mut scratch = Vec::new();
        let bytes = encoded(Some(b"x"), 0x0102_0304, &mut scratch);
        assert_eq!(bytes, Some(&[0, 1, 2, 3, 4, b'x'][..]));
    }
}
