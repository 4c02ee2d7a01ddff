//! What good files become.
#![allow(clippy::unwrap_used, missing_docs)]

mod admin;
#[path = "../common/mod.rs"]
mod common;
mod example;
mod file;
mod forms;
mod grants;
mod lakes;
mod log_kafka;
mod telemetry;

use std::time::Duration;

const EXAMPLE: &str = include_str!("../../../../connectors.yaml");
const SECOND: Duration = Duration::from_secs(1);

/// The least that runs, with these lines below the sink.
fn with_sink(lines: &str) -> String {
    let lines = lines.replace('\n', "\n        ");
    format!(
        "plugins: {{ iceberg: a.wasm }}\npipelines:\n  p:\n    topics: {{ trade: {{ name: trades }} }}\n    sinks:\n      s:\n        plugin: iceberg\n        topics: [trade]\n        {lines}\n"
    )
}
