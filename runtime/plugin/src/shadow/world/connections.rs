//! The connections of both, paired by what was asked for.

use super::{Conn, MATCH_WITHIN, Unmatched, World};
use crate::shadow::calls::Side;
use crate::shadow::tap::Heard;
use crate::types::Saved;
use crate::websocket::{Connection, ConnectionState};
use jackfield_batch::event::Kind;
use std::collections::BTreeSet;
use std::time::Duration;

/// Bytes of events of connections that only the running version has so far.
const PARKED_BYTES_MAX: usize = 16 * 1024 * 1024;

impl World {
    pub(super) fn name_of_running(&self, id: u64) -> String {
        let own = self.own_of.get(&id).and_then(|own| self.conns.get(own));
        let unmatched = self.opened_by_running.iter().find(|it| it.id == id);
        own.map(|it| it.name.clone())
            .or_else(|| unmatched.map(|it| it.name.clone()))
            .unwrap_or_else(|| format!("connection {id}"))
    }

    pub(super) fn hear_connection(&mut self, mut heard: Heard) {
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

    pub(super) fn give_up_unmatched(&mut self, id: u64) {
        self.opened_by_running.retain(|it| it.id != id);
        self.foreign.insert(id);
        self.parked.retain(|it| it.id != id);
        self.parked_bytes = self.parked.iter().map(Heard::cost).sum();
    }

    pub(super) fn running_opened(&mut self, id: u64, name: String, url: String, now: Duration) {
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

    /// The new version asks for a connection.
    pub(in crate::shadow) fn open(&mut self, name: &str, url: &str, now: Duration) -> u64 {
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
    pub(in crate::shadow) fn open_count(&self) -> usize {
        let conns = self.conns.values();
        conns
            .filter(|it| it.state != ConnectionState::Closed)
            .count()
    }

    /// The new version sends; the connection's name, or why it can't.
    pub(in crate::shadow) fn send(
        &mut self,
        id: u64,
        text: &str,
        now: Duration,
    ) -> Result<(), String> {
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
    pub(in crate::shadow) fn close(&mut self, id: u64, now: Duration) {
        if let Some(conn) = self.conns.get_mut(&id)
            && conn.state != ConnectionState::Closed
        {
            conn.until = Some(now + MATCH_WITHIN);
            let call = format!("closes {}", conn.name);
            self.calls.made(Side::New, now, call);
        }
    }

    /// Keeps a note; why it can't.
    pub(in crate::shadow) fn note(&mut self, id: u64, note: Saved) -> Result<(), String> {
        let conn = self.conns.get_mut(&id);
        conn.ok_or_else(|| format!("there is no connection {id}"))?
            .note = Some(note);
        Ok(())
    }

    /// Its connections.
    pub(in crate::shadow) fn list(&self, now: Duration) -> Vec<Connection> {
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

    /// An event is about to be given under this number.
    pub(in crate::shadow) fn given(&mut self, heard: &Heard, number: u64) {
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
    pub(in crate::shadow) fn settled(&mut self, number: u64) {
        self.conns
            .retain(|_, conn| conn.closed_by.is_none_or(|by| by > number));
    }
}
