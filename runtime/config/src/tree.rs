//! The file as a tree in which each value knows where it stands.

use crate::finding::Pos;
use crate::scalar::Meaning;
use std::fmt;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Pos,
    pub(crate) content: Content,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Pos,
    pub(crate) node: Node,
}

/// Text and how it was written: what it means is decided by what is due at its place.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    /// With variables replaced.
    pub(crate) text: String,
    /// Written without quotes, so that it may mean a number, a truth value or nothing.
    pub(crate) plain: bool,
    pub(crate) origin: Origin,
}

/// Where a scalar's text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// All of it stands in the file.
    Written,
    /// Some of it is a variable's.
    Variable,
    /// Some of it was read from a file: never shown.
    Secret,
    /// A variable could not be replaced; that has been reported, and nothing else is to be said.
    Broken,
}

impl Node {
    /// Nodes in this one, itself included.
    pub(crate) fn size(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(_) => 0,
            Content::List(nodes) => nodes.iter().map(Node::size).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.node.size()).sum(),
        }
    }

    /// Whether a key was written and nothing after it.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.meaning() == Meaning::Nothing)
    }

    pub(crate) fn is_broken(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.origin == Origin::Broken)
    }

    /// The value below that key, in a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    /// What a step leads to: a key in a mapping, a number in a list.
    pub(crate) fn child(&self, step: &str) -> Option<&Node> {
        match &self.content {
            Content::Map(_) => self.get(step).map(|entry| &entry.node),
            Content::List(nodes) => nodes.get(step.parse::<usize>().ok()?),
            Content::Scalar(_) => None,
        }
    }
}

/// The way to a value: `pipelines.trades.sinks.lake.topics[0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn key(&self, key: &str) -> Path {
        // A longer key is no name, and would be repeated in every path below it.
        const PLAIN_CHARS_MAX: usize = 80;
        let plain = (1..=PLAIN_CHARS_MAX).contains(&key.len())
            && key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
        let key = if plain {
            key.to_owned()
        } else {
            format!("{:?}", crate::finding::shown(key))
        };
        if self.0.is_empty() {
            Path(key)
        } else {
            Path(format!("{}.{key}", self.0))
        }
    }

    pub(crate) fn index(&self, index: usize) -> Path {
        Path(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.0
    }
}

impl From<&Path> for String {
    fn from(path: &Path) -> Self {
        path.0.clone()
    }
}
