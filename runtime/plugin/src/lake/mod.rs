//! The lake that a sink is granted: object store and catalog.

/// An upload under way, held for a plugin.
#[derive(Debug)]
pub struct Upload;
