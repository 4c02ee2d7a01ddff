//! What an instance sees instead of its slot.

use super::calls::CallReport;
use super::ready::RECEIVE_BYTES_MAX;
use super::tap::{Heard, Item, Tap, TapEnd, fingerprint};
use super::timeline::Timeline;
use super::world::World;
use crate::grants::{HttpGrants, WebSocketGrants};
use crate::http_client::{self, HttpError};
use crate::interrupt::Interrupt;
use crate::types::{HttpRequest, Saved};
use crate::websocket::{Connection, WebSocketError};
use jackfield_batch::event::{Event, EventWriter};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// Events of a recording that a wait brings together: as long as a poll takes.
const SLICE: Duration = Duration::from_millis(10);
/// Connections and requests at once, and bytes of what is sent and noted, as in a slot.
const CONNECTIONS_MAX: usize = 64;
const UNDER_WAY_MAX: usize = 32;
const SEND_BYTES_MAX: usize = 64 * 1024;
const CONNECTION_NOTE_BYTES_MAX: usize = 64 * 1024;
const REQUEST_NOTE_BYTES_MAX: usize = 4 * 1024;

/// Where events come from.
#[derive(Debug)]
enum Input {
    /// From a slot that is at work.
    Live(Arc<Tap>),
    /// From a recording.
    Recorded(Mutex<VecDeque<Item>>),
}

#[derive(Debug)]
struct Inner {
    world: World,
    /// Highest number given.
    given: u64,
    /// Highest number that is contained in what was polled.
    settled: u64,
}

/// What an instance of a source sees: a copy of a slot's events, and a world that it can't change.
#[derive(Debug)]
pub struct Stage {
    input: Input,
    timeline: Timeline,
    /// What it may ask for; none: anything, since nothing is sent.
    grants: Option<(WebSocketGrants, HttpGrants)>,
    inner: Mutex<Inner>,
}

impl Stage {
    /// On the input of a slot at work. Events up to `contained` are done, `connections` are the
    /// running version's.
    pub fn beside(
        tap: Arc<Tap>,
        contained: u64,
        connections: Vec<Connection>,
        grants: (WebSocketGrants, HttpGrants),
    ) -> Arc<Self> {
        let input = Input::Live(tap);
        Self::new(
            input,
            Timeline::live(),
            contained,
            connections,
            Some(grants),
        )
    }

    /// On what was recorded, whose first event came at `began_ns`, ns since the epoch.
    pub fn replaying(
        items: Vec<Item>,
        began_ns: i64,
        contained: u64,
        connections: Vec<Connection>,
    ) -> Arc<Self> {
        let input = Input::Recorded(Mutex::new(items.into()));
        let timeline = Timeline::replayed(began_ns);
        Self::new(input, timeline, contained, connections, None)
    }

    fn new(
        input: Input,
        timeline: Timeline,
        contained: u64,
        connections: Vec<Connection>,
        grants: Option<(WebSocketGrants, HttpGrants)>,
    ) -> Arc<Self> {
        Arc::new(Self {
            input,
            timeline,
            grants,
            inner: Mutex::new(Inner {
                world: World::with(connections),
                given: contained,
                settled: contained,
            }),
        })
    }

    /// Its clock, where that is not this machine's.
    pub(crate) fn replayed_clock(&self) -> Option<Timeline> {
        match self.input {
            Input::Live(_) => None,
            Input::Recorded(_) => Some(self.timeline.clone()),
        }
    }

    /// The highest number that was given.
    pub fn given(&self) -> u64 {
        self.lock().given
    }

    /// The highest number that is settled.
    pub fn settled(&self) -> u64 {
        self.lock().settled
    }

    /// Events up to here are contained in what was polled.
    pub fn settle(&self, done_through: u64) {
        let mut inner = self.lock();
        inner.settled = inner.settled.max(done_through);
        inner.world.settled(done_through);
    }

