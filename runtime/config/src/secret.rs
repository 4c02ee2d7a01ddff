//! Text that is never shown.

use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use std::fmt;

/// What stands in a secret's place wherever it would be shown.
pub const MASK: &str = "***";

/// A password, a token, or a text that may hold one. `Debug`, `Display` and `Serialize` give
/// `***`; only [`Secret::expose`] gives the text.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text in; it is wiped from memory when the last clone is dropped.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(SecretString::from(text.into()))
    }

    /// The text, for the one place that sends it. Never put it into a message, a log line or an
    /// error.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_masked_however_it_is_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }
}
