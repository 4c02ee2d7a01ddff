//! A host whose inbox, clock and network are the test's.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use jackfield_batch::event::{
    Closed, Event, EventWriter, Kind, RequestError, RequestFailed, Response,
};

use super::super::host::mix;
use super::super::{
    Connection, ConnectionState, Host, HttpError, HttpRequest, Imports, LogLevel, WebSocketError,
};
use crate::Saved;

/// A connection as the test sees it.
#[derive(Debug, Clone)]
pub struct FakeConnection {
    /// Never reused.
    pub id: u64,
    /// As given to `open`.
    pub name: String,
    /// As given to `open`.
    pub url: String,
    /// Now.
    pub state: ConnectionState,
    /// The clock when it was opened.
    pub opened_at: Duration,
    /// What the source noted.
    pub note: Option<Saved>,
    /// What the source sent, with the clock then.
    pub sent: Vec<(Duration, String)>,
}

/// A request as the test sees it.
#[derive(Debug, Clone)]
pub struct FakeRequest {
    /// Never reused.
    pub id: u64,
    /// What was asked.
    pub request: HttpRequest,
    /// How long the source would wait.
    pub timeout_ms: u32,
    /// Given back with the answer.
    pub note: Vec<u8>,
    /// The clock when it was started.
    pub started_at: Duration,
    /// Whether the test has answered it.
    pub answered: bool,
}

#[derive(Debug)]
struct StoredEvent {
    number: u64,
    kind: Kind,
    id: u64,
    received_ns: i64,
    body: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<StoredEvent>,
    /// Events dropped from the front of `events`.
    dropped: u64,
    last_number: u64,
    given_through: u64,
    connections: Vec<FakeConnection>,
    requests: Vec<FakeRequest>,
    log: Vec<(LogLevel, String)>,
    last_id: u64,
    now: Duration,
    wall_us_at_start: i64,
    random: u64,
    refuse_open: Option<WebSocketError>,
    refuse_request: Option<HttpError>,
}

/// A host made by the test. Clones are handles on the same one.
#[derive(Debug, Clone, Default)]
pub struct FakeHost(Rc<RefCell<State>>);

impl FakeHost {
    /// A host without events, connections and requests. The clock stands until it is advanced;
    /// random numbers follow from the seed.
    pub fn new(seed: u64) -> Self {
        let host = Self::default();
        {
            let mut state = host.0.borrow_mut();
            state.random = seed;
            // 2024-08-08 23:54:00 UTC.
            state.wall_us_at_start = 1_723_161_240_000_000;
        }
        host
    }

    /// The handle that a source gets.
    pub fn handle(&self) -> Host {
        Host::new(self.clone())
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.0.borrow_mut().now += by;
    }

    /// Puts an event into the inbox, received now; gives its number.
    pub fn event(&self, kind: Kind, id: u64, body: &[u8]) -> u64 {
        let received_ns = self.wall_us() * 1000;
        let mut state = self.0.borrow_mut();
        state.last_number += 1;
        let number = state.last_number;
        state.events.push(StoredEvent {
            number,
            kind,
            id,
            received_ns,
            body: body.to_vec(),
        });
        number
    }

    /// A connection becomes live.
    pub fn opened(&self, connection: u64) -> u64 {
        self.connection(connection, |it| it.state = ConnectionState::Live);
        self.event(Kind::Opened, connection, &[])
    }

    /// A text frame arrives.
    pub fn text(&self, connection: u64, text: &str) -> u64 {
        self.event(Kind::Text, connection, text.as_bytes())
    }

    /// A connection closes, or could not be opened (code 0).
    pub fn closed(&self, connection: u64, code: u16, reason: &str) -> u64 {
        self.connection(connection, |it| it.state = ConnectionState::Closed);
        self.event(Kind::Closed, connection, &Closed { code, reason }.encode())
    }

    /// A request is answered.
    pub fn respond(&self, request: u64, status: u16, headers: &[(&str, &str)], body: &[u8]) -> u64 {
        let note = self.answered(request);
        let response = Response {
            status,
            note: &note,
            headers: headers.to_vec(),
            body,
        };
        self.event(Kind::Response, request, &response.encode())
    }

    /// A request is not answered.
    pub fn fail(&self, request: u64, error: RequestError, message: &str) -> u64 {
        let note = self.answered(request);
        let failed = RequestFailed {
            note: &note,
            error,
            message,
        };
        self.event(Kind::RequestFailed, request, &failed.encode())
    }

    fn answered(&self, request: u64) -> Vec<u8> {
        let mut state = self.0.borrow_mut();
        let found = state.requests.iter_mut().find(|it| it.id == request);
        let request = found.expect("a test answers requests that were made");
        request.answered = true;
        request.note.clone()
    }

    fn connection<R>(&self, id: u64, change: impl FnOnce(&mut FakeConnection) -> R) -> R {
        let mut state = self.0.borrow_mut();
        let found = state.connections.iter_mut().find(|it| it.id == id);
        change(found.expect("a test names connections that were opened"))
    }

    /// All connections ever opened.
    pub fn connections(&self) -> Vec<FakeConnection> {
        self.0.borrow().connections.clone()
    }

    /// The requests that are not answered yet.
    pub fn open_requests(&self) -> Vec<FakeRequest> {
        self.0
            .borrow()
            .requests
            .iter()
            .filter(|it| !it.answered)
            .cloned()
            .collect()
    }

