//! The connections and requests of a shadow, paired with those of the running version.

use super::calls::{Calls, Side};
use super::ready::Ready;
use super::tap::{Heard, Item};
use crate::types::Saved;
use crate::websocket::{Connection, ConnectionState};
use bytes::Bytes;
use jackfield_batch::event::{Closed, Kind, RequestError, RequestFailed, Response};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How long one of the two may lag behind the other in asking for the same: a poll, or a timer of
/// either.
pub(super) const MATCH_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of events of connections that only the running version has so far.
const PARKED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Requests of the running version that the new one may still ask for.
const ANSWERS_MAX: usize = 256;
/// Bytes of their answers: more than the largest one, so that each is kept for a while.
const ANSWERS_BYTES_MAX: usize = 32 * 1024 * 1024;
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

    fn name_of_running(&self, id: u64) -> String {
        let own = self.own_of.get(&id).and_then(|own| self.conns.get(own));
        let unmatched = self.opened_by_running.iter().find(|it| it.id == id);
        own.map(|it| it.name.clone())
            .or_else(|| unmatched.map(|it| it.name.clone()))
            .unwrap_or_else(|| format!("connection {id}"))
    }

    fn hear(&mut self, heard: Heard) {
        match heard.kind {
            Kind::Opened | Kind::Text | Kind::Binary | Kind::Closed => self.hear_connection(heard),
            Kind::Response | Kind::RequestFailed => self.hear_answer(heard),
        }
    }

    fn hear_connection(&mut self, mut heard: Heard) {
        if let Some(own) = self.own_of.get(&heard.id) {
            heard.id = *own;
            self.ready.push_back(heard);
        } else if self.opened_by_running.iter().any(|it| it.id == heard.id) {
            self.parked_bytes += heard.cost();
            self.parked.push_back(heard);
            while self.parked_bytes > PARKED_BYTES_MAX {
                let Some(oldest) = self.parked.pop_front() else {
                    break;
                };
                self.parked_bytes -= oldest.cost();
                self.give_up_unmatched(oldest.id);
            }
        } else if !self.foreign.contains(&heard.id) {
            self.ready.push_back(heard);
        }
    }

    fn give_up_unmatched(&mut self, id: u64) {
        self.opened_by_running.retain(|it| it.id != id);
        self.foreign.insert(id);
        self.parked.retain(|it| it.id != id);
        self.parked_bytes = self.parked.iter().map(Heard::cost).sum();
    }

    fn hear_answer(&mut self, heard: Heard) {
        if let Some((own, note)) = self.asked_of.remove(&heard.id) {
            self.ready.push_back(readdressed(heard, own, &note));
        } else if let Some(asked) = self.answers.iter_mut().find(|it| it.id == heard.id) {
            asked.answer = Some(heard);
            while self.answers_bytes() > ANSWERS_BYTES_MAX {
                self.answers.pop_front();
            }
        } else {
            // Asked for before the shadow began: as in a swap, its successor gets the answer.
            self.ready.push_back(heard);
        }
    }

    fn answers_bytes(&self) -> usize {
        let answers = self.answers.iter().filter_map(|it| it.answer.as_ref());
        answers.map(Heard::cost).sum()
    }

    fn running_opened(&mut self, id: u64, name: String, url: String, now: Duration) {
        self.calls
            .made(Side::Running, now, format!("opens {name} {url}"));
        let paired: BTreeSet<u64> = self.own_of.values().copied().collect();
        let own = self.conns.iter_mut().find(|(own, conn)| {
            conn.state == ConnectionState::Opening
                && conn.until.is_some()
                && conn.name == name
                && conn.url == url
                && !paired.contains(own)
        });
        match own {
            Some((own, conn)) => {
                conn.until = None;
                self.own_of.insert(id, *own);
            }
            None => self.opened_by_running.push_back(Unmatched {
                id,
                name,
                url,
                until: now + MATCH_WITHIN,
            }),
        }
    }

    fn running_asked(&mut self, id: u64, request: String, now: Duration) {
        self.calls
            .made(Side::Running, now, format!("requests {request}"));
        let same = self.waiting.iter().position(|it| it.request == request);
        if let Some(waiting) = same.and_then(|at| self.waiting.remove(at)) {
            self.asked_of.insert(id, (waiting.id, waiting.note));
            return;
        }
        if self.answers.len() == ANSWERS_MAX {
            self.answers.pop_front();
        }
        self.answers.push_back(Answered {
            id,
            request,
            until: now + MATCH_WITHIN,
            answer: None,
        });
    }

    fn own_id(&mut self) -> u64 {
        self.ids += 1;
        OWN_IDS_FROM + self.ids
    }

    /// The new version asks for a connection.
    pub(super) fn open(&mut self, name: &str, url: &str, now: Duration) -> u64 {
        self.calls
            .made(Side::New, now, format!("opens {name} {url}"));
        let own = self.own_id();
        let unmatched = &mut self.opened_by_running;
        let same = unmatched
            .iter()
            .position(|it| it.name == name && it.url == url);
        let running = same.and_then(|at| unmatched.remove(at));
        let conn = Conn {
            name: name.to_owned(),
            url: url.to_owned(),
            state: ConnectionState::Opening,
            opened: now,
            age: Duration::ZERO,
            note: None,
            closed_by: None,
            until: running.is_none().then_some(now + MATCH_WITHIN),
        };
        self.conns.insert(own, conn);
        if let Some(running) = running {
            self.own_of.insert(running.id, own);
            for heard in std::mem::take(&mut self.parked) {
                self.parked_bytes -= heard.cost();
                self.hear_connection(heard);
            }
        }
        own
    }

    /// How many are not closed.
    pub(super) fn open_count(&self) -> usize {
        let conns = self.conns.values();
        conns
            .filter(|it| it.state != ConnectionState::Closed)
            .count()
    }

    /// The new version sends; the connection's name, or why it can't.
    pub(super) fn send(&mut self, id: u64, text: &str, now: Duration) -> Result<(), String> {
        let conn = match self.conns.get(&id) {
            Some(conn) if conn.state == ConnectionState::Closed => {
                return Err(format!("connection {id} is closed"));
            }
            Some(conn) => conn,
            None => return Err(format!("there is no connection {id}")),
        };
        let call = format!("sends on {}: {text}", conn.name);
        self.calls.made(Side::New, now, call);
        Ok(())
    }

    /// The new version closes a connection.
    pub(super) fn close(&mut self, id: u64, now: Duration) {
        if let Some(conn) = self.conns.get_mut(&id)
            && conn.state != ConnectionState::Closed
        {
            conn.until = Some(now + MATCH_WITHIN);
            let call = format!("closes {}", conn.name);
            self.calls.made(Side::New, now, call);
        }
    }

    /// Keeps a note; why it can't.
    pub(super) fn note(&mut self, id: u64, note: Saved) -> Result<(), String> {
        let conn = self.conns.get_mut(&id);
        conn.ok_or_else(|| format!("there is no connection {id}"))?
            .note = Some(note);
        Ok(())
    }

    /// Its connections.
    pub(super) fn list(&self, now: Duration) -> Vec<Connection> {
        let connection = |(id, conn): (&u64, &Conn)| Connection {
            id: *id,
            name: conn.name.clone(),
            url: conn.url.clone(),
            state: conn.state,
            age: conn.age + now.saturating_sub(conn.opened),
            note: conn.note.clone(),
        };
        self.conns.iter().map(connection).collect()
    }

    /// Its requests that are under way.
    pub(super) fn under_way(&self) -> usize {
        self.waiting.len() + self.asked_of.len()
    }

    /// The new version starts a request.
    pub(super) fn ask(
        &mut self,
        request: String,
        timeout: Duration,
        note: Vec<u8>,
        now: Duration,
    ) -> u64 {
        self.calls
            .made(Side::New, now, format!("requests {request}"));
        let id = self.own_id();
        let same = self.answers.iter().position(|it| it.request == request);
        match same.and_then(|at| self.answers.remove(at)) {
            Some(Answered {
                answer: Some(heard),
                ..
            }) => self.ready.push_back(readdressed(heard, id, &note)),
            Some(asked) => drop(self.asked_of.insert(asked.id, (id, note))),
            None => self.waiting.push_back(Waiting {
                id,
                request,
                note,
                until: now + timeout,
            }),
        }
        id
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

    /// An event is about to be given under this number.
    pub(super) fn given(&mut self, heard: &Heard, number: u64) {
        let Some(conn) = self.conns.get_mut(&heard.id) else {
            return;
        };
        match heard.kind {
            Kind::Opened if conn.state == ConnectionState::Opening => {
                conn.state = ConnectionState::Live;
            }
            Kind::Closed => {
                conn.state = ConnectionState::Closed;
                conn.closed_by = Some(number);
                conn.until = None;
            }
            Kind::Opened | Kind::Text | Kind::Binary | Kind::Response | Kind::RequestFailed => {}
        }
    }

    /// Closings up to this event are told.
    pub(super) fn settled(&mut self, number: u64) {
        self.conns
            .retain(|_, conn| conn.closed_by.is_none_or(|by| by > number));
    }
}

