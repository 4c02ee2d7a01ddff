//! A source that does, on command, whatever a component can do wrong.
//!
//! Its settings say in which exported function it misbehaves and how: `{"in": "poll", "do":
//! "panic"}`. It is written on the bare bindings, so that it can forge what a decent SDK would
//! never hand over. Without a command it is a decent source: of one record a poll, or with
//! `"take": true` of one record an event of the connection to `url`.
#![cfg(target_arch = "wasm32")]

mod describing;
mod evil;
mod feed;
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
use bindings::jackfield::connector::inbox;
use bindings::jackfield::connector::types::{Counts, Schema, SchemaKind};
use hostile_deeds::Command;
use std::cell::{Cell, RefCell};

thread_local! {
    static COMMAND: RefCell<Command> = RefCell::default();
    static POLLS: Cell<u64> = const { Cell::new(0) };
}

struct Hostile;

/// Takes the command from settings, and does what it says if this is the call.
fn told(call: &str, settings: &str) {
    COMMAND.set(Command::from_settings(settings));
    tempted(call);
}

fn tempted(call: &str) {
    let command = COMMAND.with_borrow(Clone::clone);
    evil::act(command.deed_in(call));
}

impl Guest for Hostile {
    fn describe() -> Description {
        let deed = hostile_deeds::engraved();
        evil::act(deed);
        describing::description(deed)
    }

    fn check(settings: String) -> Vec<Finding> {
        told("check", &settings);
        let command = COMMAND.with_borrow(Clone::clone);
        describing::findings(command.deed_in("check"))
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
        let command = COMMAND.with_borrow(Clone::clone);
        if command.take {
            feed::listen(&command.url)?;
        }
        Ok(vec![Feed {
            name: "only".into(),
            value: Schema {
                kind: SchemaKind::None,
                text: String::new(),
            },
            key: None,
        }])
    }

    fn poll(limits: Limits) -> Result<Polled, Failure> {
        let command = COMMAND.with_borrow(Clone::clone);
        let deed = command.deed_in("poll");
        evil::act(deed);
        // What is worse than decent is not decent first.
        let decent = matches!(deed, "" | "reject");
        if command.take && decent {
            return Ok(feed::take(&command, &limits));
        }
        if command.take && deed == "late-panic" {
            feed::take(&command, &limits);
            panic!("as told, with events in hand");
        }
        if command.pause_ms > 0 {
            inbox::receive(1 << 10, command.pause_ms);
        }
        let number = POLLS.get() + 1;
        POLLS.set(number);
        forged::polled(deed, &command.url, number, &limits)
    }

    fn settled(_positions: Vec<Position>) -> Result<(), Failure> {
        tempted("settled");
        Ok(())
    }

    fn save() -> Result<Saved, Failure> {
        tempted("save");
        let command = COMMAND.with_borrow(Clone::clone);
        let bytes = if command.deed_in("save") == "too-much" {
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
