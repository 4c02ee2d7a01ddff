//! A copy of all that reaches a slot, for whoever wants to know it without holding it back.

use crate::types::HttpRequest;
use bytes::Bytes;
use jackfield_batch::event::Kind;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What an item costs beside its body.
const ITEM_OVERHEAD_BYTES: usize = 96;

/// An event as the slot's inbox has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its number in the slot's inbox.
    pub number: u64,
    /// What happened.
    pub kind: Kind,
    /// The connection or request.
    pub id: u64,
    /// When the host received it, ns since the epoch.
    pub received_ns: i64,
    /// What came with it.
    pub body: Bytes,
}

impl Heard {
    /// What it costs in memory.
    pub(super) fn cost(&self) -> usize {
        ITEM_OVERHEAD_BYTES + self.body.len()
    }
}

/// What reached a slot, or was asked of the host there, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event of the inbox.
    Event(Heard),
    /// The running version asked for a connection.
    Opened {
        /// The connection's id.
        id: u64,
        /// As it was asked for.
        name: String,
        /// As it was asked for.
        url: String,
    },
    /// The running version sent a message.
    Sent {
        /// The connection.
        id: u64,
        /// The message.
        text: String,
    },
    /// The running version asked to close a connection.
    Closed {
        /// The connection.
        id: u64,
    },
    /// The running version started a request.
    Asked {
        /// The request's id.
        id: u64,
        /// What it asked for, which tells it from every other request: method and URL, and a digest where it has
        /// headers or a body.
        request: String,
    },
}

impl Item {
    fn cost(&self) -> usize {
        let own = match self {
            Self::Event(heard) => return heard.cost(),
            Self::Opened { name, url, .. } => name.len() + url.len(),
            Self::Sent { text, .. } => text.len(),
            Self::Closed { .. } => 0,
            Self::Asked { request, .. } => request.len(),
        };
        ITEM_OVERHEAD_BYTES + own
    }
}

/// Tells a request from every other one: its method and URL, and a digest where it has headers or
/// a body.
pub(crate) fn fingerprint(request: &HttpRequest) -> String {
    let plain = format!("{} {}", request.method, request.url);
    if request.headers.is_empty() && request.body.is_empty() {
        return plain;
    }
    let mut digest = Sha256::new();
    for (name, value) in &request.headers {
        for part in [name, value] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part.as_bytes());
        }
    }
    digest.update(&request.body);
    let digest = crate::engine::hex(&digest.finalize());
    format!("{plain} #{}", &digest[..16])
}

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapEnd {
    /// Whoever reads was too slow: what was kept for it is gone.
    TooSlow,
    /// The slot has ended, or whoever reads has enough. What was kept can still be taken.
    Closed,
}

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<Item>,
    bytes: usize,
    end: Option<TapEnd>,
}

/// A bounded queue that is written without waiting: when it is full it ends.
#[derive(Debug)]
pub struct Tap {
    inner: Mutex<Inner>,
    arrived: Notify,
    bytes_max: usize,
}

impl Tap {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            arrived: Notify::new(),
            bytes_max,
        })
    }

    /// Adds an item; false: nobody reads any more.
    pub(crate) fn push(&self, item: Item) -> bool {
        let listening = {
            let mut inner = self.lock();
            let cost = item.cost();
            if inner.end.is_some() {
                false
            } else if inner.bytes + cost > self.bytes_max {
                inner.end = Some(TapEnd::TooSlow);
                inner.items = VecDeque::new();
                inner.bytes = 0;
                false
            } else {
                inner.bytes += cost;
                inner.items.push_back(item);
                true
            }
        };
        self.arrived.notify_one();
        listening
    }

    /// Nothing more is added.
    pub fn close(&self) {
        self.lock().end.get_or_insert(TapEnd::Closed);
        self.arrived.notify_one();
    }

    /// The oldest item.
    pub fn pop(&self) -> Option<Item> {
        let mut inner = self.lock();
        let item = inner.items.pop_front()?;
        inner.bytes -= item.cost();
        Some(item)
    }

    /// Why nothing is added any more; none while something may be.
    pub fn end(&self) -> Option<TapEnd> {
        self.lock().end
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// Returns when something was added or it ended since the last look; also now and then for
    /// nothing.
    pub async fn changed(&self) {
        self.arrived.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No holder leaves it half changed: nothing in between can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> Item {
        Item::Sent {
            id: 1,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_slow_reader_ends_the_tap_and_holds_nothing() {
        let tap = Tap::new(250);
        assert!(tap.push(sent("a")));
        assert!(tap.push(sent("b")));
        assert!(!tap.push(sent("c")), "three do not fit");
        assert_eq!(tap.end(), Some(TapEnd::TooSlow));
        assert_eq!(tap.pop(), None);
        assert!(!tap.push(sent("d")));
    }

    #[test]
    fn a_closed_tap_gives_what_it_has() {
        let tap = Tap::new(1000);
        tap.push(sent("a"));
        tap.close();
        assert!(!tap.push(sent("b")));
        assert_eq!(tap.pop(), Some(sent("a")));
        assert_eq!(tap.pop(), None);
    }

    #[test]
    fn requests_are_told_apart_by_all_that_is_in_them() {
        let request = |header: &str, body: &str| HttpRequest {
            method: "GET".into(),
            url: "http://x/y".into(),
            headers: match header {
                "" => Vec::new(),
                value => vec![("h".into(), value.into())],
            },
            body: body.into(),
        };
        assert_eq!(fingerprint(&request("", "")), "GET http://x/y");
        let all = [("", ""), ("1", ""), ("2", ""), ("1", "b")];
        let told: std::collections::BTreeSet<_> = all
            .iter()
            .map(|(header, body)| fingerprint(&request(header, body)))
            .collect();
        assert_eq!(told.len(), all.len());
    }
}
