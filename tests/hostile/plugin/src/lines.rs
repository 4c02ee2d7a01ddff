//! Decent work on nothing: lines that are numbered from where their positions stand, so that it
//! does not matter who goes on with one. Slots share them.

use crate::bindings::exports::jackfield::connector::source::{Polled, Position};
use crate::bindings::jackfield::connector::inbox;
use crate::forged::output;
use crate::no_counts;
use hostile_deeds::Command;
use jackfield_batch::{BatchWriter, Record};
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    /// The next number of each own line.
    static NEXT: RefCell<BTreeMap<u32, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Takes up the lines that are this slot's, which is one of so many.
pub(crate) fn open(lines: u32, (slot, slots): (u32, u32), positions: &[Position]) {
    let own = (0..lines).filter(|line| line % slots.max(1) == slot);
    NEXT.set(own.map(|line| (line, next(line, positions))).collect());
}

fn partition(line: u32) -> String {
    format!("{{\"line\":{line}}}")
}

fn next(line: u32, positions: &[Position]) -> u64 {
    let own = positions.iter().find(|it| it.partition == partition(line));
    let offset = own.and_then(|it| it.offset.as_deref());
    offset.map_or(1, |offset| {
        let number = offset.strip_prefix("{\"next\":").unwrap_or_default();
        let number = number.strip_suffix('}').unwrap_or_default();
        number.parse().expect("it is what was given before")
    })
}

/// One record of each own line, after a pause.
pub(crate) fn poll(command: &Command) -> Polled {
    inbox::receive(1 << 10, command.pause_ms.max(1));
    let mut batch = BatchWriter::new();
    let mut positions = Vec::new();
    NEXT.with_borrow_mut(|lines| {
        for (line, next) in lines {
            let value = format!("{line} {next} {}", command.mark);
            let record = Record {
                value: Some(value.as_bytes()),
                ..Record::default()
            };
            batch.push(&record).expect("few small records fit");
            *next += 1;
            positions.push(Position {
                partition: partition(*line),
                offset: Some(format!("{{\"next\":{next}}}")),
            });
        }
    });
    Polled {
        feeds: Vec::new(),
        outputs: vec![output(0, batch.finish())],
        rejected: Vec::new(),
        positions,
        done_through: 0,
        counts: no_counts(),
        behind: 0,
        replan: false,
        ended: false,
    }
}