    /// All requests ever made.
    pub fn requests(&self) -> Vec<FakeRequest> {
        self.0.borrow().requests.clone()
    }

    /// The lines that were logged.
    pub fn lines(&self) -> Vec<(LogLevel, String)> {
        self.0.borrow().log.clone()
    }

    /// From now on `open` is refused, or no longer.
    pub fn refuse_open(&self, error: Option<WebSocketError>) {
        self.0.borrow_mut().refuse_open = error;
    }

    /// From now on requests are refused, or no longer.
    pub fn refuse_request(&self, error: Option<HttpError>) {
        self.0.borrow_mut().refuse_request = error;
    }

    /// The number of the last event that was given to a source.
    pub fn given_through(&self) -> u64 {
        self.0.borrow().given_through
    }

    /// Whether the source has been given all events.
    pub fn drained(&self) -> bool {
        let state = self.0.borrow();
        state.given_through == state.last_number
    }

    /// Events up to here are no longer kept.
    pub fn settle(&self, done_through: u64) {
        let mut state = self.0.borrow_mut();
        let keep_from = state.events.partition_point(|it| it.number <= done_through);
        state.events.drain(..keep_from);
        state.dropped = state.dropped.max(done_through);
    }

    /// Every event that is not settled is given once more.
    pub fn rewind(&self) {
        let mut state = self.0.borrow_mut();
        state.given_through = state.dropped;
    }

    /// As when the process ends: connections, requests and inbox are gone, only the clock goes on.
    pub fn reset(&self) {
        let mut state = self.0.borrow_mut();
        state.events.clear();
        state.connections.clear();
        state.requests.clear();
        (state.dropped, state.last_number, state.given_through) = (0, 0, 0);
    }
}

impl Imports for FakeHost {
    fn receive(&self, bytes_max: u32, _wait_ms: u32) -> Vec<u8> {
        let mut state = self.0.borrow_mut();
        let mut packed = EventWriter::new();
        let from = state
            .events
            .partition_point(|it| it.number <= state.given_through);
        let mut last = state.given_through;
        for it in &state.events[from..] {
            let event = Event {
                number: it.number,
                kind: it.kind,
                id: it.id,
                received_ns: it.received_ns,
                body: &it.body,
            };
            // One event at least, however large.
            let full = packed.encoded_len() + event.encoded_len() > bytes_max as usize;
            if full && !packed.is_empty() {
                break;
            }
            packed.push(&event);
            last = it.number;
        }
        state.given_through = last;
        if packed.is_empty() {
            Vec::new()
        } else {
            packed.finish()
        }
    }

    fn open(&self, name: &str, url: &str) -> Result<u64, WebSocketError> {
        let mut state = self.0.borrow_mut();
        if let Some(error) = &state.refuse_open {
            return Err(error.clone());
        }
        state.last_id += 1;
        let (id, opened_at) = (state.last_id, state.now);
        state.connections.push(FakeConnection {
            id,
            name: name.to_owned(),
            url: url.to_owned(),
            state: ConnectionState::Opening,
            opened_at,
            note: None,
            sent: Vec::new(),
        });
        Ok(id)
    }

    fn send(&self, connection: u64, text: &str) -> Result<(), WebSocketError> {
        let now = self.now();
        let mut state = self.0.borrow_mut();
        match state.connections.iter_mut().find(|it| it.id == connection) {
            Some(it) if it.state == ConnectionState::Live => {
                it.sent.push((now, text.to_owned()));
                Ok(())
            }
            _ => Err(WebSocketError::Invalid(format!(
                "connection {connection} is not live"
            ))),
        }
    }

    fn close(&self, connection: u64) {
        let open = self
            .0
            .borrow()
            .connections
            .iter()
            .any(|it| it.id == connection && it.state != ConnectionState::Closed);
        if open {
            self.closed(connection, 1000, "closed by the connector");
        }
    }

    fn connections(&self) -> Vec<Connection> {
        let state = self.0.borrow();
        let all = state.connections.iter();
        all.map(|it| Connection {
            id: it.id,
            name: it.name.clone(),
            url: it.url.clone(),
            state: it.state,
            age: state.now - it.opened_at,
            note: it.note.clone(),
        })
        .collect()
    }

    fn note(&self, connection: u64, note: &Saved) -> Result<(), WebSocketError> {
        self.connection(connection, |it| it.note = Some(note.clone()));
        Ok(())
    }

    fn request(
        &self,
        request: &HttpRequest,
        timeout_ms: u32,
        note: &[u8],
    ) -> Result<u64, HttpError> {
        let mut state = self.0.borrow_mut();
        if let Some(error) = &state.refuse_request {
            return Err(error.clone());
        }
        state.last_id += 1;
        let (id, started_at) = (state.last_id, state.now);
        state.requests.push(FakeRequest {
            id,
            request: request.clone(),
            timeout_ms,
            note: note.to_vec(),
            started_at,
            answered: false,
        });
        Ok(id)
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.0.borrow_mut().log.push((level, message.to_owned()));
    }

    fn now(&self) -> Duration {
        self.0.borrow().now
    }

    fn wall_us(&self) -> i64 {
        let state = self.0.borrow();
        state.wall_us_at_start
            + i64::try_from(state.now.as_micros()).expect("a test lasts for hours")
    }

    fn random(&self) -> u64 {
        let mut state = self.0.borrow_mut();
        state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(state.random)
    }
}
