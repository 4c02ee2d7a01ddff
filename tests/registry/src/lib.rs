//! A real schema registry with Confluent's REST API for tests: Apicurio Registry, one process on
//! loopback whose schemas lie in its memory.
//!
//! [`ApicurioRegistry::start`] fetches it through `scripts/registry-fetch` when it is not there
//! yet, and returns when it answers. A registry ends with the value that started it, and in any
//! case with the test's process, however that ends.

mod apicurio;
mod ask;

pub use apicurio::ApicurioRegistry;
