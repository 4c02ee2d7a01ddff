//! Connections of a source: the host's, and they outlive the instances that opened them.

mod connect;
mod serve;
#[cfg(test)]
mod tests;

use crate::grants::WebSocketGrants;
use crate::http_client::{URL_BYTES_MAX, without_query};
use crate::inbox::{Arrival, Inbox};
use crate::shadow::Item;
use crate::types::Saved;
use crate::usage::Usage;
use bytes::Bytes;
use jackfield_batch::event::{Closed, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

/// Connections of a slot that are open at once: an exchange allows a client a few hundred, and
/// each costs a read buffer.
const CONNECTIONS_MAX: usize = 64;
/// Messages waiting to be sent on a connection; a subscription is one message.
const SEND_QUEUE_MAX: usize = 64;
/// Bytes of an outgoing message.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a note: what a connection is subscribed to.
const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a connection's name.
const NAME_BYTES_MAX: usize = 256;
/// Names remembered to tell a reconnect from a first connect.
const NAMES_MAX: usize = 1024;
/// Bytes of a closing's reason, as in the protocol's own close frame.
const REASON_BYTES_MAX: usize = 512;
/// All connections of a slot are given so long to say goodbye when it stops.
const CLOSE_ALL_MAX: Duration = Duration::from_secs(3);

/// How long things may take on a connection.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For resolving, TCP, TLS and the upgrade together.
    pub connect: Duration,
    /// Between pings of the host's own: half of what most middleboxes keep idle flows for.
    pub ping_every: Duration,
    /// After a ping, anything must be heard within this time, or the socket is half-open.
    pub pong_within: Duration,
    /// For a message to leave.
    pub send: Duration,
    /// For the peer to answer a close frame.
    pub goodbye: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: crate::network::CONNECT_TIMEOUT,
            ping_every: Duration::from_secs(20),
            pong_within: Duration::from_secs(20),
            send: Duration::from_secs(10),
            goodbye: Duration::from_secs(2),
        }
    }
}

/// Why a plugin's wish was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketError {
    /// Not granted.
    #[error("denied: {0}")]
    Denied(String),
    /// It makes no sense.
    #[error("invalid: {0}")]
    Invalid(String),
    /// Too many, or too much.
    #[error("limit: {0}")]
    Limit(String),
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is being made.
    Opening,
    /// It was opened and has not ended.
    Live,
    /// It has ended; listed until the event that says so is settled.
    Closed,
}

/// A connection as a plugin sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Never reused within a slot.
    pub id: u64,
    /// As it was opened.
    pub name: String,
    /// As it was opened.
    pub url: String,
    /// Where it stands.
    pub state: ConnectionState,
    /// Since it was asked for.
    pub age: Duration,
    /// What was kept beside it.
    pub note: Option<Saved>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    url: String,
    state: ConnectionState,
    opened: Instant,
    note: Option<Saved>,
    outbox: mpsc::Sender<Utf8Bytes>,
    close: CancellationToken,
    /// The number of the event that says that it is closed.
    closed_by: Option<u64>,
}

#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<u64, Entry>,
    names: BTreeSet<String>,
}

impl Table {
    fn forget_settled(&mut self, settled: u64) {
        self.entries
            .retain(|_, entry| entry.closed_by.is_none_or(|number| number > settled));
    }

    fn open(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.state != ConnectionState::Closed)
            .count()
    }
}

/// A slot's connections. Dropping them closes them.
#[derive(Debug)]
pub struct Connections {
    inbox: Arc<Inbox>,
    grants: WebSocketGrants,
    usage: Arc<Usage>,
    patience: Patience,
    table: Arc<Mutex<Table>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What the task of one connection needs.
struct Job {
    id: u64,
    url: Url,
    inbox: Arc<Inbox>,
    grants: WebSocketGrants,
    usage: Arc<Usage>,
    patience: Patience,
    table: Arc<Mutex<Table>>,
    outbox: mpsc::Receiver<Utf8Bytes>,
    close: CancellationToken,
}

impl Connections {
    /// No connections yet.
    pub fn new(inbox: Arc<Inbox>, grants: WebSocketGrants, usage: Arc<Usage>) -> Arc<Self> {
        Self::with_patience(inbox, grants, usage, Patience::default())
    }

