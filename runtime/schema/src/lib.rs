//! Schemas by id: the registry port, and the registry embedded in a log.
//!
//! A *subject* is a topic's values or keys (`<topic>-value`, `<topic>-key`); its versions follow
//! each other under BACKWARD compatibility: a reader of the newest one reads what was written
//! under the one before.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod compatibility;
mod embedded;
mod registry;
mod schema;

pub use embedded::EmbeddedRegistry;
pub use registry::{Registry, SchemaError};
pub use schema::{Schema, SchemaKind};
