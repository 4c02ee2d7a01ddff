//! All that reaches a source from outside, in one order, numbered, kept until it is settled.
//!
//! Bounded in bytes: when it is full the sockets are not read any more, and nothing is dropped.
//! Frames, responses and the openings and closings of connections have a bound each, so that a
//! source which needs a response before it can settle frames never waits for itself.

use crate::interrupt::Interrupt;
use crate::shadow::{Heard, Item, Tap};
use bytes::Bytes;
use jackfield_batch::event::{Event, EventWriter, Kind};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

/// What an event costs beside its body: the queue's entry and its share of the read buffer.
const EVENT_OVERHEAD_BYTES: usize = 64;
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

/// What an event is before it has a number.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) received_ns: i64,
    pub(crate) body: Bytes,
}

impl Arrival {
    /// Something that arrives now.
    pub(crate) fn now(kind: Kind, id: u64, body: Bytes) -> Self {
        Self {
            kind,
            id,
            received_ns: now_ns(),
            body,
        }
    }

    fn cost(&self) -> usize {
        self.body.len() + EVENT_OVERHEAD_BYTES
    }

    fn heard(&self, number: u64) -> Item {
        Item::Event(Heard {
            number,
            kind: self.kind,
            id: self.id,
            received_ns: self.received_ns,
            body: self.body.clone(),
        })
    }
}

/// Each lane has a bound of its own.
#[derive(Debug, Clone, Copy)]
enum Lane {
    Frames = 0,
    Responses = 1,
    Control = 2,
}

impl Lane {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Text | Kind::Binary => Self::Frames,
            Kind::Response | Kind::RequestFailed => Self::Responses,
            Kind::Opened | Kind::Closed => Self::Control,
        }
    }
}

#[derive(Debug, Default)]
struct Kept {
    /// Each with when it came, since the wall clock may jump.
    events: VecDeque<(Instant, Arrival)>,
    /// Highest number given away for good; the first event kept has the next one.
    settled: u64,
    /// Highest number given to the instance.
    given: u64,
    /// Bytes kept, by lane.
    bytes: [usize; 3],
    control_events: usize,
    next_id: u64,
    closed: bool,
    /// Who is told of everything, without holding anything back. Whoever reads owns what is kept for
    /// it: dropped anywhere, also before it was ever read, it costs nothing more and frees its place.
    taps: Vec<Weak<Tap>>,
}

impl Kept {
    fn last(&self) -> u64 {
        self.settled + self.events.len() as u64
    }

    fn has_room(&self, arrival: &Arrival, bytes_max: usize) -> bool {
        let lane = Lane::of(arrival.kind);
        let bytes = self.bytes[lane as usize];
        match lane {
            // One event is always taken, whatever its size: its source has a limit of its own.
            Lane::Frames | Lane::Responses => bytes == 0 || bytes + arrival.cost() <= bytes_max,
            // Bounded where connections are opened.
            Lane::Control => true,
        }
    }

    fn add(&mut self, arrival: Arrival) -> u64 {
        let lane = Lane::of(arrival.kind);
        self.bytes[lane as usize] += arrival.cost();
        self.control_events += usize::from(matches!(lane, Lane::Control));
        if !self.taps.is_empty() {
            let item = arrival.heard(self.last() + 1);
            self.tell(&item);
        }
        self.events.push_back((Instant::now(), arrival));
        self.last()
    }

    fn tell(&mut self, item: &Item) {
        let told = |tap: Arc<Tap>| tap.push(item.clone());
        self.taps.retain(|tap| tap.upgrade().is_some_and(told));
    }

    fn drop_first(&mut self) {
        if let Some((_, arrival)) = self.events.pop_front() {
            let lane = Lane::of(arrival.kind);
            self.bytes[lane as usize] -= arrival.cost();
            self.control_events -= usize::from(matches!(lane, Lane::Control));
            self.settled += 1;
        }
    }
}

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

fn give(kept: &mut Kept, bytes_max: usize) -> Vec<u8> {
    let mut writer = EventWriter::new();
    // What is given and not settled is at most what the bounds keep, far below usize.
    let skip = (kept.given - kept.settled) as usize;
    for (_, arrival) in kept.events.range(skip..) {
        let event = Event {
            number: kept.given + 1,
            kind: arrival.kind,
            id: arrival.id,
            received_ns: arrival.received_ns,
            body: &arrival.body,
        };
        if !writer.is_empty() && writer.encoded_len() + event.encoded_len() > bytes_max {
            break;
        }
        kept.given = event.number;
        writer.push(&event);
    }
    writer.finish()
}

