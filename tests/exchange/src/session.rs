//! One WebSocket connection: reads control messages, sends what is due, meets faults.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::fault::Fault;
use crate::schedule::Hole;
use crate::server::Shared;
use crate::subscriptions::Subscriptions;
use crate::tape::Form;
use crate::wire::{self, Message, Parser};

/// Written at once: large enough that system calls don't count, small enough
/// that pings and control messages are met in between.
const CHUNK_BYTES: usize = 64 * 1024;

/// A client that has been sent a close frame has so long to answer it.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// Further than any timer that matters.
const FAR: Duration = Duration::from_secs(86_400);

/// How a connection ends.
enum End {
    /// The client went away, or the server stops.
    Gone,
    /// With a close frame.
    Close(u16, &'static str),
    /// With a TCP reset.
    Reset,
    /// Not at all: the socket stays, nothing moves.
    Parked,
}

pub(crate) struct Session {
    shared: Arc<Shared>,
    number: u64,
    stream: TcpStream,
    parser: Parser,
    buffer: BytesMut,
    out: Vec<u8>,
    subscriptions: Subscriptions,
    micros: bool,
    /// Per symbol of the recording: subscribed, and silenced until then.
    wanted: Vec<bool>,
    silenced: Vec<Option<Instant>>,
    holes: Vec<Hole>,
    /// The next trade to look at, and the next that a fault waits at.
    cursor: u64,
    fault_at: u64,
    seen: Vec<usize>,
    skip_to: u64,
    shuffle_to: u64,
    late_until: Option<Instant>,
    closing_at: Option<Instant>,
    random: StdRng,
    arrivals: VecDeque<Instant>,
    opened: Instant,
    next_ping: Instant,
    /// The ping that waits for its pong.
    pinged: Option<(Vec<u8>, Instant)>,
}

impl Session {
    pub(crate) fn new(
        shared: Arc<Shared>,
        number: u64,
        stream: TcpStream,
        subscriptions: Subscriptions,
        micros: bool,
    ) -> Session {
        let now = Instant::now();
        let symbols = shared.tape.recording().symbols().len();
        Session {
            number,
            stream,
            parser: Parser::default(),
            buffer: BytesMut::new(),
            out: Vec::with_capacity(CHUNK_BYTES + 1024),
            subscriptions,
            micros,
            wanted: vec![false; symbols],
            silenced: vec![None; symbols],
            holes: Vec::new(),
            cursor: shared.clock.position(&shared.tape, now),
            fault_at: 0,
            seen: Vec::new(),
            skip_to: 0,
            shuffle_to: 0,
            late_until: None,
            closing_at: None,
            random: StdRng::seed_from_u64(shared.seed ^ number),
            arrivals: VecDeque::new(),
            opened: now,
            next_ping: now + shared.limits.ping_every,
            pinged: None,
            shared,
        }
    }

    /// Serves the connection until it ends.
    pub(crate) async fn run(mut self) {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        match end {
            End::Gone => {}
            End::Reset => {
                // An error means that the socket is gone already.
                let _ = self.stream.set_zero_linger();
            }
            End::Parked => self.shared.stop.cancelled().await,
            End::Close(code, reason) => {
                // What was answered before still goes out.
                wire::put_close(code, reason, &mut self.out);
                // The client may be gone: then there is no one to tell.
                let _ = timeout(CLOSE_WITHIN, self.farewell()).await;
            }
        }
    }

    async fn farewell(&mut self) -> std::io::Result<()> {
        self.stream.write_all(&self.out).await?;
        self.stream.shutdown().await?;
        let mut rest = [0; 1024];
        loop {
            self.stream.readable().await?;
            if self.stream.try_read(&mut rest)? == 0 {
                return Ok(());
            }
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        let mut started = self.shared.clock.started();
        let mut changed = self.shared.schedule.changed();
        self.resubscribed()?;
        loop {
            let now = Instant::now();
            self.receive(now)?;
            self.timers(now)?;
            changed.mark_unchanged();
            self.holes = self.shared.schedule.holes();
            self.meet_faults(now)?;
            let busy = self.deliver(now);
            self.flush().await?;
            if busy {
                continue;
            }
            let wake = self.next_moment(now);
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return Err(End::Gone),
                ready = self.stream.readable() => ready.map_err(|_| End::Gone)?,
                () = sleep_until(wake) => {}
                _ = started.changed() => {}
                _ = changed.changed() => {}
            }
        }
    }