    /// The same with other waiting times.
    pub fn with_patience(
        inbox: Arc<Inbox>,
        grants: WebSocketGrants,
        usage: Arc<Usage>,
        patience: Patience,
    ) -> Arc<Self> {
        Arc::new(Self {
            inbox,
            grants,
            usage,
            patience,
            table: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Begins to open a connection; the inbox tells how it went.
    ///
    /// # Errors
    /// Not granted, not a URL, or too many.
    pub fn open(&self, name: &str, url: &str) -> Result<u64, WebSocketError> {
        if name.len() > NAME_BYTES_MAX || url.len() > URL_BYTES_MAX {
            return Err(WebSocketError::Invalid(
                "the name or the URL is too long".to_owned(),
            ));
        }
        let parsed =
            Url::parse(url).map_err(|e| WebSocketError::Invalid(format!("not a URL: {e}")))?;
        if !self.grants.covers(&parsed) {
            self.usage.denied();
            return Err(WebSocketError::Denied(format!(
                "no grant covers {}",
                without_query(&parsed)
            )));
        }
        let mut table = lock(&self.table);
        table.forget_settled(self.inbox.settled());
        if self.stop.is_cancelled() {
            return Err(WebSocketError::Limit("the slot is stopping".to_owned()));
        }
        if table.open() >= CONNECTIONS_MAX {
            return Err(WebSocketError::Limit(format!(
                "{CONNECTIONS_MAX} connections are open"
            )));
        }
        if !self.inbox.takes_connections() {
            return Err(WebSocketError::Limit(
                "too many openings and closings are not settled".to_owned(),
            ));
        }
        let again = !table.names.insert(name.to_owned());
        if table.names.len() > NAMES_MAX {
            table.names.pop_first();
        }
        self.usage.connected(again);
        let id = self.inbox.next_id();
        self.inbox.tell(|| Item::Opened {
            id,
            name: name.to_owned(),
            url: url.to_owned(),
        });
        let (sender, outbox) = mpsc::channel(SEND_QUEUE_MAX);
        let close = self.stop.child_token();
        table.entries.insert(
            id,
            Entry {
                name: name.to_owned(),
                url: url.to_owned(),
                state: ConnectionState::Opening,
                opened: Instant::now(),
                note: None,
                outbox: sender,
                close: close.clone(),
                closed_by: None,
            },
        );
        let job = Job {
            id,
            url: parsed,
            inbox: Arc::clone(&self.inbox),
            grants: self.grants.clone(),
            usage: Arc::clone(&self.usage),
            patience: self.patience,
            table: Arc::clone(&self.table),
            outbox,
            close,
        };
        self.tasks.spawn(job.run());
        Ok(id)
    }

    /// Queues a text message.
    ///
    /// # Errors
    /// The connection is not open, the message too long, or the queue full.
    pub fn send(&self, id: u64, text: String) -> Result<(), WebSocketError> {
        if text.len() > SEND_BYTES_MAX {
            return Err(WebSocketError::Limit(format!(
                "a message of more than {SEND_BYTES_MAX} bytes"
            )));
        }
        let table = lock(&self.table);
        let entry = open_entry(&table, id)?;
        let text = Utf8Bytes::from(text);
        let sent = entry.outbox.try_send(text.clone());
        if sent.is_ok() {
            self.inbox.tell(|| Item::Sent {
                id,
                text: text.as_str().to_owned(),
            });
        }
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                WebSocketError::Limit(format!("{SEND_QUEUE_MAX} messages wait to be sent"))
            }
            mpsc::error::TrySendError::Closed(_) => {
                WebSocketError::Invalid(format!("connection {id} is closed"))
            }
        })
    }

