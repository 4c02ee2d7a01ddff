//! A sink that does, on command, whatever a component can do wrong.
//!
//! Its settings say in which exported function it misbehaves and how: `{"in": "put", "do":
//! "panic"}`; a deed that begins with `late-` is done after the work. It is written on the bare
//! bindings, so that it can forge what a decent SDK would never hand over. Without a command it is
//! a decent sink that delivers exactly once: see `ledger`.
//! With `"saves"` it hands something to the next version, see `handed`; what it does wrong in
//! `handed` it does when it is handed something.
#![cfg(target_arch = "wasm32")]

mod describing;
mod evil;
mod forged;
mod handed;
mod ledger;

// Generated code is documented by the contract.
#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../plugins/wit/jackfield.wit",
        world: "sink-connector",
    });
    use crate::Hostile;
    export!(Hostile);
}

use bindings::exports::jackfield::connector::sink::{
    Committed, Context, Description, Failure, Finding, Guest, Holding, Piece, Saved, Span, Taken,
};
use hostile_deeds::Command;
use std::cell::{Cell, RefCell};

thread_local! {
    static COMMAND: RefCell<Command> = RefCell::default();
    static REWOUND: Cell<bool> = const { Cell::new(false) };
}

struct Hostile;

fn command() -> Command {
    COMMAND.with_borrow(Clone::clone)
}

/// Does what the command says if this is the call. Gives the deed, for the answer.
fn tempted(call: &str) -> String {
    let command = command();
    let deed = command.deed_in(call).to_owned();
    evil::act(&deed, &command);
    deed
}

/// Does it now that the work is done.
fn tempted_late(deed: &str) {
    if let Some(deed) = deed.strip_prefix("late-") {
        evil::act(deed, &command());
    }
}

impl Guest for Hostile {
    fn describe() -> Description {
        let deed = hostile_deeds::engraved();
        evil::act(deed, &Command::default());
        describing::description(deed)
    }

    fn check(settings: String) -> Vec<Finding> {
        COMMAND.set(Command::from_settings(&settings));
        describing::findings(&tempted("check"))
    }

    fn open(context: Context, settings: String, state: Option<Saved>) -> Result<(), Failure> {
        let mut command = Command::from_settings(&settings);
        command.is_called(&handed::name(context.role));
        COMMAND.set(command.clone());
        if let Some(state) = state {
            forged::nothing(&tempted("handed"))?;
            handed::take(command.me(), &state)?;
        }
        forged::nothing(&tempted("open"))
    }

    fn assigned(held: Vec<Holding>) -> Result<(), Failure> {
        let deed = tempted("assigned");
        ledger::assigned(held);
        tempted_late(&deed);
        forged::nothing(&deed)
    }

    fn put(at: Span, records: Vec<u8>) -> Result<Taken, Failure> {
        if command().rewind && !REWOUND.replace(true) {
            return Err(Failure::Rewind("as told".into()));
        }
        let deed = tempted("put");
        if let Some(answer) = forged::taken(&deed) {
            return answer;
        }
        if deed == "full" {
            ledger::room()?;
        }
        let every = (deed == "reject").then(|| command().every.max(1));
        let taken = ledger::put(&at, &records, every);
        tempted_late(&deed);
        taken
    }

    fn stage() -> Result<Vec<Piece>, Failure> {
        let deed = tempted("stage");
        if let Some(answer) = forged::pieces(&deed) {
            return answer;
        }
        match deed.as_str() {
            "half" => ledger::half(false)?,
            "half-slowly" => ledger::half(true)?,
            _ => {}
        }
        let pieces = ledger::stage();
        tempted_late(&deed);
        Ok(pieces)
    }

    fn discard() {
        tempted("discard");
        ledger::discard();
    }

    fn stored(_known: Vec<String>) -> Result<Vec<Holding>, Failure> {
        let deed = tempted("stored");
        match forged::holdings(&deed) {
            Some(answer) => answer,
            None => ledger::stored(&command().root),
        }
    }

    fn commit(
        target: String,
        pieces: Vec<Piece>,
        spans: Vec<Span>,
        id: String,
    ) -> Result<Committed, Failure> {
        let deed = tempted("commit");
        if let Some(answer) = forged::committed(&deed) {
            return answer;
        }
        if deed == "gated" {
            ledger::gate(&command().root)?;
        }
        let committed = ledger::commit(&command().root, &target, &pieces, &spans, &id);
        tempted_late(&deed);
        committed
    }

    fn save() -> Result<Saved, Failure> {
        let command = command();
        let (mut version, mut bytes) = (1, Vec::new());
        if command.saves {
            bytes = handed::save(command.me());
        }
        match tempted("save").as_str() {
            "too-much" => bytes = vec![7; 17 << 20],
            "unknown-version" => version = 99,
            _ => {}
        }
        Ok(Saved { version, bytes })
    }

    fn close() {
        tempted("close");
    }
}
