//! Deeds that only a source can do: with its inbox, its connections and the log.

use crate::bindings::jackfield::connector::{inbox, log, websocket};
use std::hint::black_box;

/// More than an instance may make without being held back.
const MANY_CALLS: u32 = 200_000;

/// Does it, if it is one of these, or one of those that any component can do.
pub(crate) fn act(deed: &str) {
    match deed {
        "receive" => {
            inbox::receive(1 << 20, 3_600_000);
        }
        "call-the-host" => loop {
            black_box(websocket::list());
        },
        "call-the-host-often" => {
            for _ in 0..MANY_CALLS {
                black_box(websocket::list());
            }
        }
        "flood-the-log" => {
            for _ in 0..100_000 {
                log::write(log::Level::Debug, "flood");
            }
        }
        "one-giant-line" => log::write(log::Level::Debug, &"x".repeat(8 << 20)),
        other => hostile_deeds::act(other),
    }
}
