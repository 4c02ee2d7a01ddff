//! The admin server: health, metrics, and changing connectors over HTTP.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 as long as the process can answer at all |
//! | `/readyz` | each connector's state as JSON; 200 when all of them run, else 503 |
//! | `/metrics` | the metrics in Prometheus' text format |
//! | `/status`, `/connectors/{c}/status` | states and versions |
//! | `/connectors/{c}/swap` | POST: the component as the body changes the connector to it |
//! | `/connectors/{c}/swaps` | its last swaps |
//! | `/connectors/{c}/shadows` | its last shadows |
//! | `/connectors/{c}/record` | POST: what it is given from now on, as a file |
//!
//! Everything below `/status` and `/connectors` needs the bearer token.
//!
//! It has a thread and a runtime of its own: a pipeline that is stuck can't silence it, and whoever
//! asks it too much gets in nobody else's way. It knows nothing of pipelines: who starts it gives a
//! function that tells the states, and that function may be as slow as it likes.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod connections;
mod connectors;
mod guard;
mod health;
mod metrics;
mod operator;
mod server;

pub use health::ConnectorState;
pub use operator::{Answer, Chunks, Objection, Operator, RecordCall, Recorded, SwapCall};
pub use server::{AdminConfig, AdminError, AdminServer};
