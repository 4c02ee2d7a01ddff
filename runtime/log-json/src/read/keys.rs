//! Which field a key of a record names. Records of one producer have their keys in the same order
//! each time, so that one comparison tells it.

use super::scan::Scan;
use crate::plan::Record;

/// Names of no field that are known: more than a producer's records mostly have, few enough to
/// look through. A record with others is left to serde.
const STRANGERS_MAX: usize = 64;

pub(super) enum Key {
    Field(usize),
    /// The number of a name that no field has.
    Stranger(usize),
}

pub(super) struct Keys<'p> {
    record: &'p Record,
    /// Names of no field, as they were met. Counted on after the fields.
    strangers: Vec<String>,
    /// What came last time at the beginning, and then after each name. In the beginning the
    /// schema's order.
    next: Vec<usize>,
    /// The place in `next` of the one to come.
    at: usize,
}

impl<'p> Keys<'p> {
    pub(super) fn of(record: &'p Record) -> Self {
        Self {
            record,
            strangers: Vec::new(),
            next: (0..=record.fields.len()).collect(),
            at: 0,
        }
    }

    /// The next key is a record's first one.
    pub(super) fn begin(&mut self) {
        self.at = 0;
    }

    /// Takes a key.
    pub(super) fn take(&mut self, scan: &mut Scan<'_>) -> Option<Key> {
        let guess = self.next[self.at];
        let number = if self
            .name(guess)
            .is_some_and(|name| scan.take_quoted(name.as_bytes()))
        {
            guess
        } else {
            let number = self.find(scan.quoted()?.plain()?)?;
            self.next[self.at] = number;
            number
        };
        self.at = number + 1;
        let fields = self.record.fields.len();
        Some(match number.checked_sub(fields) {
            None => Key::Field(number),
            Some(stranger) => Key::Stranger(stranger),
        })
    }

    pub(super) fn stranger(&self, number: usize) -> &str {
        &self.strangers[number]
    }

    fn name(&self, number: usize) -> Option<&str> {
        let fields = &self.record.fields;
        match number.checked_sub(fields.len()) {
            None => Some(&fields[number].name),
            Some(stranger) => self.strangers.get(stranger).map(String::as_str),
        }
    }

    fn find(&mut self, name: &[u8]) -> Option<usize> {
        let name = std::str::from_utf8(name).ok()?;
        if let Some(field) = self.record.by_name.get(name) {
            return Some(*field);
        }
        let fields = self.record.fields.len();
        if let Some(known) = self.strangers.iter().position(|it| it == name) {
            return Some(fields + known);
        }
        if self.strangers.len() == STRANGERS_MAX {
            return None;
        }
        self.strangers.push(name.to_owned());
        // Nothing has come after it yet.
        self.next.push(0);
        Some(fields + self.strangers.len() - 1)
    }
}
