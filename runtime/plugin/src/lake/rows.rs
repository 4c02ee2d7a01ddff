//! The port to a catalog's rows: which metadata document a table is at.

use super::error::CatalogError;
use super::ident::Ident;
use async_trait::async_trait;
use std::fmt;

/// One row a table, changed by compare-and-swap. An error that could have happened after the
/// change is `Unknown`; every other error means that nothing was changed.
#[async_trait]
pub(crate) trait Rows: fmt::Debug + Send + Sync {
    /// Connects, and makes the catalog's own tables where they are missing.
    async fn ready(&self) -> Result<(), CatalogError>;

    /// The table's metadata location; none if there is no such table.
    async fn location(&self, ident: &Ident) -> Result<Option<String>, CatalogError>;

    /// Where the files of the table at `document` are, if that is said beside the document; none:
    /// the document alone says it.
    fn files(&self, _ident: &Ident, _document: &str) -> Option<String> {
        None
    }

    /// Adds a table, and its namespace where that is missing. `Exists` if the name is taken.
    async fn insert(&self, ident: &Ident, location: &str) -> Result<(), CatalogError>;

    /// Moves a table on, only if it is at `expected`; `Conflict` if it is not, or is gone.
    async fn replace(&self, ident: &Ident, expected: &str, next: &str) -> Result<(), CatalogError>;
}
