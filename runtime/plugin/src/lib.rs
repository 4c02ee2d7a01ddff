//! Loads connectors as WASM components and calls them, within limits.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bindings;
mod error;
mod grants;
mod http_client;
mod interrupt;
pub mod lake;
mod network;
mod types;
mod usage;

pub use error::{CallError, Death, Failure, LoadError};
pub use grants::{BadGrant, HttpGrant, HttpGrants, UrlPrefix, WebSocketGrants};
pub use http_client::HttpError;
pub use interrupt::Interrupt;
pub use network::{Network, NetworkError};
pub use types::*;
pub use usage::{Usage, UsageSnapshot};
