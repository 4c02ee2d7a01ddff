//! Loads connectors as WASM components and calls them, within limits.
//!
//! ```text
//! file ─► Engine::load ─► Plugin ─► SourceInstance / SinkInstance ─► calls
//!                                    ▲ imports: inbox, websocket, requests · lake, schemas, http · log
//! ```
//!
//! A call returns, or its instance is gone: after a trap, a deadline, a cancelled call or an
//! answer that breaks the contract the store is discarded, and a new instance can be made at
//! once. What a slot must not lose lives outside of its instances: the [`Inbox`] with every event
//! that is not settled, the [`Connections`], the [`Requests`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bindings;
mod cache;
mod call;
mod convert;
mod cpu_time;
mod engine;
mod error;
mod grants;
mod host;
mod host_calls;
mod http_client;
mod inbox;
mod interrupt;
pub mod lake;
mod limits;
mod linkers;
mod log_lines;
mod network;
mod plugin;
mod precompiled;
mod probe;
pub mod recording;
mod requests;
mod shadow;
mod sink_host;
mod sink_instance;
mod source_instance;
mod state;
mod stderr;
#[cfg(test)]
mod testing;
mod types;
mod usage;
mod websocket;

pub use engine::{CompiledConfig, Engine, EngineConfig};
pub use error::{CallError, Death, Failure, LoadError};
pub use grants::{BadGrant, HttpGrant, HttpGrants, UrlPrefix, WebSocketGrants};
pub use http_client::HttpError;
pub use inbox::Inbox;
pub use interrupt::Interrupt;
pub use lake::Lake;
pub use limits::{COMMIT_BYTES_MAX, Call, CallLimits, Deadlines, HELD_POSITIONS_MAX};
pub use linkers::World;
pub use network::{Network, NetworkError};
pub use plugin::Plugin;
pub use precompiled::compile_into;
pub use probe::{Reached, Unreached, probe};
pub use requests::Requests;
pub use shadow::{CallDifference, CallReport, Heard, Item, Side, Stage, Tap, TapEnd};
pub use sink_instance::{SinkHost, SinkInstance};
pub use source_instance::{SourceHost, SourceInstance, StageHost};
pub use types::*;
pub use usage::{Usage, UsageSnapshot};
pub use websocket::{Connection, ConnectionState, Connections, Patience, WebSocketError};
