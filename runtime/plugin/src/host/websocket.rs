//! The import `websocket`.

use crate::bindings::source::jackfield::connector::{types, websocket as wit};
use crate::convert;
use crate::shadow::Stage;
use crate::state::{Given, State};
use crate::websocket::{Connection, ConnectionState, Connections, WebSocketError};
use std::ops::RangeInclusive;

/// Whose connections a call is about.
enum At<'a> {
    Slot(&'a Connections),
    Stage(&'a Stage),
}

impl State {
    /// The connections, and the versions of notes that the component reads.
    fn connections(&self) -> Result<(At<'_>, &RangeInclusive<u32>), wit::Error> {
        self.called(1);
        match &self.given {
            Given::Source(source) => Ok((At::Slot(&source.connections), &source.saved_versions)),
            Given::Staged(staged) => Ok((At::Stage(&staged.stage), &staged.saved_versions)),
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
        let opened = match self.connections()?.0 {
            At::Slot(connections) => connections.open(&name, &url),
            At::Stage(stage) => stage.open(&name, &url),
        };
        opened.map_err(into_error)
    }

    fn send(&mut self, id: u64, text: String) -> Result<(), wit::Error> {
        let sent = match self.connections()?.0 {
            At::Slot(connections) => connections.send(id, text),
            At::Stage(stage) => stage.send(id, &text),
        };
        sent.map_err(into_error)
    }

    fn close(&mut self, id: u64) {
        match self.connections() {
            Ok((At::Slot(connections), _)) => connections.close(id),
            Ok((At::Stage(stage), _)) => stage.close(id),
            // The denial was counted.
            Err(_) => {}
        }
    }

    fn list(&mut self) -> Vec<wit::Connection> {
        let Ok((at, readable)) = self.connections() else {
            return Vec::new();
        };
        let listed = match at {
            At::Slot(connections) => connections.list(),
            At::Stage(stage) => stage.list(),
        };
        let listed = listed.into_iter();
        listed.map(|it| into_connection(it, readable)).collect()
    }

    fn note(&mut self, id: u64, note: types::Saved) -> Result<(), wit::Error> {
        let note = convert::from_saved(note);
        let noted = match self.connections()?.0 {
            At::Slot(connections) => connections.note(id, note),
            At::Stage(stage) => stage.note(id, note),
        };
        noted.map_err(into_error)
    }
}

fn into_connection(connection: Connection, readable: &RangeInclusive<u32>) -> wit::Connection {
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
            .filter(|note| readable.contains(&note.version))
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
