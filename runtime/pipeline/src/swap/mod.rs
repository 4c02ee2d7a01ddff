//! Changing what a running connector is made of: its component, its settings, or both.
//!
//! A swap is *prepared* beside the running version, then *cut over* at a batch boundary, and the
//! new version is *on probation* for a while: if it fails, or is worse than the old one, the old
//! one takes over again from what is settled.

mod desk;
mod prepare;
mod probation;
mod refused;
mod report;
mod version;

pub(crate) use desk::{Claim, Desk, Order, SwapOrder};
pub(crate) use prepare::{Given, prepare, suits};
pub(crate) use probation::{Pace, Probation, Work};

pub use desk::{Controls, SwapOptions};
pub use refused::Refused;
pub use report::{Outcome, SwapReport};
pub use version::{Version, VersionName};
