//! Everything a source's test needs: a host made by the test, and a driver that treats the source
//! as the runtime does.

mod bench;
mod host;

pub use bench::{Bench, Landed};
pub use host::{FakeConnection, FakeHost, FakeRequest};
