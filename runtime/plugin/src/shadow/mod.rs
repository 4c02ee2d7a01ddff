//! Running a source beside, or after, the one whose input it is: on a copy, and without effect.
//!
//! ```text
//! Inbox, Connections, Requests ──► Tap ──► Stage ──► SourceInstance
//!                                   └────► recording ──► file ──► Stage ──► SourceInstance
//! ```
//!
//! A [`Tap`] is told all that reaches a slot and all that the running version asks for. A
//! [`Stage`] is what the instance sees instead of the world: events come from the tap, what it
//! sends goes nowhere, and what it asks for is answered from what the running one asked for.

mod calls;
mod ready;
mod stage;
mod tap;
mod timeline;
mod world;

pub use calls::{CallDifference, CallReport, Side};
pub use stage::Stage;
pub(crate) use tap::fingerprint;
pub use tap::{Heard, Item, Tap, TapEnd};
pub(crate) use timeline::Timeline;
