//! Answers of `plan` and `open`.

use crate::bindings::exports::jackfield::connector::source::{Failure, Feed, Slot};
use crate::bindings::jackfield::connector::http_types::Request;
use crate::bindings::jackfield::connector::types::{Rejection, Retry, Schema, SchemaKind};
use crate::bindings::jackfield::connector::{inbox, requests};
use crate::evil;
use hostile_deeds::{Command, forged};
use jackfield_batch::event::{Events, Kind, Response};

/// The status that means: misbehave now.
const NOW: u16 = 503;
/// More than the longest text that the host takes of one slot or schema.
const TOO_LONG_BYTES: usize = 2 << 20;

/// A failure that either may answer with.
fn failure(deed: &str) -> Option<Failure> {
    Some(match deed {
        "broken" => Failure::Broken("as told".into()),
        "misconfigured" => Failure::Misconfigured("x".repeat(1 << 20)),
        "rejects-records" => Failure::Rejected(vec![Rejection {
            index: 0,
            reason: "as told".into(),
        }]),
        "retry-for-ever" => Failure::Retry(Retry {
            after_ms: u32::MAX,
            reason: "as told".into(),
        }),
        _ => return None,
    })
}

/// The answer to `plan`.
pub(crate) fn slots(command: &Command, slots_max: u32) -> Result<Vec<Slot>, Failure> {
    let mut deed = command.deed_in("plan");
    let later = command.deed_in("replan");
    if !later.is_empty() && ask(&command.ask) == NOW {
        evil::act(later, command.me());
        deed = later;
    }
    if let Some(failure) = failure(deed) {
        return Err(failure);
    }
    Ok(match deed {
        "none" => Vec::new(),
        "giant-list" => vec![slot("s", "x".repeat(200 << 20))],
        "forged-list" => {
            let shared = mebibyte();
            let alias = |number: u32| slot(&number.to_string(), forged_text(shared));
            (0..100_000).map(alias).collect()
        }
        "out-of-bounds" => vec![slot("s", forged_text((16, 0xffff_fff0)))],
        "too-many" => (0..=slots_max)
            .map(|number| slot(&number.to_string(), "{}".into()))
            .collect(),
        "nameless" => vec![slot("", "{}".into())],
        "long-name" => vec![slot(&"x".repeat(600), "{}".into())],
        "two-lines" => vec![slot("a\nb", "{}".into())],
        "twins" => vec![slot("s", "{}".into()), slot("s", "{}".into())],
        "long-settings" => vec![slot("s", "x".repeat(TOO_LONG_BYTES))],
        _ => decent(command.slots),
    })
}

fn decent(slots: u32) -> Vec<Slot> {
    if slots == 0 {
        return vec![slot("only", "{}".into())];
    }
    let called = (0..slots).map(|number| format!("s{number}"));
    called.map(|id| slot(&id, "{}".into())).collect()
}

fn slot(id: &str, settings: String) -> Slot {
    Slot {
        id: id.into(),
        settings,
    }
}

/// Asks there, and waits for the answer's status.
pub(crate) fn ask(url: &str) -> u16 {
    let request = Request {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let id = requests::start(&request, 60_000, &[]).expect("it is granted");
    loop {
        let packed = inbox::receive(1 << 16, 1000);
        let events = Events::parse(&packed).expect("the host packs them");
        let answer = events.iter().find(|it| it.id == id);
        if let Some(event) = answer {
            assert!(event.kind == Kind::Response, "nobody answers");
            let response = Response::parse(event.body).expect("the host packs it");
            return response.status;
        }
    }
}

/// The answer to `open`.
pub(crate) fn feeds(deed: &str) -> Result<Vec<Feed>, Failure> {
    if let Some(failure) = failure(deed) {
        return Err(failure);
    }
    Ok(match deed {
        "giant-list" => vec![feed("f", "x".repeat(200 << 20))],
        "forged-list" => {
            let shared = mebibyte();
            (0..100_000)
                .map(|_| feed("f", forged_text(shared)))
                .collect()
        }
        "out-of-bounds" => vec![feed("f", forged_text((16, 0xffff_fff0)))],
        "too-many" => (0..2000).map(|_| feed("f", String::new())).collect(),
        "nameless" => vec![feed("", String::new())],
        "long-name" => vec![feed(&"x".repeat(600), String::new())],
        "two-lines" => vec![feed("a\nb", String::new())],
        "long-schema" => vec![feed("f", "x".repeat(TOO_LONG_BYTES))],
        _ => vec![feed("only", String::new())],
    })
}

fn feed(name: &str, text: String) -> Feed {
    Feed {
        name: name.into(),
        value: Schema {
            kind: SchemaKind::None,
            text,
        },
        key: None,
    }
}

/// Where a text lies that many texts claim to be, and its length.
fn mebibyte() -> (usize, usize) {
    let shared = "x".repeat(1 << 20).leak();
    (shared.as_ptr() as usize, shared.len())
}

/// A text that claims memory which is not its own.
fn forged_text((at, length): (usize, usize)) -> String {
    // SAFETY: there is none. It is handed to the host, which must not believe it, and this instance
    // never runs again.
    unsafe { String::from_utf8_unchecked(forged(at, length)) }
}
