//! Which trades a connection is sent, and when: the tape behind its subscriptions and faults.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::time::Instant;

use crate::fault::Fault;
use crate::schedule::Hole;
use crate::server::Shared;
use crate::session::FAR;
use crate::subscriptions::Subscriptions;
use crate::tape::Form;

/// Written at once: large enough that system calls don't count, small enough
/// that pings and control messages are met in between.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// One connection's place on the tape.
pub(crate) struct Feed {
    shared: Arc<Shared>,
    connection: u64,
    form: Form,
    /// Per symbol of the recording: subscribed, and silenced until then.
    wanted: Vec<bool>,
    silenced: Vec<Option<Instant>>,
    holes: Vec<Hole>,
    /// The next trade to look at, and the next that a fault waits at.
    cursor: u64,
    fault_at: u64,
    /// The schedule's entries that have struck this connection.
    seen: Vec<usize>,
    skip_to: u64,
    shuffle_to: u64,
    late_until: Option<Instant>,
    random: StdRng,
}

impl Feed {
    pub(crate) fn new(shared: Arc<Shared>, connection: u64, form: Form) -> Feed {
        let symbols = shared.tape.recording().symbols().len();
        Feed {
            connection,
            form,
            wanted: vec![false; symbols],
            silenced: vec![None; symbols],
            holes: Vec::new(),
            cursor: shared.position(),
            fault_at: 0,
            seen: Vec::new(),
            skip_to: 0,
            shuffle_to: 0,
            late_until: None,
            random: StdRng::seed_from_u64(shared.seed ^ connection),
            shared,
        }
    }

    /// Follows a change of the subscriptions.
    pub(crate) fn follow(&mut self, subscriptions: &Subscriptions) {
        self.form.combined = subscriptions.combined();
        let symbols = self.shared.tape.recording().symbols();
        for (wanted, symbol) in self.wanted.iter_mut().zip(symbols) {
            let stream = format!("{}@trade", symbol.to_lowercase());
            *wanted = subscriptions.contains(&stream);
        }
        if self.wants_any() && !self.shared.hold {
            self.shared.clock.start(Instant::now());
        }
    }

    fn wants_any(&self) -> bool {
        self.wanted.contains(&true)
    }

    /// Meets the faults that wait here; those that are the connection's to carry
    /// out are given back.
    pub(crate) fn meet_faults(&mut self, now: Instant, out: &mut Vec<u8>) -> Vec<Fault> {
        let shared = self.shared.clone();
        self.holes = shared.schedule.holes();
        let opened = shared.counts.connections.load(Ordering::Acquire);
        let strike = shared.schedule.strike(self.connection, opened, self.cursor, &mut self.seen);
        self.fault_at = strike.next_at;
        let mut for_connection = Vec::new();
        for fault in strike.faults {
            match fault {
                Fault::Silence { symbol, for_ms } => {
                    let until = now + for_ms.map_or(FAR, Duration::from_millis);
                    let symbols = shared.tape.recording().symbols();
                    for (silenced, name) in self.silenced.iter_mut().zip(symbols) {
                        if symbol.as_deref().is_none_or(|symbol| symbol == &**name) {
                            *silenced = Some(until);
                        }
                    }
                }
                Fault::Duplicate(count) => {
                    for number in self.cursor.saturating_sub(count)..self.cursor {
                        self.put(number, now, out);
                    }
                }
                Fault::Skip(count) => self.skip_to = self.cursor + count,
                Fault::Reorder(count) => self.shuffle_to = self.cursor + count,
                Fault::Late(ms) => self.late_until = Some(now + Duration::from_millis(ms)),
                Fault::Drop | Fault::Close(_) | Fault::HalfOpen | Fault::Shutdown { .. } => {
                    for_connection.push(fault);
                }
                // These strike requests, or are there from the beginning.
                Fault::Refuse(_)
                | Fault::RateLimited { .. }
                | Fault::Banned { .. }
                | Fault::ServerError { .. }
                | Fault::Slow { .. }
                | Fault::Hole { .. } => {}
            }
        }
        for_connection
    }

    /// Puts what is due into `out`; whether there is more to do at once.
    pub(crate) fn deliver(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let shared = self.shared.clone();
        if !self.wants_any() {
            self.cursor = shared.clock.position(&shared.tape, now);
            return false;
        }
        if self.late_until.is_some_and(|until| now < until) {
            return false;
        }
        self.late_until = None;
        let due = shared.clock.due(&shared.tape, now);
        if self.cursor < self.shuffle_to {
            let end = self.shuffle_to.min(shared.tape.total());
            if due < end {
                return false;
            }
            let mut numbers: Vec<u64> = (self.cursor..end).collect();
            numbers.shuffle(&mut self.random);
            numbers.into_iter().for_each(|number| self.put(number, now, out));
            self.cursor = end;
            self.shuffle_to = 0;
        }
        let end = due.min(self.fault_at);
        while self.cursor < end && out.len() < CHUNK_BYTES {
            self.put(self.cursor, now, out);
            self.cursor += 1;
        }
        shared.clock.reach(self.cursor);
        self.cursor < due
    }

    fn put(&self, number: u64, now: Instant, out: &mut Vec<u8>) {
        let tape = &self.shared.tape;
        let symbol = tape.symbol_of(number);
        if !self.wanted[symbol]
            || number < self.skip_to
            || self.silenced[symbol].is_some_and(|until| now < until)
        {
            return;
        }
        if !self.holes.is_empty() {
            let trade = tape.trade(number);
            if self
                .holes
                .iter()
                .any(|h| h.hides(&trade.symbol, trade.trade_id))
            {
                return;
            }
        }
        tape.frame(number, self.form, out);
        self.shared.counts.frames.fetch_add(1, Ordering::Relaxed);
    }

    /// When the next trade is to be sent, if the clock runs and one is left.
    pub(crate) fn next_moment(&self) -> Option<Instant> {
        let shared = &self.shared;
        let total = shared.tape.total();
        if !self.wants_any() || self.cursor >= total {
            return None;
        }
        let number = if self.cursor < self.shuffle_to {
            self.shuffle_to.min(total) - 1
        } else {
            self.cursor
        };
        let moment = shared.clock.moment(&shared.tape, number)?;
        Some(self.late_until.map_or(moment, |until| until.max(moment)))
    }
}