    /// Whether all was given and no more will come.
    pub fn is_exhausted(&self) -> bool {
        let none_left = match &self.input {
            Input::Live(tap) => tap.end().is_some() && tap.is_empty(),
            Input::Recorded(items) => lock(items).is_empty(),
        };
        none_left && self.lock().world.ready.is_empty()
    }

    /// Why no more comes from the slot.
    pub fn end(&self) -> Option<TapEnd> {
        match &self.input {
            Input::Live(tap) => tap.end(),
            Input::Recorded(_) => None,
        }
    }

    /// Sets a replay's clock on, as if so much time had been waited.
    pub(crate) fn pass(&self, wait: Duration) {
        let at = self.timeline.wall_ns().saturating_add(ns(wait));
        self.timeline.reach(at);
    }

    /// How its calls compare with the running version's; the newest ones may not be paired yet and
    /// are left out unless it is the end.
    pub fn calls(&self, max: usize) -> CallReport {
        let now = self.timeline.elapsed();
        let before = now.saturating_sub(super::world::MATCH_WITHIN);
        self.lock().world.calls.report(before, max)
    }

    pub(crate) async fn receive(
        &self,
        bytes_max: usize,
        wait: Duration,
        interrupt: &Interrupt,
    ) -> Vec<u8> {
        let bytes_max = bytes_max.min(RECEIVE_BYTES_MAX);
        match &self.input {
            Input::Live(tap) => self.receive_live(tap, bytes_max, wait, interrupt).await,
            Input::Recorded(items) => self.receive_recorded(items, bytes_max, wait),
        }
    }

