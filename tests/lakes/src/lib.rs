//! Servers below a lake, for tests: an S3 server, a PostgreSQL server, Iceberg's own REST catalog,
//! and a front before any of them that fails on demand.

mod front;
mod postgres;
mod process;
mod rest;
mod s3;

pub use front::{Fault, Front, Seen};
pub use postgres::PostgresServer;
pub use rest::RestServer;
pub use s3::S3Server;

use std::path::PathBuf;

fn repository() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder
        .ancestors()
        .nth(2)
        .expect("this crate lies two folders deep")
        .to_owned()
}
