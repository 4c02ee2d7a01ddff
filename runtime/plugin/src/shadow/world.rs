//! The connections and requests of a shadow, paired with those of the running version.

mod connections;
mod requests;
#[cfg(test)]
mod tests;

use super::calls::{Calls, Side};
use super::ready::Ready;
use super::tap::{Heard, Item};
use crate::types::Saved;
use crate::websocket::{Connection, ConnectionState};
use bytes::Bytes;
use jackfield_batch::event::{Closed, Kind, RequestError, RequestFailed};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How long one of the two may lag behind the other in asking for the same: a poll, or a timer of
/// either.
pub(super) const MATCH_WITHIN: Duration = Duration::from_secs(10);
/// The new version's connections and requests are numbered from here, so that none has the number
/// of one of the running version.
const OWN_IDS_FROM: u64 = 1 << 48;
/// Why a connection that only the new version asked for never opens.
const NOT_OPENED: &str = "a shadow: the running version did not open it";

#[derive(Debug)]
struct Conn {
    name: String,
    url: String,
    state: ConnectionState,
    opened: Duration,
    age: Duration,
    note: Option<Saved>,
    /// The event that says that it is closed.
    closed_by: Option<u64>,
    /// Until then the running one must have opened it, or closed it.
    until: Option<Duration>,
}

/// A request of the new version that the running one has not made.
#[derive(Debug)]
struct Waiting {
    id: u64,
    request: String,
    note: Vec<u8>,
    until: Duration,
}

/// A request of the running version that the new one has not made.
#[derive(Debug)]
struct Answered {
    id: u64,
    request: String,
    until: Duration,
    answer: Option<Heard>,
}

/// A connection of the running version that the new one has not asked for.
#[derive(Debug)]
struct Unmatched {
    id: u64,
    name: String,
    url: String,
    until: Duration,
}

/// What the new version sees.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) calls: Calls,
    /// Events that it can be given, in order; their numbers are set when they are.
    pub(super) ready: Ready,
    conns: BTreeMap<u64, Conn>,
    /// Its connections by the running version's ids.
    own_of: BTreeMap<u64, u64>,
    opened_by_running: VecDeque<Unmatched>,
    parked: VecDeque<Heard>,
    parked_bytes: usize,
    /// Connections of the running version that it never asked for.
    foreign: BTreeSet<u64>,
    waiting: VecDeque<Waiting>,
    answers: VecDeque<Answered>,
    /// Its requests, with their notes, by the running version's ids.
    asked_of: BTreeMap<u64, (u64, Vec<u8>)>,
    ids: u64,
}

impl World {
    /// With the connections that the running version has.
    pub(super) fn with(connections: Vec<Connection>) -> Self {
        let mut world = Self::default();
        for it in connections {
            world.own_of.insert(it.id, it.id);
            let conn = Conn {
                name: it.name,
                url: it.url,
                state: it.state,
                opened: Duration::ZERO,
                age: it.age,
                note: it.note,
                closed_by: None,
                until: None,
            };
            world.conns.insert(it.id, conn);
        }
        world
    }

    /// Something reached the running version's slot, or it asked for something.
    pub(super) fn take(&mut self, item: Item, now: Duration) {
        match item {
            Item::Event(heard) => self.hear(heard),
            Item::Opened { id, name, url } => self.running_opened(id, name, url, now),
            Item::Sent { id, text } => {
                let call = format!("sends on {}: {text}", self.name_of_running(id));
                self.calls.made(Side::Running, now, call);
            }
            Item::Closed { id } => {
                let call = format!("closes {}", self.name_of_running(id));
                self.calls.made(Side::Running, now, call);
            }
            Item::Asked { id, request } => self.running_asked(id, request, now),
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard.kind {
            Kind::Opened | Kind::Text | Kind::Binary | Kind::Closed => self.hear_connection(heard),
            Kind::Response | Kind::RequestFailed => self.hear_answer(heard),
        }
    }

    fn own_id(&mut self) -> u64 {
        self.ids += 1;
        OWN_IDS_FROM + self.ids
    }

    /// The next moment at which something is given up.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let conns = self.conns.values().filter_map(|it| it.until);
        let waiting = self.waiting.iter().map(|it| it.until);
        conns.chain(waiting).min()
    }

    /// Gives up what the other of the two did not ask for in time.
    pub(super) fn give_up(&mut self, now: Duration, wall_ns: i64) {
        while let Some(at) = self.waiting.iter().position(|it| it.until <= now) {
            let Some(waiting) = self.waiting.remove(at) else {
                break;
            };
            let body = RequestFailed {
                note: &waiting.note,
                error: RequestError::Timeout,
                message: "a shadow: the running version did not ask for it",
            };
            let body = Bytes::from(body.encode());
            self.inject(Kind::RequestFailed, waiting.id, body, wall_ns);
        }
        let due = self.conns.iter_mut();
        let due: Vec<u64> = due
            .filter_map(|(id, conn)| conn.until.is_some_and(|it| it <= now).then_some(*id))
            .collect();
        for id in due {
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.until = None;
            }
            let closed = Closed {
                code: 0,
                reason: NOT_OPENED,
            };
            self.inject(Kind::Closed, id, Bytes::from(closed.encode()), wall_ns);
            self.own_of.retain(|running, own| {
                if *own == id {
                    self.foreign.insert(*running);
                }
                *own != id
            });
        }
        while let Some(stale) = self.opened_by_running.front().filter(|it| it.until <= now) {
            self.give_up_unmatched(stale.id);
        }
        while self.answers.front().is_some_and(|it| it.until <= now) {
            self.answers.pop_front();
        }
    }

    fn inject(&mut self, kind: Kind, id: u64, body: Bytes, received_ns: i64) {
        self.ready.push_back(Heard {
            number: 0,
            kind,
            id,
            received_ns,
            body,
        });
    }
}
