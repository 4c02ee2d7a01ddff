//! A source that does, on command, whatever a component can do wrong.
//!
//! Its settings say in which exported function it misbehaves and how: `{"in": "poll", "do":
//! "panic"}`. It is written on the bare bindings, so that it can forge what a decent SDK would
//! never hand over. Without a command it is a decent source: of one record a poll, or with
//! `"take": true` of one record an event of the connection to `url`, or with `"lines"` of that many
//! lines that it numbers.
#![cfg(target_arch = "wasm32")]

mod describing;
mod evil;
mod feed;
mod forged;
mod lines;
mod opening;

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
use bindings::jackfield::connector::types::{Counts, Role};
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
    evil::act(command.deed_in(call), command.me());
}

impl Guest for Hostile {
    fn describe() -> Description {
        let deed = hostile_deeds::engraved();
        evil::act(deed, "");
        describing::description(deed)
    }

    fn check(settings: String) -> Vec<Finding> {
        told("check", &settings);
        let command = COMMAND.with_borrow(Clone::clone);
        describing::findings(command.deed_in("check"))
    }

    fn plan(settings: String, slots_max: u32) -> Result<Vec<Slot>, Failure> {
        told("plan", &settings);
        let command = COMMAND.with_borrow(Clone::clone);
        opening::slots(&command, slots_max)
    }

    fn open(
        context: Context,
        settings: String,
        slot: Slot,
        positions: Vec<Position>,
        _state: Option<Saved>,
    ) -> Result<Vec<Feed>, Failure> {
        let mut command = Command::from_settings(&settings);
        command.is_called(&slot.id);
        COMMAND.set(command.clone());
        if !command.ask.is_empty() && !command.deed_in("open").is_empty() {
            opening::ask(&command.ask);
        }
        tempted("open");
        if command.take {
            feed::listen(&command.url)?;
        }
        if let Role::Task(number) = context.role {
            lines::open(command.lines, (number, context.tasks), &positions);
        }
        opening::feeds(command.deed_in("open"))
    }

    fn poll(limits: Limits) -> Result<Polled, Failure> {
        let command = COMMAND.with_borrow(Clone::clone);
        let deed = command.deed_in("poll");
        evil::act(deed, command.me());
        // What is worse than decent is not decent first.
        let decent = matches!(deed, "" | "reject");
        if (command.take || command.lines > 0) && decent {
            let mut polled = if command.take {
                feed::take(&command, &limits)
            } else {
                lines::poll(&command)
            };
            polled.replan = !command.deed_in("replan").is_empty();
            return Ok(polled);
        }
        if command.lines > 0 && deed == "late-panic" {
            lines::poll(&command);
            panic!("as told, with records in hand");
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
