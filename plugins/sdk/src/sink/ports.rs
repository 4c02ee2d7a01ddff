//! What a sink may ask of its host, as traits: in a component they are the world's imports, in a
//! test they are fakes.

use std::fmt;
use std::sync::Arc;

use crate::Schema;

/// Most bytes of one [`Upload::write`], [`Store::put`] or [`Store::get`]: the host refuses more,
/// so that a crossing stays small.
pub const STORE_CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// The capabilities of a sink.
#[derive(Clone)]
pub struct Ports {
    /// Objects of the granted lake.
    pub store: Arc<dyn Store>,
    /// The granted lake's catalog.
    pub catalog: Arc<dyn Catalog>,
    /// Schemas by the ids that batches carry.
    pub schemas: Arc<dyn Schemas>,
    /// Requests to the granted addresses.
    pub http: Arc<dyn Http>,
    /// Lines for people.
    pub log: Arc<dyn Log>,
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Outside the grant.
    #[error("not granted: {0}")]
    Denied(String),
    /// There is no such object.
    #[error("no such object")]
    Missing,
    /// More bytes than cross at once.
    #[error("{0} bytes are more than cross at once")]
    TooLarge(u64),
    /// Worth trying again.
    #[error("for now: {0}")]
    Transient(String),
    /// The host wants the call back.
    #[error("interrupted")]
    Interrupted,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its absolute URI.
    pub uri: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, ms since the epoch.
    pub modified_ms: u64,
}

/// Objects by absolute URI.
pub trait Store: Send + Sync {
    /// Begins an object of any size.
    ///
    /// # Errors
    /// [`StoreError`].
    fn create(&self, uri: &str) -> Result<Box<dyn Upload>, StoreError>;
    /// Writes an object of up to [`STORE_CHUNK_BYTES_MAX`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn put(&self, uri: &str, bytes: &[u8]) -> Result<(), StoreError>;
    /// Reads an object, or a range `(offset, length)` of it, of up to [`STORE_CHUNK_BYTES_MAX`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, uri: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError>;
    /// What the object is, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn head(&self, uri: &str) -> Result<Option<Entry>, StoreError>;
    /// Removes an object.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete(&self, uri: &str) -> Result<(), StoreError>;
    /// Up to `max` objects under a prefix, in order, after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(&self, prefix: &str, after: Option<&str>, max: u32) -> Result<Vec<Entry>, StoreError>;
}

/// An object that is being written. Dropped unfinished, it never was.
pub trait Upload: Send {
    /// The next bytes, up to [`STORE_CHUNK_BYTES_MAX`].
    ///
    /// # Errors
    /// [`StoreError`].
    fn write(&mut self, chunk: &[u8]) -> Result<(), StoreError>;
    /// Makes the object whole and tells its size. May be repeated.
    ///
    /// # Errors
    /// [`StoreError`].
    fn finish(&mut self) -> Result<u64, StoreError>;
}

/// Why the catalog did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Outside the grant.
    #[error("not granted: {0}")]
    Denied(String),
    /// There is no such table.
    #[error("no such table")]
    Missing,
    /// There is one already.
    #[error("the table exists")]
    Exists,
    /// Someone else committed first: load and try again.
    #[error("someone else committed first: {0}")]
    Conflict(String),
    /// It may or may not have happened: load and look for the commit id.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// Worth trying again; nothing happened.
    #[error("for now: {0}")]
    Transient(String),
    /// The host wants the call back. From `commit`: as unknown.
    #[error("interrupted")]
    Interrupted,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// A table's metadata as of one metadata location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogTable {
    /// Where the metadata document is.
    pub metadata_location: String,
    /// The document: JSON of the Iceberg specification.
    pub metadata: String,
    /// Where the table's files go.
    pub location: String,
}

/// An Iceberg catalog. Creations, requirements, updates and metadata are the JSON of the Iceberg
/// REST specification, whatever the catalog behind.
pub trait Catalog: Send + Sync {
    /// `None`: the table is still the one at `known`, a metadata location.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn load(&self, ident: &str, known: Option<&str>) -> Result<Option<CatalogTable>, CatalogError>;
    /// Creates a table, and its namespace when that is missing.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn create(&self, ident: &str, creation: &str) -> Result<CatalogTable, CatalogError>;
    /// Applies the updates, only if the table fulfils the requirements and, with a SQL catalog, is
    /// still at `expected_location`: a REST catalog decides by the requirements alone.
    ///
    /// # Errors
    /// [`CatalogError`].
    fn commit(
        &self,
        ident: &str,
        expected_location: &str,
        requirements: &str,
        updates: &str,
    ) -> Result<CatalogTable, CatalogError>;
}

/// Why there is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemasError {
    /// The registry knows no such id.
    #[error("no such schema")]
    Missing,
    /// Repeating does not mend it: a person must act.
    #[error("refused: {0}")]
    Refused(String),
    /// Worth trying again.
    #[error("for now: {0}")]
    Transient(String),
}

/// Schemas by id, references inlined.
pub trait Schemas: Send + Sync {
    /// The schema of that id.
    ///
    /// # Errors
    /// [`SchemasError`].
    fn get(&self, id: u32) -> Result<Schema, SchemasError>;
}

/// A request; the host adds what the grant says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// GET, POST and so on.
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Name and value.
    pub headers: Vec<(String, String)>,
    /// May be empty.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Name and value.
    pub headers: Vec<(String, String)>,
    /// May be empty.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Outside the grant.
    #[error("not granted: {0}")]
    Denied(String),
    /// No connection.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// More bytes than cross at once.
    #[error("{0} bytes are more than cross at once")]
    TooLarge(u64),
    /// Nothing came in time.
    #[error("timed out")]
    Timeout,
    /// The host wants the call back; nothing is known of the outcome.
    #[error("interrupted")]
    Interrupted,
}

/// Requests that wait for their response.
pub trait Http: Send + Sync {
    /// Sends, and waits at most that long.
    ///
    /// # Errors
    /// [`HttpError`].
    fn fetch(&self, request: &HttpRequest, timeout_ms: u32) -> Result<HttpResponse, HttpError>;
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For whoever looks for a fault in the connector.
    Debug,
    /// Worth knowing.
    Info,
    /// Will need attention.
    Warn,
    /// Data lost, or someone must act.
    Error,
}

/// Lines for people, rate limited and tagged by the host.
pub trait Log: Send + Sync {
    /// Writes a line.
    fn write(&self, level: LogLevel, message: &str);
}
