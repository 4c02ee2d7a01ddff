//! Servers that tests start: a process that never outlives its test, a port that stays its own,
//! and what is fetched to run it.

mod fetched;
mod port;
mod process;
mod watch;

pub use fetched::{fetched, repository};
pub use port::free_port;
pub use process::Process;
pub use watch::Watch;
