//! What a comparison found.

use super::lane::{Kept, Side};
use bytes::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;

/// Differences that are shown; the others are counted.
const EXAMPLES_MAX: usize = 20;
/// Bytes of a key or value that is shown.
const SHOWN_BYTES_MAX: usize = 256;

/// How a record differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// Only the running version has it.
    Missing,
    /// Only the new version has it.
    Extra,
    /// Both have one of that key in that place, with another value.
    Changed,
}

/// A difference, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The feed.
    pub feed: String,
    /// How it differs.
    pub difference: DifferenceKind,
    /// The record's key; what is no text is escaped.
    pub key: Option<String>,
    /// The running version's value.
    pub running: Option<String>,
    /// The new version's value.
    pub new: Option<String>,
}

/// A feed's records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FeedCompared {
    /// Both have them.
    pub same: u64,
    /// Only the running version has them.
    pub missing: u64,
    /// Only the new version has them.
    pub extra: u64,
    /// Their values differ.
    pub changed: u64,
    /// At the end one of the two had not come so far yet.
    pub not_compared: u64,
    /// The schemas differ.
    pub schema_changed: bool,
}

impl FeedCompared {
    fn differs(&self) -> bool {
        self.missing + self.extra + self.changed > 0 || self.schema_changed
    }

    fn add(&mut self, other: &Self) {
        self.same += other.same;
        self.missing += other.missing;
        self.extra += other.extra;
        self.changed += other.changed;
        self.not_compared += other.not_compared;
        self.schema_changed |= other.schema_changed;
    }
}

/// All records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Compared {
    /// By feed.
    pub feeds: BTreeMap<String, FeedCompared>,
    /// The first differences.
    pub examples: Vec<Difference>,
}

impl Compared {
    /// Whether anything differs.
    pub fn differs(&self) -> bool {
        self.feeds.values().any(FeedCompared::differs)
    }

    /// Adds those of another slot.
    pub(crate) fn add(&mut self, other: Self) {
        for (name, feed) in other.feeds {
            self.feeds.entry(name).or_default().add(&feed);
        }
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES_MAX);
    }
}

impl Compared {
    pub(super) fn feed(&mut self, name: &str) -> &mut FeedCompared {
        if !self.feeds.contains_key(name) {
            self.feeds.insert(name.to_owned(), FeedCompared::default());
        }
        self.feeds.entry(name.to_owned()).or_default()
    }

    pub(super) fn changed(&mut self, name: &str, running: &Kept, new: &Kept, due: bool) {
        let feed = self.feed(name);
        if !due {
            feed.not_compared += 2;
            return;
        }
        feed.changed += 1;
        self.example(name, DifferenceKind::Changed, Some(running), Some(new));
    }

    pub(super) fn alone(&mut self, name: &str, side: Side, kept: &Kept, due: bool) {
        let feed = self.feed(name);
        match (due, side) {
            (false, _) => feed.not_compared += 1,
            (true, Side::Running) => {
                feed.missing += 1;
                self.example(name, DifferenceKind::Missing, Some(kept), None);
            }
            (true, Side::New) => {
                feed.extra += 1;
                self.example(name, DifferenceKind::Extra, None, Some(kept));
            }
        }
    }

    fn example(
        &mut self,
        feed: &str,
        difference: DifferenceKind,
        running: Option<&Kept>,
        new: Option<&Kept>,
    ) {
        if self.examples.len() == EXAMPLES_MAX {
            return;
        }
        let key = running.or(new).and_then(|it| it.key.as_ref());
        let value = |it: Option<&Kept>| it.and_then(|it| it.value.as_ref()).map(shown);
        self.examples.push(Difference {
            feed: feed.to_owned(),
            difference,
            key: key.map(shown),
            running: value(running),
            new: value(new),
        });
    }
}

/// As text; what is none is escaped.
pub(super) fn shown(bytes: &Bytes) -> String {
    let cut = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let mut text = String::with_capacity(cut.len());
    for chunk in cut.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.extend(std::ascii::escape_default(*byte).map(char::from));
        }
    }
    if cut.len() < bytes.len() {
        text.push('…');
    }
    text
}