    /// Closes a connection; the inbox tells when it is. Unknown ones are closed already.
    pub fn close(&self, id: u64) {
        if let Some(entry) = lock(&self.table).entries.get(&id) {
            self.inbox.tell(|| Item::Closed { id });
            entry.close.cancel();
        }
    }

    /// The connections of the slot, whoever opened them.
    pub fn list(&self) -> Vec<Connection> {
        let mut table = lock(&self.table);
        table.forget_settled(self.inbox.settled());
        table
            .entries
            .iter()
            .map(|(id, entry)| Connection {
                id: *id,
                name: entry.name.clone(),
                url: entry.url.clone(),
                state: entry.state,
                age: entry.opened.elapsed(),
                note: entry.note.clone(),
            })
            .collect()
    }

    /// How many are being opened.
    pub fn opening(&self) -> usize {
        let table = lock(&self.table);
        let states = table.entries.values().map(|entry| entry.state);
        states
            .filter(|state| *state == ConnectionState::Opening)
            .count()
    }

    /// Keeps a note beside a connection.
    ///
    /// # Errors
    /// There is no such connection, or the note is too long.
    pub fn note(&self, id: u64, note: Saved) -> Result<(), WebSocketError> {
        if note.bytes.len() > NOTE_BYTES_MAX {
            return Err(WebSocketError::Limit(format!(
                "a note of more than {NOTE_BYTES_MAX} bytes"
            )));
        }
        match lock(&self.table).entries.get_mut(&id) {
            Some(entry) => {
                entry.note = Some(note);
                Ok(())
            }
            None => Err(unknown(id)),
        }
    }

    /// Closes all of them, and returns when they are, or after a bounded time. None can be
    /// opened any more.
    pub async fn close_all(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(CLOSE_ALL_MAX, self.tasks.wait())
            .await
            .is_err()
        {
            // They end on their own: every wait of theirs is bounded.
            tracing::debug!(left = self.tasks.len(), "connections are still closing");
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Job {
    async fn run(mut self) {
        let (code, mut reason) = self.live().await;
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        let body = Closed {
            code,
            reason: &reason,
        }
        .encode();
        // The lane of closings is never full, so this does not wait.
        let number = self
            .inbox
            .push(Arrival::now(Kind::Closed, self.id, Bytes::from(body)))
            .await;
        let mut table = lock(&self.table);
        match number {
            Ok(number) => {
                if let Some(entry) = table.entries.get_mut(&self.id) {
                    entry.state = ConnectionState::Closed;
                    entry.closed_by = Some(number);
                }
            }
            // The slot is gone, and nobody is left to be told.
            Err(crate::inbox::Closed) => drop(table.entries.remove(&self.id)),
        }
    }

    /// Opens the connection and serves it to its end: a close code, 0 where there is none, and
    /// the reason.
    async fn live(&mut self) -> (u16, String) {
        let opening = connect::open(&self.url, self.grants.network(), self.patience.connect);
        let socket = tokio::select! {
            socket = opening => match socket {
                Ok(socket) => socket,
                Err(reason) => return (0, reason),
            },
            () = self.close.cancelled() => return (0, "closed before it was open".to_owned()),
        };
        if let Some(entry) = lock(&self.table).entries.get_mut(&self.id) {
            entry.state = ConnectionState::Live;
        }
        let opened = Arrival::now(Kind::Opened, self.id, Bytes::new());
        if self.inbox.push(opened).await.is_err() {
            return (0, "the slot is stopping".to_owned());
        }
        serve::serve(self, socket).await
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // No holder leaves it half changed: nothing in between can panic.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unknown(id: u64) -> WebSocketError {
    WebSocketError::Invalid(format!("there is no connection {id}"))
}

fn open_entry(table: &Table, id: u64) -> Result<&Entry, WebSocketError> {
    match table.entries.get(&id) {
        Some(entry) if entry.state == ConnectionState::Closed => Err(WebSocketError::Invalid(
            format!("connection {id} is closed"),
        )),
        Some(entry) => Ok(entry),
        None => Err(unknown(id)),
    }
}
