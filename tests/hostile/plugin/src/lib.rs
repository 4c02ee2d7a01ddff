//! A source that does, on command, whatever a component can do wrong.
//!
//! Its settings say in which exported function it misbehaves and how: `{"in": "poll", "do":
//! "panic"}`. It is written on the bare bindings, so that it can forge what a decent SDK would
//! never hand over. Without a command it is a decent source of one record a poll.
#![cfg(target_arch = "wasm32")]

mod evil;
mod forged;

// Generated code is documented by the contract.
#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../plugins/wit/jackfield.wit",
        world: "source-connector",
    });
    use crate::Hostile;
    export!(Hostile);
}

use bindings::exports::jackfield::connector::source::{
    Context, Description, Failure, Feed, Finding, Guest, Limits, Polled, Position, Saved, Slot,
};
use bindings::jackfield::connector::types::{Counts, Delivery, Schema, SchemaKind};
use std::cell::RefCell;

/// What to do wrong, and where.
#[derive(serde::Deserialize, Default, Clone)]
struct Command {
    #[serde(default, rename = "in")]
    call: String,
    #[serde(default, rename = "do")]
    deed: String,
    /// Where to reach.
    #[serde(default)]
    url: String,
}

thread_local! {
    static COMMAND: RefCell<Command> = RefCell::default();
    static POLLS: RefCell<u64> = const { RefCell::new(0) };
}

struct Hostile;

/// Takes the command from settings, and does what it says if this is the call.
fn told(call: &str, settings: &str) {
    COMMAND.set(serde_json::from_str(settings).unwrap_or_default());
    tempted(call);
}

fn tempted(call: &str) {
    let command = COMMAND.with_borrow(Clone::clone);
    if command.call == call {
        evil::act(&command.deed);
    }
}

impl Guest for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile".into(),
            version: "0.1.0".into(),
            summary: "Misbehaves on command.".into(),
            settings_schema: r#"{"type": "object"}"#.into(),
            delivery: Delivery::ExactlyOnce,
            saved_version: 1,
            saved_version_min: 1,
            staged_version: 1,
            staged_version_min: 1,
        }
    }

    fn check(settings: String) -> Vec<Finding> {
        told("check", &settings);
        Vec::new()
    }

    fn plan(settings: String, _slots_max: u32) -> Result<Vec<Slot>, Failure> {
        told("plan", &settings);
        Ok(vec![Slot {
            id: "only".into(),
            settings: "{}".into(),
        }])
    }

    fn open(
        _context: Context,
        settings: String,
        _slot: Slot,
        _positions: Vec<Position>,
        _state: Option<Saved>,
    ) -> Result<Vec<Feed>, Failure> {
        told("open", &settings);
        let schema = || Schema {
            kind: SchemaKind::None,
            text: String::new(),
        };
        Ok(vec![Feed {
            name: "only".into(),
            value: schema(),
            key: None,
        }])
    }

    fn poll(limits: Limits) -> Result<Polled, Failure> {
        tempted("poll");
        let command = COMMAND.with_borrow(Clone::clone);
        let number = POLLS.with_borrow_mut(|polls| {
            *polls += 1;
            *polls
        });
        let deed = if command.call == "poll" {
            command.deed.as_str()
        } else {
            ""
        };
        forged::polled(deed, &command.url, number, &limits)
    }

    fn settled(_positions: Vec<Position>) -> Result<(), Failure> {
        tempted("settled");
        Ok(())
    }

    fn save() -> Result<Saved, Failure> {
        tempted("save");
        let deed = COMMAND.with_borrow(|c| {
            if c.call == "save" {
                c.deed.clone()
            } else {
                String::new()
            }
        });
        let bytes = if deed == "too-much" {
            vec![7; 17 << 20]
        } else {
            Vec::new()
        };
        Ok(Saved { version: 1, bytes })
    }

    fn close() {
        tempted("close");
    }
}

fn no_counts() -> Counts {
    Counts {
        records: 0,
        duplicates: 0,
        missing: 0,
        recovered: 0,
        event_time_max_ms: None,
    }
}
