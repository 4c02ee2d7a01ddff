//! What is wrong with a config, by key.

use std::collections::BTreeMap;
use std::fmt;

/// Longest message that is kept, characters: a plugin may say anything.
const MESSAGE_CHARS_MAX: usize = 500;

/// Messages for people, by the key that they speak of.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
pub struct KeyErrors(BTreeMap<String, Vec<String>>);

impl KeyErrors {
    /// Adds a message.
    pub fn push(&mut self, key: &str, message: impl Into<String>) {
        let message: String = message.into().chars().take(MESSAGE_CHARS_MAX).collect();
        let messages = self.0.entry(key.to_owned()).or_default();
        if !messages.contains(&message) {
            messages.push(message);
        }
    }

    /// Takes over all of another's.
    pub fn extend(&mut self, other: KeyErrors) {
        for (key, messages) in other.0 {
            for message in messages {
                self.push(&key, message);
            }
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The messages of a key.
    pub fn of(&self, key: &str) -> &[String] {
        self.0.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Keys and their messages.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0
            .iter()
            .map(|(key, all)| (key.as_str(), all.as_slice()))
    }

    /// Messages there are.
    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

impl fmt::Display for KeyErrors {
    /// As Kafka Connect says it: one message that lists every error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Connector configuration is invalid and contains the following {} error(s):",
            self.count()
        )?;
        for (key, messages) in &self.0 {
            for message in messages {
                write!(f, "\n{key}: {message}")?;
            }
        }
        Ok(())
    }
}
