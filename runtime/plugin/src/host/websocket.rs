//! The import `websocket`.

use crate::bindings::source::jackfield::connector::{types, websocket as wit};
use crate::convert;
use crate::state::{Given, SourceGiven, State};
use crate::websocket::{Connection, ConnectionState, WebSocketError};

impl State {
    fn connections(&self) -> Result<&SourceGiven, wit::Error> {
        self.called(1);
        match &self.given {
            Given::Source(source) => Ok(source),
            Given::Nothing | Given::Sink(_) => {
                self.usage.denied();
                Err(wit::Error::Denied(
                    "no connections while describing or checking".to_owned(),
                ))
            }
        }
    }
}

impl wit::Host for State {
    fn open(&mut self, name: String, url: String) -> Result<u64, wit::Error> {
        self.connections()?
            .connections
            .open(&name, &url)
            .map_err(into_error)
    }

    fn send(&mut self, id: u64, text: String) -> Result<(), wit::Error> {
        self.connections()?
            .connections
            .send(id, text)
            .map_err(into_error)
    }

    fn close(&mut self, id: u64) {
        if let Ok(source) = self.connections() {
            source.connections.close(id);
        }
    }

    fn list(&mut self) -> Vec<wit::Connection> {
        match self.connections() {
            Ok(source) => source
                .connections
                .list()
                .into_iter()
                .map(|c| into_connection(c, source))
                .collect(),
            Err(_) => Vec::new(),
        }
    }

    fn note(&mut self, id: u64, note: types::Saved) -> Result<(), wit::Error> {
        self.connections()?
            .connections
            .note(id, convert::from_saved(note))
            .map_err(into_error)
    }
}

fn into_connection(connection: Connection, source: &SourceGiven) -> wit::Connection {
    wit::Connection {
        id: connection.id,
        name: connection.name,
        url: connection.url,
        state: match connection.state {
            ConnectionState::Opening => wit::State::Opening,
            ConnectionState::Live => wit::State::Live,
            ConnectionState::Closed => wit::State::Closed,
        },
        age_ms: u64::try_from(connection.age.as_millis()).unwrap_or(u64::MAX),
        // A note of a version that this component can't read is none: it opens another connection.
        note: connection
            .note
            .filter(|note| source.saved_versions.contains(&note.version))
            .map(convert::into_saved),
    }
}

fn into_error(error: WebSocketError) -> wit::Error {
    match error {
        WebSocketError::Denied(reason) => wit::Error::Denied(reason),
        WebSocketError::Invalid(reason) => wit::Error::Invalid(reason),
        WebSocketError::Limit(reason) => wit::Error::Limit(reason),
    }
}
