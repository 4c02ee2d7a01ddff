//! All that reaches a source from outside, in one order, numbered, kept until it is settled.
//!
//! Bounded in bytes: when it is full the sockets are not read any more, and nothing is dropped.
//! Frames, responses and the openings and closings of connections have a bound each, so that a
//! source which needs a response before it can settle frames never waits for itself.

mod arrival;
mod kept;
#[cfg(test)]
mod tests;

pub(crate) use arrival::{Arrival, now_ns};

use crate::interrupt::Interrupt;
use crate::shadow::{Item, Tap};
use jackfield_batch::event::EventWriter;
use kept::{Kept, give};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// Bytes of one `receive`, unless a single event is larger: more at once gains nothing and has
/// to lie in the guest's memory as a whole.
const RECEIVE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Openings and closings that may be kept: a source that opens connections without ever settling
/// an event is refused more.
const CONTROL_EVENTS_MAX: usize = 1024;
/// Who may listen beside the slot at a time: a shadow, a recording, and one that has just ended.
const TAPS_MAX: usize = 4;

/// The inbox is closed: its slot is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the inbox is closed")]
pub(crate) struct Closed;

/// One slot's inbox. It outlives the slot's instances.
#[derive(Debug)]
pub struct Inbox {
    epoch: Uuid,
    bytes_max: usize,
    kept: Mutex<Kept>,
    arrived: Notify,
    room: Notify,
}

impl Inbox {
    /// An empty inbox that keeps at most `bytes_max` of frames, and as much again of responses.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            epoch: Uuid::new_v4(),
            bytes_max,
            kept: Mutex::default(),
            arrived: Notify::new(),
            room: Notify::new(),
        })
    }

    /// Tells this inbox from every other one, also from the same slot's in an earlier process:
    /// event numbers mean something only together with it.
    pub fn epoch(&self) -> Uuid {
        self.epoch
    }

    /// Events up to here are durable and will not be given again. Gives how long the oldest of
    /// them had been kept; `None` when there was none.
    pub fn settle(&self, done_through: u64) -> Option<Duration> {
        let waited = {
            let mut kept = self.lock();
            let oldest = kept.events.front().map(|(came, _)| *came);
            let before = kept.settled;
            while kept.settled < done_through && !kept.events.is_empty() {
                kept.drop_first();
            }
            kept.given = kept.given.max(kept.settled);
            oldest.filter(|_| kept.settled > before)
        };
        if waited.is_some() {
            self.room.notify_waiters();
        }
        waited.map(|came| came.elapsed())
    }

    /// The next `receive` starts after this event, or after the last settled one if that is
    /// higher.
    pub fn rewind(&self, done_through: u64) {
        let mut kept = self.lock();
        kept.given = done_through.clamp(kept.settled, kept.last());
        drop(kept);
        self.arrived.notify_one();
    }

    /// The highest number so far; 0: nothing has arrived yet.
    pub fn last(&self) -> u64 {
        self.lock().last()
    }

    /// The highest number that is settled.
    pub fn settled(&self) -> u64 {
        self.lock().settled
    }

    /// The highest number that was given to the instance.
    pub fn given(&self) -> u64 {
        self.lock().given
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        self.lock().bytes.iter().sum()
    }

    /// Drops everything; what arrives later is refused, and nobody waits any more.
    pub fn close(&self) {
        {
            let mut kept = self.lock();
            kept.closed = true;
            kept.events.clear();
            kept.bytes = [0; 3];
            kept.control_events = 0;
            kept.given = kept.settled;
            let taps = kept.taps.drain(..);
            taps.filter_map(|tap| tap.upgrade())
                .for_each(|tap| tap.close());
        }
        self.room.notify_waiters();
        self.arrived.notify_one();
    }

    /// Listens to all that comes after the event `after`, of what is kept and from now on; at most
    /// `bytes_max` are kept for it, until the last clone of it is dropped. None: the slot has ended,
    /// or others listen already.
    pub fn tap(&self, after: u64, bytes_max: usize) -> Option<Arc<Tap>> {
        let mut kept = self.lock();
        let listens = |tap: Arc<Tap>| tap.end().is_none();
        kept.taps.retain(|tap| tap.upgrade().is_some_and(listens));
        if kept.closed || kept.taps.len() == TAPS_MAX {
            return None;
        }
        let tap = Tap::new(bytes_max);
        for (number, (_, arrival)) in (kept.settled + 1..).zip(&kept.events) {
            if number > after {
                tap.push(arrival.heard(number));
            }
        }
        kept.taps.push(Arc::downgrade(&tap));
        Some(tap)
    }

    /// Whether anyone listens.
    pub(crate) fn is_tapped(&self) -> bool {
        !self.lock().taps.is_empty()
    }

    /// Tells whoever listens what was asked of the host.
    pub(crate) fn tell(&self, item: impl FnOnce() -> Item) {
        let mut kept = self.lock();
        if !kept.taps.is_empty() {
            kept.tell(&item());
        }
    }

    /// A number for a connection or request, never given twice.
    pub(crate) fn next_id(&self) -> u64 {
        let mut kept = self.lock();
        kept.next_id += 1;
        kept.next_id
    }

    /// Whether one more connection may announce itself and its end.
    pub(crate) fn takes_connections(&self) -> bool {
        let kept = self.lock();
        !kept.closed && kept.control_events + 2 <= CONTROL_EVENTS_MAX
    }

    /// Takes an event if there is room; gives it back if not.
    pub(crate) fn try_push(&self, arrival: Arrival) -> Result<Result<u64, Arrival>, Closed> {
        let number = {
            let mut kept = self.lock();
            if kept.closed {
                return Err(Closed);
            }
            if !kept.has_room(&arrival, self.bytes_max) {
                return Ok(Err(arrival));
            }
            kept.add(arrival)
        };
        self.arrived.notify_one();
        Ok(Ok(number))
    }

    /// Returns when something was settled since the last look; also now and then for nothing.
    pub(crate) async fn room(&self, waiting: &Arrival) {
        let mut freed = std::pin::pin!(self.room.notified());
        freed.as_mut().enable();
        let blocked = {
            let kept = self.lock();
            !kept.closed && !kept.has_room(waiting, self.bytes_max)
        };
        if blocked {
            freed.await;
        }
    }

    /// Takes an event, waiting for room.
    pub(crate) async fn push(&self, mut arrival: Arrival) -> Result<u64, Closed> {
        loop {
            match self.try_push(arrival)? {
                Ok(number) => return Ok(number),
                Err(again) => arrival = again,
            }
            self.room(&arrival).await;
        }
    }

    /// The events after the last ones given, packed; waits for the first of them.
    pub(crate) async fn receive(
        &self,
        bytes_max: usize,
        wait: Duration,
        interrupt: &Interrupt,
    ) -> Vec<u8> {
        let bytes_max = bytes_max.min(RECEIVE_BYTES_MAX);
        let until = tokio::time::Instant::now() + wait;
        loop {
            {
                let mut kept = self.lock();
                let some = kept.last() > kept.given;
                if some || kept.closed || wait.is_zero() || interrupt.is_raised() {
                    return give(&mut kept, bytes_max);
                }
            }
            tokio::select! {
                () = self.arrived.notified() => {}
                () = interrupt.raised() => {}
                () = tokio::time::sleep_until(until) => return EventWriter::new().finish(),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // No holder leaves it half changed: nothing in between can panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