    fn form(&self) -> Form {
        Form {
            combined: self.subscriptions.combined(),
            micros: self.micros,
        }
    }

    fn wants_any(&self) -> bool {
        self.wanted.contains(&true)
    }

    /// Follows a change of the subscriptions.
    fn resubscribed(&mut self) -> Result<(), End> {
        if self.subscriptions.len() > self.shared.limits.streams_per_connection {
            return Err(End::Close(1008, "Too many streams"));
        }
        let symbols = self.shared.tape.recording().symbols();
        for (wanted, symbol) in self.wanted.iter_mut().zip(symbols) {
            let stream = format!("{}@trade", symbol.to_lowercase());
            *wanted = self.subscriptions.contains(&stream);
        }
        if self.wants_any() && !self.shared.hold {
            self.shared.clock.start(Instant::now());
        }
        Ok(())
    }

    fn receive(&mut self, now: Instant) -> Result<(), End> {
        loop {
            match self.stream.try_read_buf(&mut self.buffer) {
                Ok(0) => return Err(End::Gone),
                Ok(_) => self.parse(now)?,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(End::Gone),
            }
        }
    }

    fn parse(&mut self, now: Instant) -> Result<(), End> {
        loop {
            let next = self.parser.next(&mut self.buffer);
            let Some(message) = next.map_err(|v| End::Close(v.code, v.reason))? else {
                return Ok(());
            };
            self.count_arrival(now)?;
            match message {
                Message::Text(text) => {
                    let reply = self.subscriptions.handle(&text);
                    wire::put_text(&reply, &mut self.out);
                    self.resubscribed()?;
                }
                Message::Ping(payload) => wire::put_pong(&payload, &mut self.out),
                Message::Pong(payload) => {
                    // Only the answer to our own ping counts.
                    if self
                        .pinged
                        .as_ref()
                        .is_some_and(|(sent, _)| *sent == payload)
                    {
                        self.pinged = None;
                    }
                }
                Message::Binary => return Err(End::Close(1003, "Text only")),
                Message::Close => return Err(End::Close(1000, "")),
            }
        }
    }

    fn count_arrival(&mut self, now: Instant) -> Result<(), End> {
        let window = Duration::from_secs(1);
        while self
            .arrivals
            .front()
            .is_some_and(|then| now - *then >= window)
        {
            self.arrivals.pop_front();
        }
        if self.arrivals.len() >= self.shared.limits.messages_per_second {
            return Err(End::Close(1008, "Too many requests"));
        }
        self.arrivals.push_back(now);
        Ok(())
    }

    fn timers(&mut self, now: Instant) -> Result<(), End> {
        let limits = &self.shared.limits;
        if self.closing_at.is_some_and(|at| now >= at) {
            return Err(End::Close(1001, "Server is shutting down"));
        }
        if now - self.opened >= limits.connection_age {
            return Err(End::Close(1001, "Connection is too old"));
        }
        let missed = |(_, sent): &(Vec<u8>, Instant)| now - *sent >= limits.pong_within;
        if self.pinged.as_ref().is_some_and(missed) {
            return Err(End::Close(1008, "Pong timeout"));
        }
        if now >= self.next_ping {
            self.next_ping = now + limits.ping_every;
            if self.pinged.is_none() {
                let payload = (now - self.opened).as_millis().to_string().into_bytes();
                wire::put_ping(&payload, &mut self.out);
                self.pinged = Some((payload, now));
            }
        }
        Ok(())
    }

