//! Writes topics into Iceberg tables, exactly once.
//!
//! The tasks turn Avro records into Parquet files under the table's data folder; the committer
//! makes them a snapshot together with the offsets that they cover. The table itself is the only
//! place where the progress is kept: see [`offsets`](self) for the keys.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod avro;
mod commit;
mod decoder;
mod documents;
mod errors;
mod evolve;
mod failing;
mod files;
mod grouping;
mod location;
mod long_values;
mod maintain;
mod memcmp;
mod metrics;
mod offsets;
mod orphans;
mod parquet_paths;
mod parquet_properties;
mod partition_by;
mod partition_values;
mod partitioning;
mod piece;
mod reading;
mod relief;
mod routing;
mod schema;
mod settings;
mod sink;
mod sorting;
mod storage;
mod tables;
mod task;
#[cfg(test)]
mod tests;
mod units;

pub use evolve::Evolve;
pub use settings::{Maintain, Mode, Settings};
pub use sink::IcebergSink;
pub use units::{Age, ByteSize};

jackfield_sdk::export_sink!(IcebergSink);
