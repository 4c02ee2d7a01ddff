//! Servers below a lake, for tests: stores as S3, Google and Azure have them, PostgreSQL, Iceberg's own
//! REST catalog, and a front before any of them that fails on demand.

mod azure;
mod front;
mod gcs;
mod postgres;
mod rest;
mod s3;

pub use azure::AzureServer;
pub use front::{Fault, Front, Seen};
pub use gcs::GcsServer;
pub use postgres::PostgresServer;
pub use rest::RestServer;
pub use s3::S3Server;

use std::time::Duration;

/// Longest that a server's start may take, on a machine that is busy with other tests; the first
/// one also fetches what it runs.
const START_MAX: Duration = Duration::from_secs(300);