    async fn receive_live(
        &self,
        tap: &Tap,
        bytes_max: usize,
        wait: Duration,
        interrupt: &Interrupt,
    ) -> Vec<u8> {
        let until = Instant::now() + wait;
        loop {
            let due = {
                let mut inner = self.lock();
                let now = self.timeline.elapsed();
                inner.world.give_up(now, self.timeline.wall_ns());
                while !inner.world.ready.is_full()
                    && let Some(item) = tap.pop()
                {
                    inner.world.take(item, now);
                }
                let over = wait.is_zero() || tap.end().is_some() || interrupt.is_raised();
                if over || !inner.world.ready.is_empty() || Instant::now() >= until {
                    return inner.give(bytes_max);
                }
                inner.world.next_due().map(|due| due.saturating_sub(now))
            };
            let wake = due.map_or(until, |due| until.min(Instant::now() + due));
            tokio::select! {
                () = tap.changed() => {}
                () = interrupt.raised() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// The wait takes no time: the clock is set on instead.
    fn receive_recorded(
        &self,
        items: &Mutex<VecDeque<Item>>,
        bytes_max: usize,
        wait: Duration,
    ) -> Vec<u8> {
        let mut items = lock(items);
        let mut inner = self.lock();
        let until_ns = self.timeline.wall_ns().saturating_add(ns(wait));
        self.take_calls(&mut items, &mut inner);
        if inner.world.ready.is_empty() {
            let event_ns = next_event_ns(&items).filter(|at| *at <= until_ns);
            let due = inner.world.next_due();
            let due_ns = due.map(|due| self.timeline.wall_of(due));
            let due_ns = due_ns.filter(|at| *at <= until_ns);
            match (event_ns, due_ns) {
                (Some(event), due) if due.is_none_or(|due| event <= due) => {
                    self.timeline.reach(event);
                    let to = self.timeline.wall_ns().saturating_add(ns(SLICE));
                    while next_event_ns(&items).is_some_and(|at| at <= to)
                        && !inner.world.ready.is_full()
                    {
                        if let Some(Item::Event(heard)) = items.front() {
                            self.timeline.reach(heard.received_ns);
                        }
                        if let Some(item) = items.pop_front() {
                            inner.world.take(item, self.timeline.elapsed());
                        }
                        self.take_calls(&mut items, &mut inner);
                    }
                }
                (_, Some(due)) => self.timeline.reach(due),
                (_, None) => self.timeline.reach(until_ns),
            }
        }
        let (now, wall) = (self.timeline.elapsed(), self.timeline.wall_ns());
        inner.world.give_up(now, wall);
        inner.give(bytes_max)
    }

    /// What the running version asked for takes no time.
    fn take_calls(&self, items: &mut VecDeque<Item>, inner: &mut Inner) {
        while items
            .front()
            .is_some_and(|it| !matches!(it, Item::Event(_)))
        {
            if let Some(item) = items.pop_front() {
                inner.world.take(item, self.timeline.elapsed());
            }
        }
    }

    pub(crate) fn open(&self, name: &str, url: &str) -> Result<u64, WebSocketError> {
        let invalid = |why: String| WebSocketError::Invalid(why);
        let parsed = Url::parse(url).map_err(|e| invalid(format!("not a URL: {e}")))?;
        if let Some((websocket, _)) = &self.grants
            && !websocket.covers(&parsed)
        {
            return Err(WebSocketError::Denied(format!(
                "no grant covers {}",
                http_client::without_query(&parsed)
            )));
        }
        let mut inner = self.lock();
        if inner.world.open_count() >= CONNECTIONS_MAX {
            return Err(WebSocketError::Limit(format!(
                "{CONNECTIONS_MAX} connections are open"
            )));
        }
        Ok(inner.world.open(name, url, self.timeline.elapsed()))
    }

    pub(crate) fn send(&self, id: u64, text: &str) -> Result<(), WebSocketError> {
        if text.len() > SEND_BYTES_MAX {
            return Err(WebSocketError::Limit(format!(
                "a message of more than {SEND_BYTES_MAX} bytes"
            )));
        }
        let sent = self.lock().world.send(id, text, self.timeline.elapsed());
        sent.map_err(WebSocketError::Invalid)
    }

    pub(crate) fn close(&self, id: u64) {
        self.lock().world.close(id, self.timeline.elapsed());
    }

    pub(crate) fn list(&self) -> Vec<Connection> {
        self.lock().world.list(self.timeline.elapsed())
    }

    pub(crate) fn note(&self, id: u64, note: Saved) -> Result<(), WebSocketError> {
        if note.bytes.len() > CONNECTION_NOTE_BYTES_MAX {
            return Err(WebSocketError::Limit(format!(
                "a note of more than {CONNECTION_NOTE_BYTES_MAX} bytes"
            )));
        }
        let noted = self.lock().world.note(id, note);
        noted.map_err(WebSocketError::Invalid)
    }

    pub(crate) fn start(
        &self,
        request: HttpRequest,
        timeout: Duration,
        note: Vec<u8>,
    ) -> Result<u64, HttpError> {
        if note.len() > REQUEST_NOTE_BYTES_MAX {
            return Err(HttpError::TooLarge(REQUEST_NOTE_BYTES_MAX as u64));
        }
        let asked = fingerprint(&request);
        if let Some((_, http)) = &self.grants {
            http_client::check(http, request, timeout).map(drop)?;
        }
        let mut inner = self.lock();
        if inner.world.under_way() >= UNDER_WAY_MAX {
            return Err(HttpError::Unreachable(format!(
                "{UNDER_WAY_MAX} requests are under way: wait for one to be answered"
            )));
        }
        let now = self.timeline.elapsed();
        Ok(inner.world.ask(asked, timeout, note, now))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn give(&mut self, bytes_max: usize) -> Vec<u8> {
        let mut writer = EventWriter::new();
        while let Some(heard) = self.world.ready.front() {
            // Those that the new version is given and the running one was not have no number of
            // their own, and shift those that follow as little as need be.
            let number = heard.number.max(self.given + 1);
            let event = Event {
                number,
                kind: heard.kind,
                id: heard.id,
                received_ns: heard.received_ns,
                body: &heard.body,
            };
            if !writer.is_empty() && writer.encoded_len() + event.encoded_len() > bytes_max {
                break;
            }
            writer.push(&event);
            self.given = number;
            if let Some(heard) = self.world.ready.pop_front() {
                self.world.given(&heard, number);
            }
        }
        writer.finish()
    }
}

fn next_event_ns(items: &VecDeque<Item>) -> Option<i64> {
    items.iter().find_map(|item| match item {
        Item::Event(Heard { received_ns, .. }) => Some(*received_ns),
        Item::Opened { .. } | Item::Sent { .. } | Item::Closed { .. } | Item::Asked { .. } => None,
    })
}

fn ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No holder leaves it half changed: nothing in between can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_batch::event::{Events, Kind};

    fn frame(number: u64, at_ms: i64) -> Item {
        Item::Event(Heard {
            number,
            kind: Kind::Text,
            id: 1,
            received_ns: at_ms * 1_000_000,
            body: format!("{number}").into_bytes().into(),
        })
    }

    async fn receive(stage: &Stage, wait_ms: u64) -> Vec<u64> {
        let wait = Duration::from_millis(wait_ms);
        let packed = stage.receive(1 << 20, wait, &Interrupt::default()).await;
        let events = Events::parse(&packed).unwrap();
        events.iter().map(|it| it.number).collect()
    }

    #[tokio::test]
    async fn a_replay_waits_on_its_own_clock() {
        let items = vec![frame(4, 1000), frame(5, 1002), frame(6, 61_000)];
        let stage = Stage::replaying(items, 1_000_000_000, 3, Vec::new());
        assert_eq!(receive(&stage, 250).await, [4, 5]);
        assert_eq!(receive(&stage, 250).await, [0u64; 0]);
        assert_eq!(stage.timeline.elapsed(), Duration::from_millis(252));
        assert!(!stage.is_exhausted());
        assert_eq!(receive(&stage, 3_600_000).await, [6]);
        assert_eq!(stage.timeline.wall_ns(), 61_000_000_000);
        assert!(stage.is_exhausted());
        assert_eq!((stage.given(), stage.settled()), (6, 3));
    }

    #[tokio::test]
    async fn a_shadow_that_is_too_slow_fills_its_tap_and_never_the_stage() {
        const FRAME_BYTES: usize = 1024 * 1024;
        let body = bytes::Bytes::from(vec![b'x'; FRAME_BYTES]);
        let tap = Tap::new(64 * FRAME_BYTES);
        let input = Input::Live(Arc::clone(&tap));
        let stage = Stage::new(input, Timeline::live(), 0, Vec::new(), None);
        let interrupt = Interrupt::default();
        let mut came = 0;
        while tap.end().is_none() {
            for _ in 0..8 {
                came += 1;
                tap.push(Item::Event(Heard {
                    number: came,
                    kind: Kind::Text,
                    id: 1,
                    received_ns: 0,
                    body: body.clone(),
                }));
            }
            // It takes one where eight come.
            let taken = stage.receive(1, Duration::ZERO, &interrupt).await;
            assert!(taken.len() < 2 * FRAME_BYTES);
            let held = stage.lock().world.ready.bytes();
            assert!(held < 2 * RECEIVE_BYTES_MAX + 2 * FRAME_BYTES, "{held}");
            assert!(came < 1000, "it is never told that it is too slow");
        }
        assert_eq!(stage.end(), Some(TapEnd::TooSlow));
    }

    #[tokio::test]
    async fn numbers_are_the_slots_own_but_where_the_shadow_gets_more() {
        let items = vec![frame(4, 0), frame(9, 20_000)];
        let stage = Stage::replaying(items, 0, 3, Vec::new());
        assert_eq!(receive(&stage, 10).await, [4]);
        let request = HttpRequest {
            method: "GET".into(),
            url: "http://x".into(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        stage
            .start(request, Duration::from_secs(5), Vec::new())
            .unwrap();
        assert_eq!(receive(&stage, 60_000).await, [5], "the timeout");
        assert_eq!(receive(&stage, 60_000).await, [9]);
    }
}
