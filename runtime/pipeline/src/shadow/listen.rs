//! What a sink's tasks are given and what becomes of it, told to whoever listens.

use bytes::Bytes;
use jackfield_plugin::{Committed, Rejection, Span};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Items that may wait for a listener.
const ITEMS_MAX: usize = 16 * 1024;
/// Bytes of batches that may wait for a listener: some seconds of a busy sink.
const BYTES_MAX: usize = 128 * 1024 * 1024;
/// Who may listen at a time: a shadow and a recording, and those that have just ended.
const LISTENERS_MAX: usize = 4;

/// One target's commit.
#[derive(Debug, Clone)]
pub(crate) struct CommitSeen {
    pub(crate) target: String,
    pub(crate) spans: Vec<Span>,
    pub(crate) committed: Committed,
}

/// What happened in a sink.
#[derive(Debug, Clone)]
pub(crate) enum SinkItem {
    /// A task was given a batch, and took it but for what it rejected.
    Put {
        task: u32,
        span: Span,
        batch: Bytes,
        rejected: Vec<Rejection>,
    },
    /// A task closed what it was given into pieces.
    Staged { task: u32 },
    /// What the tasks staged was committed.
    Interval { commits: Vec<CommitSeen> },
}

impl SinkItem {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Put { batch, .. } => batch.len(),
            Self::Staged { .. } | Self::Interval { .. } => 0,
        }
    }
}

struct Listener {
    sender: mpsc::Sender<SinkItem>,
    bytes: Arc<AtomicUsize>,
}

/// Whoever listens to a sink's life. Telling them costs one load while there is nobody.
#[derive(Default)]
pub(crate) struct Listeners {
    any: AtomicBool,
    listeners: Mutex<Vec<Listener>>,
}

/// A listener's side. It ends where the sink begins anew, changes, or was not kept up with.
#[derive(Debug)]
pub(crate) struct SinkItems {
    receiver: mpsc::Receiver<SinkItem>,
    bytes: Arc<AtomicUsize>,
}

impl Listeners {
    /// One more, if there are not too many.
    pub(crate) fn add(&self) -> Option<SinkItems> {
        let (sender, receiver) = mpsc::channel(ITEMS_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        let mut listeners = self.lock();
        listeners.retain(|it| !it.sender.is_closed());
        if listeners.len() == LISTENERS_MAX {
            return None;
        }
        listeners.push(Listener {
            sender,
            bytes: Arc::clone(&bytes),
        });
        self.any.store(true, Ordering::Release);
        Some(SinkItems { receiver, bytes })
    }

    /// Tells what happened, without waiting.
    pub(crate) fn tell(&self, item: impl FnOnce() -> SinkItem) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let item = item();
        let own = item.bytes();
        let mut listeners = self.lock();
        listeners.retain(|it| {
            if it.bytes.load(Ordering::Acquire) + own > BYTES_MAX {
                return false;
            }
            it.bytes.fetch_add(own, Ordering::AcqRel);
            it.sender.try_send(item.clone()).is_ok()
        });
        self.any.store(!listeners.is_empty(), Ordering::Release);
    }

    /// What follows is not the continuation of what was told: it is the end for all.
    pub(crate) fn dismiss(&self) {
        self.lock().clear();
        self.any.store(false, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Listener>> {
        // No holder leaves it half changed: nothing in between can panic.
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl SinkItems {
    /// What happened next; none: nothing more is told.
    pub(crate) async fn next(&mut self) -> Option<SinkItem> {
        let item = self.receiver.recv().await?;
        self.bytes.fetch_sub(item.bytes(), Ordering::AcqRel);
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(bytes: usize) -> SinkItem {
        SinkItem::Put {
            task: 0,
            span: Span {
                topic: "t".into(),
                topic_id: String::new(),
                partition: 0,
                first_offset: 0,
                next_offset: 1,
            },
            batch: vec![0; bytes].into(),
            rejected: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_listener_that_lags_too_far_behind_is_dropped() {
        let listeners = Listeners::default();
        listeners.tell(|| unreachable!("nobody listens"));
        let (mut quick, mut slow) = (listeners.add().unwrap(), listeners.add().unwrap());
        for _ in 0..3 {
            listeners.tell(|| put(BYTES_MAX / 2));
            assert!(quick.next().await.is_some());
        }
        assert!(slow.next().await.is_some());
        assert!(slow.next().await.is_some());
        assert!(slow.next().await.is_none(), "it was too slow for the third");
        listeners.dismiss();
        assert!(quick.next().await.is_none());
    }
}