/// The answer to the running version's request as one to the new version's.
fn readdressed(heard: Heard, id: u64, note: &[u8]) -> Heard {
    let body = match heard.kind {
        Kind::Response => Response::parse(&heard.body)
            .ok()
            .map(|answer| Response { note, ..answer }.encode()),
        Kind::RequestFailed => RequestFailed::parse(&heard.body)
            .ok()
            .map(|failed| RequestFailed { note, ..failed }.encode()),
        Kind::Opened | Kind::Text | Kind::Binary | Kind::Closed => None,
    };
    Heard {
        id,
        // What the host packed it can read; whatever it is, it goes on as it is.
        body: body.map_or(heard.body, Bytes::from),
        ..heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: fn(u64) -> Duration = Duration::from_secs;

    fn answer(id: u64, note: &[u8]) -> Item {
        let body = Response {
            status: 200,
            note,
            headers: vec![("a", "b")],
            body: b"yes",
        };
        event(id, Kind::Response, body.encode())
    }

    fn event(id: u64, kind: Kind, body: Vec<u8>) -> Item {
        Item::Event(Heard {
            number: 1,
            kind,
            id,
            received_ns: 0,
            body: body.into(),
        })
    }

    fn asked(id: u64) -> Item {
        Item::Asked {
            id,
            request: "GET x".into(),
        }
    }

    fn opened(id: u64) -> Item {
        Item::Opened {
            id,
            name: "n".into(),
            url: "ws://x".into(),
        }
    }

    #[test]
    fn a_request_is_answered_from_the_running_ones_whoever_asked_first() {
        for first in [true, false] {
            let mut world = World::default();
            let own = if first {
                let own = world.ask("GET x".into(), T(9), b"mine".to_vec(), T(0));
                world.take(asked(7), T(1));
                world.take(answer(7, b"yours"), T(2));
                own
            } else {
                world.take(asked(7), T(1));
                world.take(answer(7, b"yours"), T(2));
                assert!(world.ready.is_empty(), "nobody asked yet");
                world.ask("GET x".into(), T(9), b"mine".to_vec(), T(3))
            };
            let heard = world.ready.pop_front().unwrap();
            let response = Response::parse(&heard.body).unwrap();
            assert_eq!(
                (heard.id, response.note, response.body),
                (own, &b"mine"[..], &b"yes"[..])
            );
            assert_eq!(world.calls.report(T(9), 9).same, 1);
        }
    }

    #[test]
    fn answers_that_the_new_one_may_still_ask_for_are_bounded_in_bytes() {
        let mut world = World::default();
        for id in 1..=16 {
            world.take(asked(id), T(0));
            world.take(event(id, Kind::Response, vec![0; 8 * 1024 * 1024]), T(0));
            assert!(world.answers_bytes() <= ANSWERS_BYTES_MAX);
        }
        let kept: Vec<u64> = world.answers.iter().map(|it| it.id).collect();
        assert_eq!(kept, [14, 15, 16], "the newest");
    }

    #[test]
    fn what_only_the_new_one_asks_for_ends_in_a_timeout() {
        let mut world = World::default();
        let own = world.ask("GET x".into(), T(9), b"mine".to_vec(), T(0));
        let socket = world.open("n", "ws://x", T(0));
        assert_eq!(world.next_due(), Some(T(9)));
        world.give_up(T(8), 0);
        assert!(world.ready.is_empty());
        world.give_up(T(10), 0);
        let failed = world.ready.pop_front().unwrap();
        let parsed = RequestFailed::parse(&failed.body).unwrap();
        assert_eq!((failed.id, parsed.error), (own, RequestError::Timeout));
        let closed = world.ready.pop_front().unwrap();
        assert_eq!((closed.id, closed.kind), (socket, Kind::Closed));
        assert_eq!(world.calls.report(T(9), 9).different.len(), 2);
    }

    #[test]
    fn a_connection_of_both_brings_its_frames_under_the_new_ones_id() {
        for first in [true, false] {
            let mut world = World::default();
            let own = first.then(|| world.open("n", "ws://x", T(0)));
            world.take(opened(7), T(1));
            world.take(event(7, Kind::Opened, Vec::new()), T(1));
            world.take(event(7, Kind::Text, b"frame".to_vec()), T(1));
            let own = own.unwrap_or_else(|| world.open("n", "ws://x", T(2)));
            let ids: Vec<u64> = world.ready.iter().map(|it| it.id).collect();
            assert_eq!(ids, [own, own]);
            assert_eq!(world.next_due(), None);
        }
    }

    #[test]
    fn a_connection_that_the_new_one_never_asks_for_is_left_out() {
        let mut world = World::default();
        world.take(opened(7), T(0));
        world.take(event(7, Kind::Text, b"frame".to_vec()), T(1));
        world.give_up(T(60), 0);
        world.take(event(7, Kind::Text, b"frame".to_vec()), T(61));
        assert!(world.ready.is_empty());
        assert_eq!(world.parked_bytes, 0);
    }
}
