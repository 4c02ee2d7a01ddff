//! The commands that ask a running process, over its admin API.
//!
//! | module | what lives there |
//! |---|---|
//! | `admin` | where it is, its token, and asking |
//! | `door` | how it is reached, and by what it is known |
//! | `args` | what each command takes |
//! | `status`, `lifecycle`, `offsets`, `topics`, `tail`, `levels` | a command each |
//! | `swaps` | what became of a connector's swaps |
//! | `table` | tables for people |

mod admin;
mod args;
pub(crate) mod door;
mod levels;
mod lifecycle;
mod offsets;
mod status;
mod swaps;
mod table;
mod tail;
mod topics;

pub(crate) use admin::{Admin, AskError, read, url_of};
pub(crate) use args::{
    At, LogsCommand, NamesArgs, OffsetsCommand, RestartArgs, StatusArgs, TailArgs, TopicsArgs,
};
pub(crate) use levels::level;
pub(crate) use lifecycle::{Change, change, restart};
pub(crate) use offsets::offsets;
pub(crate) use status::status;
pub(crate) use swaps::history;
pub(crate) use tail::tail;
pub(crate) use topics::topics;

use std::io::{self, Write};

/// Writes a line for whoever reads standard output; false: nobody does any more, such as `head`
/// that has seen enough.
pub(crate) fn say(line: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
        .is_ok()
}
