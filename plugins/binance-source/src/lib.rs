//! Trades of Binance's spot market as a Jackfield source.
//!
//! ```text
//! frames ──► frame ──► continuity (one a symbol) ──► outlet ──► batches, positions
//!   │                      ▲          │ behind
//!   ▼                      │          ▼
//! lines (links, overlap)  rest ◄── fetcher (budget, backoff)
//! ```
//!
//! Trade ids are consecutive within a symbol, so what is missing is known by its ids. A live trade
//! that is further on than the next id waits; REST tells what lies between, and only what REST
//! itself passes over becomes a record of the feed `gap`. Positions are the last ids taken: after
//! any stop the source goes on from there, by REST as far as need be.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod budget;
mod continuity;
mod fetcher;
mod frame;
mod holds;
mod lines;
mod link;
mod outlet;
mod plan;
mod rest;
mod settings;
mod source;
mod trade;

pub use settings::{Endpoints, Market, Settings, TimeUnit};
pub use source::BinanceSource;
pub use trade::{GapRecord, Trade, TradeRecord};

jackfield_sdk::export_source!(BinanceSource);
