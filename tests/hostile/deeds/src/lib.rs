//! What the evil components can do wrong, whichever kind they are, and the command that tells them.

mod acts;
mod command;
mod engraved;

pub use acts::{act, forged};
pub use command::Command;
pub use engraved::engraved;
