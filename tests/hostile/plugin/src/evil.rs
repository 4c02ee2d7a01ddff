//! Deeds that only a source can do: with its inbox, its connections and the log.

use crate::bindings::jackfield::connector::{inbox, log, websocket};
use std::hint::black_box;

/// More than an instance may make without being held back.
const MANY_CALLS: u32 = 200_000;
/// The slot that is first to panic.
const FIRST: &str = "s0";
/// How long it waits before that, ms: the others are in the same call by then.
const FIRST_WAIT_MS: u32 = 500;
/// Longer than any call may take, ms.
const ENDLESS_MS: u32 = 3_600_000;

/// Does it, if it is one of these, or one of those that any component can do. `me`: the slot.
pub(crate) fn act(deed: &str, me: &str) {
    match deed {
        "receive" => {
            inbox::receive(1 << 20, ENDLESS_MS);
        }
        // The others wait until they are called back, which the first one's end brings about.
        "panic-in-turn" => {
            let first = me == FIRST;
            let wait_ms = if first { FIRST_WAIT_MS } else { ENDLESS_MS };
            inbox::receive(1 << 10, wait_ms);
            panic!("as told, in turn");
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
