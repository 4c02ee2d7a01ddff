//! The lake that a sink is granted: an object store and an Iceberg catalog, on the host.
//!
//! A plugin names objects by absolute URI and tables by ident, and speaks the JSON of Iceberg's
//! REST specification. What it may touch is checked by [`LakeAccess`]; credentials, sockets and
//! durability are the host's.

mod access;
mod azure_hosts;
mod buckets;
mod catalog;
mod checkup;
mod cloud_stores;
mod config;
mod database;
mod environment;
mod error;
mod folders;
mod http;
mod ident;
#[expect(
    clippy::module_inception,
    reason = "one noun a file, and this one is the lake"
)]
mod lake;
mod metadata;
mod overlay;
mod parts;
mod purse;
mod rest;
mod rows;
mod sql;
mod sql_error;
mod store;
mod tables;
mod trust;
mod upload;
mod uri;
mod vended;

#[cfg(test)]
mod tests;

pub use access::{
    DOCUMENT_BYTES_MAX, LIST_ENTRIES_MAX, LakeAccess, STORE_CHUNK_BYTES_MAX, UPLOADS_OPEN_MAX,
};
pub use buckets::StoreOptions;
pub use catalog::CatalogTable;
pub use checkup::{CatalogFound, Checkup, StoreFound};
pub use config::{CatalogConfig, LakeConfig, RestAuth, RestCatalogConfig};
pub use error::{CatalogError, LakeError, StoreError};
pub(crate) use http::STORE_SILENCE_MAX;
pub use lake::Lake;
pub use overlay::LakeOverlay;
pub use store::Entry;
pub use upload::Upload;
