//! A server that speaks Binance's spot WebSocket and REST from a recording, at a
//! chosen speed, with faults on demand.
//!
//! The recorded trades are real; nothing about them is made up, but for their ids
//! and times from the second lap of a benchmark on. The clock starts with the
//! first subscription (or when told); REST knows what the clock has passed, and
//! after the last trade the exchange stays up in silence.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use jackfield_exchange::{Exchange, Fault, Options, Speed};
//!
//! let exchange = Exchange::start(Options {
//!     speed: Speed::PerSecond(5000.0),
//!     seed: 7,
//!     faults: vec![Fault::Drop.at(4000), Fault::HalfOpen.at(9000)],
//!     ..Options::spot()?
//! })
//! .await?;
//! println!("{} {}", exchange.ws_url(), exchange.rest_url());
//! exchange.finished().await;
//! # Ok(()) }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod clock;
mod fault;
mod market;
mod recording;
mod rest;
mod schedule;
mod server;
mod session;
mod subscriptions;
mod tape;
mod trade;
mod weight;
mod wire;

pub use clock::{NotASpeed, Speed};
pub use fault::{Fault, NotAFault, Scheduled, When, read_list, storm};
pub use recording::{Depth, RECORDING_BYTES_MAX, Recording, RecordingError};
pub use server::{Exchange, Limits, Options, Running, StartError, Status};
pub use trade::{Decimal8, NotADecimal, Trade};
