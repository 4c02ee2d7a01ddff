//! The host as a source sees it.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::Saved;
pub use crate::sink::{HttpError, HttpRequest, LogLevel};

/// Why a connection can't be had or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketError {
    /// Outside the grant.
    #[error("not granted: {0}")]
    Denied(String),
    /// The address or the connection's id is wrong.
    #[error("invalid: {0}")]
    Invalid(String),
    /// A limit of the host is reached: later, perhaps.
    #[error("a limit is reached: {0}")]
    Limit(String),
}

/// What became of a connection so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// Neither live nor failed yet.
    Opening,
    /// Frames may come and go.
    Live,
    /// Nothing will come any more but what is in the inbox.
    Closed,
}

/// A connection of this slot, also one that an earlier instance opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Never reused within the slot.
    pub id: u64,
    /// As given to `open`.
    pub name: String,
    /// As given to `open`.
    pub url: String,
    /// Now.
    pub state: ConnectionState,
    /// Since it was opened.
    pub age: Duration,
    /// What the instance that opened it noted beside it.
    pub note: Option<Saved>,
}

/// What a source may ask of its host: the imports of its world, and WASI's clocks and randomness.
/// A component has the host's, tests have [`super::testing::FakeHost`].
pub trait Imports {
    /// Packed events, see [`super::Inbox`]. Waits at most `wait_ms` for the first; empty when the
    /// host wants the call back.
    fn receive(&self, bytes_max: u32, wait_ms: u32) -> Vec<u8>;

    /// Opens a connection; its outcome, frames and closing arrive as events under the id.
    ///
    /// # Errors
    /// [`WebSocketError`].
    fn open(&self, name: &str, url: &str) -> Result<u64, WebSocketError>;
    /// Sends a text frame.
    ///
    /// # Errors
    /// [`WebSocketError`].
    fn send(&self, connection: u64, text: &str) -> Result<(), WebSocketError>;
    /// Closes a connection.
    fn close(&self, connection: u64);
    /// This slot's connections.
    fn connections(&self) -> Vec<Connection>;
    /// Keeps something beside a connection for the next instance.
    ///
    /// # Errors
    /// [`WebSocketError`].
    fn note(&self, connection: u64, note: &Saved) -> Result<(), WebSocketError>;

    /// Starts a request; its outcome arrives as an event under the id, with the note.
    ///
    /// # Errors
    /// [`HttpError`], when it was not even started.
    fn request(
        &self,
        request: &HttpRequest,
        timeout_ms: u32,
        note: &[u8],
    ) -> Result<u64, HttpError>;

    /// Writes a line for people.
    fn log(&self, level: LogLevel, message: &str);

    /// Time since some fixed moment; never goes back.
    fn now(&self) -> Duration;
    /// The wall clock, µs since the epoch; may jump.
    fn wall_us(&self) -> i64;
    /// A random number.
    fn random(&self) -> u64;
}

/// The handle on the host that a source keeps.
#[derive(Clone)]
pub struct Host(Rc<dyn Imports>);

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

impl Host {
    /// A handle on these imports.
    pub fn new(imports: impl Imports + 'static) -> Self {
        Self(Rc::new(imports))
    }

    /// A number in `0.0..1.0`.
    pub fn fraction(&self) -> f64 {
        // 53 bits are what an f64 holds exactly.
        (self.random() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Logs at level info.
    pub fn info(&self, message: impl AsRef<str>) {
        self.log(LogLevel::Info, message.as_ref());
    }

    /// Logs at level warn.
    pub fn warn(&self, message: impl AsRef<str>) {
        self.log(LogLevel::Warn, message.as_ref());
    }
}

impl std::ops::Deref for Host {
    type Target = dyn Imports;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// The finaliser of splitmix64: a counter, stepped by an odd number, becomes random numbers.
#[cfg(any(not(target_arch = "wasm32"), feature = "source"))]
pub(crate) fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
