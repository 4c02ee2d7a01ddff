//! Changing what runs: by the admin API, by the command line, and by files that change.

mod loading;
mod operator;
mod reload;
pub(crate) mod token;
pub(crate) mod watch;

pub(crate) use loading::{Loader, Wanted};
pub(crate) use operator::Running;
