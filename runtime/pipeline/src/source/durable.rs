//! Positions that are durable: what the next instance opens with, and what the running one is still
//! to be told.

use crate::failures::Failed;
use jackfield_plugin::Position;
use std::collections::BTreeMap;

/// Bytes of all positions of a slot: they are held in memory, read back and given to each new
/// instance as a whole.
const POSITIONS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is durable, by the origin's partitions.
#[derive(Default)]
pub(super) struct Durable {
    pub(super) all: BTreeMap<String, Position>,
    /// Of all.
    bytes: usize,
    /// The newest that the component does not know of yet.
    pub(super) to_tell: BTreeMap<String, Position>,
}

impl Durable {
    pub(super) fn new(stored: &[Position]) -> Self {
        let mut durable = Self::default();
        stored.iter().for_each(|it| durable.keep(it));
        durable
    }

    pub(super) fn add(&mut self, positions: Vec<Position>) {
        for it in positions {
            self.keep(&it);
            self.to_tell.insert(it.partition.clone(), it);
        }
    }

    fn keep(&mut self, position: &Position) {
        let before = match &position.offset {
            Some(_) => {
                self.bytes += bytes_of(position);
                self.all
                    .insert(position.partition.clone(), position.clone())
            }
            None => self.all.remove(&position.partition),
        };
        self.bytes -= before.as_ref().map_or(0, bytes_of);
    }

    /// Whether there is room for more.
    pub(super) fn check(&self) -> Result<(), Failed> {
        if self.bytes <= POSITIONS_BYTES_MAX {
            return Ok(());
        }
        Err(Failed::for_good(
            "poll",
            format!(
                "the component keeps {} positions of {} bytes together, at most {POSITIONS_BYTES_MAX} are kept",
                self.all.len(),
                self.bytes
            ),
        ))
    }
}

fn bytes_of(position: &Position) -> usize {
    position.partition.len() + position.offset.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(partition: &str, offset: Option<usize>) -> Position {
        Position {
            partition: partition.to_owned(),
            offset: offset.map(|bytes| "x".repeat(bytes)),
        }
    }

    #[test]
    fn positions_are_bounded_by_what_they_take_together() {
        let mut durable = Durable::new(&[position("a", Some(10))]);
        durable.add(vec![position("a", Some(4)), position("b", Some(1))]);
        assert_eq!(durable.bytes, 5 + 2);
        durable.add(vec![position("c", Some(POSITIONS_BYTES_MAX))]);
        assert!(durable.check().is_err());
        durable.add(vec![position("c", None), position("never", None)]);
        assert_eq!(durable.bytes, 5 + 2);
        assert!(durable.check().is_ok());
    }
}
