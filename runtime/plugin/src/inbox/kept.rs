//! What an inbox keeps, by lane, and what of it is given and settled.

use super::Arrival;
use crate::shadow::{Item, Tap};
use jackfield_batch::event::{Event, EventWriter, Kind};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use tokio::time::Instant;

/// Each lane has a bound of its own.
#[derive(Debug, Clone, Copy)]
enum Lane {
    Frames = 0,
    Responses = 1,
    Control = 2,
}

impl Lane {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Text | Kind::Binary => Self::Frames,
            Kind::Response | Kind::RequestFailed => Self::Responses,
            Kind::Opened | Kind::Closed => Self::Control,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Each with when it came, since the wall clock may jump.
    pub(super) events: VecDeque<(Instant, Arrival)>,
    /// Highest number given away for good; the first event kept has the next one.
    pub(super) settled: u64,
    /// Highest number given to the instance.
    pub(super) given: u64,
    /// Bytes kept, by lane.
    pub(super) bytes: [usize; 3],
    pub(super) control_events: usize,
    pub(super) next_id: u64,
    pub(super) closed: bool,
    /// Who is told of everything, without holding anything back. Whoever reads owns what is kept for
    /// it: dropped anywhere, also before it was ever read, it costs nothing more and frees its place.
    pub(super) taps: Vec<Weak<Tap>>,
}

impl Kept {
    pub(super) fn last(&self) -> u64 {
        self.settled + self.events.len() as u64
    }

    pub(super) fn has_room(&self, arrival: &Arrival, bytes_max: usize) -> bool {
        let lane = Lane::of(arrival.kind);
        let bytes = self.bytes[lane as usize];
        match lane {
            // One event is always taken, whatever its size: its source has a limit of its own.
            Lane::Frames | Lane::Responses => bytes == 0 || bytes + arrival.cost() <= bytes_max,
            // Bounded where connections are opened.
            Lane::Control => true,
        }
    }

    pub(super) fn add(&mut self, arrival: Arrival) -> u64 {
        let lane = Lane::of(arrival.kind);
        self.bytes[lane as usize] += arrival.cost();
        self.control_events += usize::from(matches!(lane, Lane::Control));
        if !self.taps.is_empty() {
            let item = arrival.heard(self.last() + 1);
            self.tell(&item);
        }
        self.events.push_back((Instant::now(), arrival));
        self.last()
    }

    pub(super) fn tell(&mut self, item: &Item) {
        let told = |tap: Arc<Tap>| tap.push(item.clone());
        self.taps.retain(|tap| tap.upgrade().is_some_and(told));
    }

    pub(super) fn drop_first(&mut self) {
        if let Some((_, arrival)) = self.events.pop_front() {
            let lane = Lane::of(arrival.kind);
            self.bytes[lane as usize] -= arrival.cost();
            self.control_events -= usize::from(matches!(lane, Lane::Control));
            self.settled += 1;
        }
    }
}

pub(super) fn give(kept: &mut Kept, bytes_max: usize) -> Vec<u8> {
    let mut writer = EventWriter::new();
    // What is given and not settled is at most what the bounds keep, far below usize.
    let skip = (kept.given - kept.settled) as usize;
    for (_, arrival) in kept.events.range(skip..) {
        let event = Event {
            number: kept.given + 1,
            kind: arrival.kind,
            id: arrival.id,
            received_ns: arrival.received_ns,
            body: &arrival.body,
        };
        if !writer.is_empty() && writer.encoded_len() + event.encoded_len() > bytes_max {
            break;
        }
        kept.given = event.number;
        writer.push(&event);
    }
    writer.finish()
}
