//! How keys are laid out. Numbers are big-endian, so that keys order as they do.

use jackfield_log::LogError;
use uuid::Uuid;

/// Longest name of a connector, slot, group or topic, bytes: far above any sensible one.
const NAME_BYTES_MAX: usize = 1024;
/// Longest key of a position or of a keyed topic, bytes: with a name it stays below the engine's
/// 64 KiB.
const KEY_BYTES_MAX: usize = 32 * 1024;

const TOPIC: u8 = b't';
const DELETED: u8 = b'd';
const START: u8 = b's';
const POSITION: u8 = b'p';
const MARK: u8 = b'm';
const GROUP: u8 = b'g';
const KEYED: u8 = b'k';

/// Bytes of a topic's id and a partition, with which a batch's key begins.
const PLACE_BYTES: usize = 16 + 4;

/// A partition by its topic's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
}

impl Place {
    pub(crate) fn bytes(self) -> [u8; PLACE_BYTES] {
        let mut bytes = [0; PLACE_BYTES];
        bytes[..16].copy_from_slice(self.topic.as_bytes());
        bytes[16..].copy_from_slice(&self.partition.to_be_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (topic, partition) = bytes.split_first_chunk::<16>()?;
        let partition = i32::from_be_bytes(*partition.first_chunk()?);
        Some(Self {
            topic: Uuid::from_bytes(*topic),
            partition,
        })
    }
}

/// A batch. Offsets are never negative, so their order is that of their bytes.
pub(crate) fn batch(place: Place, base: i64) -> [u8; PLACE_BYTES + 8] {
    let mut key = [0; PLACE_BYTES + 8];
    key[..PLACE_BYTES].copy_from_slice(&place.bytes());
    key[PLACE_BYTES..].copy_from_slice(&base.to_be_bytes());
    key
}

/// The offset of a batch's first record, from its key.
pub(crate) fn base_of(key: &[u8]) -> Option<i64> {
    let base = key.get(PLACE_BYTES..)?.first_chunk()?;
    Some(i64::from_be_bytes(*base))
}

/// A topic's description.
pub(crate) fn topic(name: &str) -> Vec<u8> {
    [&[TOPIC], name.as_bytes()].concat()
}

/// All topics.
pub(crate) fn topics() -> Vec<u8> {
    vec![TOPIC]
}

/// A deleted topic whose batches are still there.
pub(crate) fn deleted(topic: Uuid) -> Vec<u8> {
    [&[DELETED], topic.as_bytes().as_slice()].concat()
}

/// All deleted topics.
pub(crate) fn all_deleted() -> Vec<u8> {
    vec![DELETED]
}

/// Where a partition begins, once records were deleted.
pub(crate) fn start(place: Place) -> Vec<u8> {
    [&[START], place.bytes().as_slice()].concat()
}

/// A connector's position.
pub(crate) fn position(connector: &str, partition: &str) -> Result<Vec<u8>, LogError> {
    under(POSITION, connector, partition)
}

/// All positions of a connector.
pub(crate) fn positions(connector: &str) -> Result<Vec<u8>, LogError> {
    under(POSITION, connector, "")
}

/// A slot's inbox mark.
pub(crate) fn mark(connector: &str, slot: &str) -> Result<Vec<u8>, LogError> {
    under(MARK, connector, slot)
}

/// A group's offset.
pub(crate) fn group_offset(group: &str, place: Place) -> Result<Vec<u8>, LogError> {
    let mut key = under(GROUP, group, "")?;
    key.extend_from_slice(&place.bytes());
    Ok(key)
}

/// All offsets of all groups.
pub(crate) fn group_offsets() -> Vec<u8> {
    vec![GROUP]
}

/// The group and the partition of a group's offset.
pub(crate) fn read_group_offset(key: &[u8]) -> Option<(String, Place)> {
    let (len, rest) = key.get(1..)?.split_first_chunk::<2>()?;
    let (name, place) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((String::from_utf8(name.to_vec()).ok()?, Place::read(place)?))
}

/// A value of a keyed topic.
pub(crate) fn keyed(topic: &str, key: &str) -> Result<Vec<u8>, LogError> {
    under(KEYED, topic, key)
}

/// All values of a keyed topic.
pub(crate) fn all_keyed(topic: &str) -> Result<Vec<u8>, LogError> {
    under(KEYED, topic, "")
}

/// A key below a name: the name's length goes first, so that no name is the beginning of another.
fn under(tag: u8, name: &str, key: &str) -> Result<Vec<u8>, LogError> {
    let len = u16::try_from(name.len())
        .ok()
        .filter(|len| usize::from(*len) <= NAME_BYTES_MAX)
        .ok_or_else(|| {
            let shown: String = name.chars().take(40).collect();
            LogError::Rejected(format!(
                "the name `{shown}…` has {} bytes, more than {NAME_BYTES_MAX}",
                name.len()
            ))
        })?;
    if key.len() > KEY_BYTES_MAX {
        return Err(LogError::Rejected(format!(
            "a key of `{name}` has {} bytes, more than {KEY_BYTES_MAX}",
            key.len()
        )));
    }
    Ok([
        &[tag],
        len.to_be_bytes().as_slice(),
        name.as_bytes(),
        key.as_bytes(),
    ]
    .concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_offsets_do() {
        let place = Place {
            topic: Uuid::now_v7(),
            partition: 7,
        };
        let offsets = [0, 1, 255, 256, 65_536, i64::MAX];
        let keys: Vec<_> = offsets.iter().map(|o| batch(place, *o)).collect();
        assert!(keys.is_sorted());
        assert_eq!(
            keys.iter().map(|k| base_of(k).unwrap()).collect::<Vec<_>>(),
            offsets
        );
    }

    #[test]
    fn no_name_is_the_beginning_of_another() {
        let long = position("ab", "c").unwrap();
        assert!(!long.starts_with(&positions("a").unwrap()));
        assert!(long.starts_with(&positions("ab").unwrap()));
    }

    #[test]
    fn a_group_offset_reads_back() {
        let place = Place {
            topic: Uuid::now_v7(),
            partition: 3,
        };
        let key = group_offset("trades-lake", place).unwrap();
        assert_eq!(
            read_group_offset(&key),
            Some(("trades-lake".to_owned(), place))
        );
    }

    #[test]
    fn what_the_engine_could_not_hold_is_rejected() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert!(matches!(positions(&long), Err(LogError::Rejected(_))));
        let long = "x".repeat(KEY_BYTES_MAX + 1);
        assert!(matches!(keyed("t", &long), Err(LogError::Rejected(_))));
    }
}
