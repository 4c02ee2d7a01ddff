//! A plugin's settings: any JSON, checked against the plugin's own schema when it is known.

use crate::tree::{Node, Path};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// Settings as the file gives them, and where each value stands in it.
#[derive(Clone)]
pub struct Settings {
    value: Value,
    located: Arc<Located>,
}

/// Where settings stand.
pub(crate) struct Located {
    pub(crate) file: String,
    pub(crate) path: Path,
    pub(crate) node: Node,
}

impl Settings {
    pub(crate) fn new(value: Value, located: Located) -> Self {
        Settings {
            value,
            located: Arc::new(located),
        }
    }

    /// As given: defaults of the plugin's schema are not filled in. Always an object.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

impl PartialEq for Settings {
    /// By value: moving lines in a file changes nothing.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.value, f)
    }
}
