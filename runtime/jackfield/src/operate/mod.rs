//! Changing what runs: by the admin API, by the command line, and by files that change.

pub(crate) mod admin;
pub(crate) mod herd;
mod loading;
mod made;
mod masked;
mod named;
mod not_taken;
mod operator;
mod records;
mod reload;
mod removals;
mod render;
pub(crate) mod token;
mod view;
pub(crate) mod watch;

pub(crate) use loading::{Loader, Wanted};
pub(crate) use operator::Running;
pub(crate) use records::Kept;
pub(crate) use view::now_ms;