/// Nanoseconds since the epoch, by the wall clock: for people and for latency, it orders nothing.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_batch::event::Events;

    fn frame(text: &str) -> Arrival {
        Arrival::now(Kind::Text, 1, Bytes::copy_from_slice(text.as_bytes()))
    }

    fn numbers(packed: &[u8]) -> Vec<u64> {
        Events::parse(packed)
            .unwrap()
            .iter()
            .map(|e| e.number)
            .collect()
    }

    async fn receive(inbox: &Inbox, bytes_max: usize) -> Vec<u64> {
        numbers(
            &inbox
                .receive(bytes_max, Duration::ZERO, &Interrupt::default())
                .await,
        )
    }

    #[tokio::test]
    async fn events_are_numbered_from_one_and_given_once() {
        let inbox = Inbox::new(10_000);
        for text in ["a", "b", "c"] {
            inbox.push(frame(text)).await.unwrap();
        }
        assert_eq!(receive(&inbox, 10_000).await, [1, 2, 3]);
        assert_eq!(receive(&inbox, 10_000).await, [0u64; 0]);
        inbox.push(frame("d")).await.unwrap();
        assert_eq!(receive(&inbox, 10_000).await, [4]);
    }

    #[tokio::test]
    async fn a_tap_has_what_is_kept_and_what_comes_and_holds_nothing_back() {
        let inbox = Inbox::new(10_000);
        for text in ["a", "b", "c"] {
            inbox.push(frame(text)).await.unwrap();
        }
        inbox.settle(1);
        let (wide, narrow) = (inbox.tap(2, 1 << 20).unwrap(), inbox.tap(3, 150).unwrap());
        inbox.push(frame("d")).await.unwrap();
        inbox.tell(|| Item::Closed { id: 7 });
        inbox.settle(4);
        inbox.close();
        let mut seen = Vec::new();
        while let Some(item) = wide.pop() {
            seen.push(match item {
                Item::Event(heard) => heard.number,
                _ => 0,
            });
        }
        assert_eq!(seen, [3, 4, 0]);
        assert_eq!(wide.end(), Some(crate::shadow::TapEnd::Closed));
        assert_eq!(narrow.end(), Some(crate::shadow::TapEnd::TooSlow));
        assert!(inbox.tap(0, 1).is_none(), "the slot has ended");
    }

    #[tokio::test]
    async fn a_tap_that_is_dropped_keeps_nothing_and_frees_its_place() {
        let inbox = Inbox::new(10_000);
        inbox.push(frame("a")).await.unwrap();
        for _ in 0..2 * TAPS_MAX {
            drop(inbox.tap(0, 1 << 20).unwrap());
        }
        let taps: Vec<_> = (0..TAPS_MAX).map(|_| inbox.tap(0, 1 << 20)).collect();
        assert!(taps.iter().all(Option::is_some));
        assert!(inbox.tap(0, 1 << 20).is_none(), "all places are taken");
        drop(taps);
        inbox.push(frame("b")).await.unwrap();
        assert!(!inbox.is_tapped(), "nobody is told any more");
        let tap = inbox.tap(0, 1 << 20).unwrap();
        inbox.push(frame("c")).await.unwrap();
        assert_eq!(std::iter::from_fn(|| tap.pop()).count(), 3);
    }

    #[tokio::test]
    async fn what_is_not_settled_is_given_again_after_a_rewind() {
        let inbox = Inbox::new(10_000);
        for text in ["a", "b", "c", "d"] {
            inbox.push(frame(text)).await.unwrap();
        }
        assert_eq!(receive(&inbox, 10_000).await, [1, 2, 3, 4]);
        inbox.settle(2);
        inbox.rewind(0);
        assert_eq!(receive(&inbox, 10_000).await, [3, 4]);
        inbox.rewind(3);
        assert_eq!(receive(&inbox, 10_000).await, [4]);
        inbox.settle(99);
        assert_eq!((inbox.settled(), inbox.last(), inbox.bytes()), (4, 4, 0));
    }

    #[tokio::test]
    async fn a_receive_holds_no_more_than_asked_for_but_at_least_one_event() {
        let inbox = Inbox::new(100_000);
        for _ in 0..3 {
            inbox.push(frame(&"x".repeat(500))).await.unwrap();
        }
        assert_eq!(receive(&inbox, 1_100).await, [1, 2]);
        assert_eq!(receive(&inbox, 1).await, [3]);
    }

    #[tokio::test]
    async fn a_full_inbox_refuses_until_something_is_settled_and_loses_nothing() {
        let inbox = Inbox::new(400);
        for _ in 0..3 {
            inbox.push(frame(&"x".repeat(60))).await.unwrap();
        }
        let blocked = inbox.try_push(frame(&"y".repeat(60))).unwrap().unwrap_err();
        assert_eq!(blocked.body.len(), 60);
        let waiting = tokio::spawn({
            let inbox = Arc::clone(&inbox);
            async move { inbox.push(blocked).await }
        });
        assert_eq!(
            receive(&inbox, 10_000).await,
            [1, 2, 3],
            "receiving alone frees nothing"
        );
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        inbox.settle(1);
        assert_eq!(waiting.await.unwrap(), Ok(4));
    }

    #[tokio::test]
    async fn responses_and_closings_pass_by_frames_that_wait() {
        let inbox = Inbox::new(100);
        inbox
            .push(frame("one frame that fills the inbox by itself"))
            .await
            .unwrap();
        assert!(inbox.try_push(frame("another")).unwrap().is_err());
        for kind in [Kind::Response, Kind::Closed, Kind::Opened] {
            assert!(
                inbox
                    .try_push(Arrival::now(kind, 2, Bytes::new()))
                    .unwrap()
                    .is_ok(),
                "{kind:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_event_larger_than_the_bound_is_taken_alone() {
        let inbox = Inbox::new(100);
        assert!(inbox.try_push(frame(&"x".repeat(1000))).unwrap().is_ok());
    }

    #[tokio::test]
    async fn connections_are_refused_while_none_of_their_events_is_settled() {
        let inbox = Inbox::new(100);
        while inbox.takes_connections() {
            for kind in [Kind::Opened, Kind::Closed] {
                inbox
                    .push(Arrival::now(kind, 2, Bytes::new()))
                    .await
                    .unwrap();
            }
            assert!(inbox.last() <= CONTROL_EVENTS_MAX as u64);
        }
        inbox.settle(2);
        assert!(inbox.takes_connections());
    }

    #[tokio::test(start_paused = true)]
    async fn a_receive_waits_as_long_as_asked_and_no_longer_than_wanted() {
        let inbox = Inbox::new(1000);
        let interrupt = Interrupt::default();
        let started = tokio::time::Instant::now();
        let packed = inbox
            .receive(1000, Duration::from_secs(5), &interrupt)
            .await;
        assert_eq!(
            (numbers(&packed), started.elapsed()),
            (vec![], Duration::from_secs(5))
        );
        let (packed, ()) = tokio::join!(
            inbox.receive(1000, Duration::from_secs(5), &interrupt),
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                inbox.push(frame("a")).await.unwrap();
            }
        );
        assert_eq!(
            (numbers(&packed), started.elapsed()),
            (vec![1], Duration::from_secs(6))
        );
        let (packed, ()) = tokio::join!(
            inbox.receive(1000, Duration::from_secs(5), &interrupt),
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                interrupt.raise();
            }
        );
        assert_eq!(
            (numbers(&packed), started.elapsed()),
            (vec![], Duration::from_secs(7))
        );
        inbox.push(frame("b")).await.unwrap();
        let packed = inbox
            .receive(1000, Duration::from_secs(5), &interrupt)
            .await;
        assert_eq!(
            numbers(&packed),
            [2],
            "an interrupt ends waits, it hides nothing"
        );
    }

    #[tokio::test]
    async fn closing_lets_go_of_everybody() {
        let inbox = Inbox::new(100);
        inbox
            .push(frame(
                "a frame that fills it, so that the next one has to wait",
            ))
            .await
            .unwrap();
        let waiting = tokio::spawn({
            let inbox = Arc::clone(&inbox);
            async move { inbox.push(frame(&"x".repeat(90))).await }
        });
        let receiving = tokio::spawn({
            let inbox = Arc::clone(&inbox);
            async move {
                inbox
                    .receive(1000, Duration::from_secs(60), &Interrupt::default())
                    .await;
                inbox
                    .receive(1000, Duration::from_secs(60), &Interrupt::default())
                    .await
            }
        });
        tokio::task::yield_now().await;
        inbox.close();
        assert_eq!(waiting.await.unwrap(), Err(Closed));
        assert_eq!(numbers(&receiving.await.unwrap()), [0u64; 0]);
        assert_eq!(inbox.push(frame("late")).await, Err(Closed));
    }

    #[test]
    fn every_inbox_has_an_epoch_of_its_own_and_ids_are_never_reused() {
        let (a, b) = (Inbox::new(1), Inbox::new(1));
        assert_ne!(a.epoch(), b.epoch());
        assert_eq!((a.next_id(), a.next_id(), b.next_id()), (1, 2, 1));
    }
}
