//! Schemas by id: the registry port, the registry embedded in a log, and the client of registries
//! that speak Confluent's REST API.
//!
//! A *subject* is usually a topic's values or keys (`<topic>-value`, `<topic>-key`; see
//! [`SubjectNaming`] for others); its versions follow each other under the subject's
//! compatibility, which is BACKWARD unless set otherwise: a reader of the newest one reads what
//! was written under the one before.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod compatibility;
mod confluent;
mod embedded;
mod naming;
mod registry;
mod schema;

pub use confluent::{Addresses, Auth, ConfluentRegistry, ConfluentSettings, SettingsError, Tls};
pub use embedded::EmbeddedRegistry;
pub use naming::{Part, SubjectNaming};
pub use registry::{Registry, SchemaError};
pub use schema::{Schema, SchemaKind};
