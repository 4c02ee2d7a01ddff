//! A real Apache Kafka broker for tests: one process that is broker and controller, on loopback, in
//! a folder of its own.
//!
//! [`Broker::start`] fetches Kafka through `scripts/kafka-fetch` when it is not there yet, and
//! returns when the broker answers. A broker ends with the value that started it, and in any case
//! with the test's process, however that ends.

mod answers;
mod broker;
mod proxy;
mod secure;

pub use broker::Broker;
pub use proxy::{Fate, Proxy, Side};
pub use secure::SecureBroker;
