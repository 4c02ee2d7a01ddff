//! Decent work on real events: one record an event, its number as the value.

use crate::bindings::exports::jackfield::connector::source::{
    Failure, Limits, Polled, Position, RejectedEvent,
};
use crate::bindings::jackfield::connector::{inbox, websocket};
use crate::forged::output;
use crate::no_counts;
use hostile_deeds::Command;
use jackfield_batch::event::Events;
use jackfield_batch::{BatchWriter, Record};

/// Events of one poll: well below what a batch holds of them.
const RECEIVE_BYTES_MAX: u32 = 64 * 1024;
const NAME: &str = "feed";

/// Opens the connection, unless an earlier instance did.
pub(crate) fn listen(url: &str) -> Result<(), Failure> {
    let open = websocket::list();
    if open.iter().any(|it| it.state != websocket::State::Closed) {
        return Ok(());
    }
    websocket::open(NAME, url)
        .map(drop)
        .map_err(|error| Failure::Misconfigured(format!("{error:?}")))
}

/// Takes what has arrived.
pub(crate) fn take(command: &Command, limits: &Limits) -> Polled {
    let rejecting = command.deed_in("poll") == "reject";
    let packed = inbox::receive(RECEIVE_BYTES_MAX, limits.wait_ms);
    let events = Events::parse(&packed).expect("the host packs them");
    let mut polled = Polled {
        feeds: Vec::new(),
        outputs: Vec::new(),
        rejected: Vec::new(),
        positions: Vec::new(),
        done_through: 0,
        counts: no_counts(),
        behind: 0,
        replan: false,
        ended: false,
    };
    let mut batch = BatchWriter::new();
    let mut records = 0;
    for event in events.iter() {
        polled.done_through = event.number;
        if rejecting && event.number % command.every.max(1).unsigned_abs() == 0 {
            polled.rejected.push(RejectedEvent {
                event: event.number,
                reason: "as told".into(),
                excerpt: Vec::new(),
            });
            continue;
        }
        let value = match command.slots {
            0 => event.number.to_string(),
            _ => format!("{} {} {}", command.me(), event.number, command.mark),
        };
        let record = Record {
            value: Some(value.as_bytes()),
            ..Record::default()
        };
        batch.push(&record).expect("few small records fit");
        records += 1;
    }
    if records > 0 {
        polled.outputs.push(output(0, batch.finish()));
    }
    if polled.done_through > 0 {
        polled.positions.push(Position {
            partition: "{}".into(),
            offset: Some(format!("{{\"event\":{}}}", polled.done_through)),
        });
    }
    polled
}
