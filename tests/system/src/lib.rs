//! What the system tests share: the real `jackfield` with the real components, our own
//! exchange, and the readers that a table is held against.
//!
//! `JACKFIELD_BIN` names the binary, else it is built; `JACKFIELD_PLUGINS_TEST_DIR` the folder of
//! the components, else it is where `scripts/build-plugins test` leaves them.

#![allow(clippy::unwrap_used)]

mod artifacts;
mod changed;
mod compare;
mod filtered;
mod java;
mod kafka;
mod kept;
mod metrics;
mod process;
mod prometheus;
mod readers;
mod site;
mod topics;
mod watched;

pub use artifacts::{Artifacts, repository, target};
pub use changed::changed_copy;
pub use compare::{Difference, Key, Row, compare, rows};
pub use filtered::{Answer, Reader, read_filtered};
pub use java::{iceberg_java, read_java_at, read_java_below};
pub use kafka::{Cluster, shared_cluster};
pub use kept::{Kept, KeptRecord, kept_below};
pub use metrics::metric;
pub use process::{Jackfield, output};
pub use prometheus::{Prometheus, faster_expr, rules};
pub use readers::{
    About, CountedFile, DataFile, Field, Files, Partition, Place, Snapshot, Table,
    describe_pyiceberg, read_duckdb, read_duckdb_at, read_pyiceberg, read_pyiceberg_at,
    spoil_table,
};
pub use site::{Site, both, gaps_sink, trades_sink};
pub use topics::{
    TopicRecord, python, read_topic, read_topic_by_java, values, write_topic, write_topic_by_java,
};
pub use watched::{Moment, Rates, Watched};

use std::time::Duration;

/// Longer than any single step takes on a busy machine; a hang is seen nevertheless.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A client for plain HTTP.
pub fn http() -> reqwest::Client {
    // Wanted to build a client at all; the second test of a process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