    fn meet_faults(&mut self, now: Instant) -> Result<(), End> {
        let opened = self.shared.counts.connections.load(Ordering::Acquire);
        let schedule = &self.shared.schedule;
        let strike = schedule.strike(self.number, opened, self.cursor, &mut self.seen);
        self.fault_at = strike.next_at;
        for fault in strike.faults {
            match fault {
                Fault::Drop => return Err(End::Reset),
                Fault::Close(code) => return Err(End::Close(code, "")),
                Fault::HalfOpen => return Err(End::Parked),
                Fault::Silence { symbol, for_ms } => {
                    let until = now + for_ms.map_or(FAR, Duration::from_millis);
                    let symbols = self.shared.tape.recording().symbols();
                    for (silenced, name) in self.silenced.iter_mut().zip(symbols) {
                        if symbol.as_deref().is_none_or(|symbol| symbol == &**name) {
                            *silenced = Some(until);
                        }
                    }
                }
                Fault::Shutdown { lead_ms } => {
                    self.announce_shutdown();
                    self.closing_at = Some(now + Duration::from_millis(lead_ms));
                }
                Fault::Duplicate(count) => {
                    for number in self.cursor.saturating_sub(count)..self.cursor {
                        self.put(number, now);
                    }
                }
                Fault::Skip(count) => self.skip_to = self.cursor + count,
                Fault::Reorder(count) => self.shuffle_to = self.cursor + count,
                Fault::Late(ms) => self.late_until = Some(now + Duration::from_millis(ms)),
                Fault::Refuse(_)
                | Fault::RateLimited { .. }
                | Fault::Banned { .. }
                | Fault::ServerError { .. }
                | Fault::Slow { .. }
                | Fault::Hole { .. } => {}
            }
        }
        Ok(())
    }

    fn announce_shutdown(&mut self) {
        let unit = if self.micros { 1000 } else { 1 };
        let time = self.shared.exchange_time_ms() * unit;
        let event = format!(r#"{{"e":"serverShutdown","E":{time}}}"#);
        let text = if self.subscriptions.combined() {
            format!(r#"{{"stream":"!serverShutdown","data":{event}}}"#)
        } else {
            event
        };
        wire::put_text(&text, &mut self.out);
    }

    /// Puts what is due into `out`; whether there is more to do at once.
    fn deliver(&mut self, now: Instant) -> bool {
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
            numbers.into_iter().for_each(|number| self.put(number, now));
            self.cursor = end;
            self.shuffle_to = 0;
        }
        let end = due.min(self.fault_at);
        while self.cursor < end && self.out.len() < CHUNK_BYTES {
            self.put(self.cursor, now);
            self.cursor += 1;
        }
        shared.clock.reach(self.cursor);
        self.cursor < due
    }

    fn put(&mut self, number: u64, now: Instant) {
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
        tape.frame(number, self.form(), &mut self.out);
        self.shared.counts.frames.fetch_add(1, Ordering::Relaxed);
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            // Whoever has nothing to send must not starve the others either.
            return Ok(());
        }
        // A client that reads nothing for so long could not pong either.
        let write = self.stream.write_all(&self.out);
        let written = tokio::select! {
            () = self.shared.stop.cancelled() => return Err(End::Gone),
            written = timeout(self.shared.limits.pong_within, write) => written,
        };
        match written {
            Ok(Ok(())) => {
                self.out.clear();
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(End::Reset),
        }
    }

    /// When there is something to do next, if nothing happens before.
    fn next_moment(&self, now: Instant) -> Instant {
        let shared = &self.shared;
        let next_trade = (self.wants_any() && self.cursor < shared.tape.total())
            .then(|| {
                let number = match self.cursor < self.shuffle_to {
                    true => self.shuffle_to.min(shared.tape.total()) - 1,
                    false => self.cursor,
                };
                shared.clock.moment(&shared.tape, number)
            })
            .flatten()
            .map(|moment| self.late_until.unwrap_or(moment).max(moment));
        let pong = self
            .pinged
            .as_ref()
            .map(|(_, sent)| *sent + shared.limits.pong_within);
        [next_trade, pong, self.closing_at, Some(self.next_ping)]
            .into_iter()
            .flatten()
            .chain([self.opened + shared.limits.connection_age])
            .min()
            .unwrap_or(now + FAR)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.counts.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A seed that differs from run to run, for those who give none.
pub(crate) fn fresh_seed() -> u64 {
    rand::rng().random()
}
