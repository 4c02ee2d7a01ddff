//! What is handed from version to version: whose it is, and how often it was handed on.

use crate::bindings::exports::jackfield::connector::sink::{Failure, Saved};
use crate::bindings::jackfield::connector::log;
use crate::bindings::jackfield::connector::types::Role;
use std::cell::Cell;

thread_local! {
    static TIMES: Cell<u64> = const { Cell::new(0) };
}

/// What an instance of this role is called.
pub(crate) fn name(role: Role) -> String {
    match role {
        Role::Task(number) => format!("task-{number}"),
        Role::Committer => "committer".into(),
    }
}

/// Takes up what was handed over, and tells so.
pub(crate) fn take(me: &str, state: &Saved) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(&state.bytes);
    let times = text.strip_prefix(me).and_then(|it| it.trim().parse().ok());
    let Some(times) = times else {
        return Err(Failure::Broken(format!("{me} was handed: {text}")));
    };
    TIMES.set(times);
    log::write(
        log::Level::Info,
        &format!("{me} was handed over {times} times"),
    );
    Ok(())
}

/// What the next version is handed.
pub(crate) fn save(me: &str) -> Vec<u8> {
    format!("{me} {}", TIMES.get() + 1).into_bytes()
}
