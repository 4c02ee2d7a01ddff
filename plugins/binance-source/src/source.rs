//! The source: events in, batches out.

use std::collections::HashMap;
use std::time::Duration;

use jackfield_sdk::batch::event::{Closed, Event, Kind, RequestFailed, Response};
use jackfield_sdk::source::{
    Feed, Host, Inbox, Opening, PollLimits, Polled, Slot, Source, describe,
};
use jackfield_sdk::{Delivery, Description, Failure, Finding, Saved};
use serde::{Deserialize, Serialize};

use crate::continuity::{Continuity, Step, Verdict};
use crate::fetcher::{Fetcher, Purpose};
use crate::frame::{self, Frame};
use crate::holds::Holds;
use crate::lines::Lines;
use crate::outlet::{Offset, Outlet, Partition};
use crate::plan::{Share, slots};
use crate::rest::{self, Asked, Item, Outcome};
use crate::settings::Settings;
use crate::trade::Trade;

/// From a jump to the question for what lies between: what only comes in another order needs no
/// question.
const GAP_GRACE: Duration = Duration::from_millis(50);
/// After an audit has found a trade that did not come live: time for it to come yet.
const SUSPECT_FOR: Duration = Duration::from_secs(3);
/// Audits that find nothing are made less and less often, down to every so many times the wait.
const QUIET_FACTOR_MAX: u32 = 16;
/// Answers in a row in which REST knows nothing of trades that were announced live, until the
/// announcement is no longer believed: about two minutes.
const UNKNOWN_TO_REST_MAX: u32 = 10;
/// Kinds of events that are not taken and were logged: bounded, since the kinds are the exchange's.
const OTHERS_LOGGED_MAX: usize = 16;

/// One symbol.
#[derive(Debug)]
struct Symbol {
    name: String,
    continuity: Continuity,
    /// Since when no trade came and no audit was made.
    quiet_since: Duration,
    /// Audits since the last live trade.
    audits: u32,
    /// Answers in a row in which REST knew nothing of trades that were announced live.
    unknown: u32,
    /// The newest connection, while no trade has come by it: trades before it may be missing. Once
    /// one has, whatever is missing lies before it, and all after it comes live.
    unheard: Option<u64>,
    /// An audit found a trade from this id on; it must come live until then.
    suspect: Option<(i64, Duration)>,
}

/// What `save` keeps: the exchange's ban is not to be run into by the next version.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    paused_until_us: i64,
}

const STATE_VERSION: u32 = 1;

/// Trades of Binance's spot market.
#[derive(Debug)]
pub struct BinanceSource {
    host: Host,
    settings: Settings,
    inbox: Inbox,
    symbols: Vec<Symbol>,
    by_name: HashMap<String, usize>,
    lines: Lines,
    fetcher: Fetcher,
    holds: Holds,
    outlet: Outlet,
    others_logged: Vec<String>,
    /// The connection last heard, in this poll.
    heard: Option<u64>,
    /// When the clockwork must run next.
    due: Duration,
    /// What ends this source, told once everything before it is out.
    fatal: Option<Failure>,
}

impl Source for BinanceSource {
    type Settings = Settings;

    fn describe() -> Description {
        describe(
            "binance-source",
            env!("CARGO_PKG_VERSION"),
            "Trades of Binance's spot market, each once and in order.",
            Delivery::ExactlyOnce,
        )
    }

    fn check(settings: &Settings) -> Vec<Finding> {
        settings.check()
    }

    fn plan(_: &Host, settings: &Settings, slots_max: u32) -> Result<Vec<Slot>, Failure> {
        Ok(slots(&settings.symbols, slots_max))
    }

    fn open(host: Host, opening: Opening<Settings>) -> Result<Self, Failure> {
        let settings = opening.settings;
        let share: Share = serde_json::from_str(&opening.slot.settings).map_err(|error| {
            Failure::Broken(format!(
                "the slot's settings are not this source's: {error}"
            ))
        })?;
        let now = host.now();
        let offsets = offsets(&host, &opening.positions)?;
        let marks = share
            .symbols
            .iter()
            .map(|it| offsets.get(it).copied())
            .collect();
        let symbol = |name: &String| Symbol {
            name: name.clone(),
            continuity: Continuity::new(match offsets.get(name) {
                Some(offset) => offset.trade_id.checked_add(1),
                None => settings.start_at.get(name).copied(),
            }),
            quiet_since: now,
            audits: 0,
            unknown: 0,
            unheard: None,
            suspect: None,
        };
        let mut source = Self {
            inbox: Inbox::new(),
            symbols: share.symbols.iter().map(symbol).collect(),
            by_name: share.symbols.iter().cloned().zip(0..).collect(),
            lines: Lines::new(&host, &settings, &share.symbols),
            fetcher: Fetcher::new(&settings, share.symbols.len()),
            holds: Holds::default(),
            outlet: Outlet::new(&share.symbols, marks),
            others_logged: Vec::new(),
            heard: None,
            due: Duration::ZERO,
            fatal: None,
            host,
            settings,
        };
        source.restore(opening.state);
        // What the instance before had asked of REST is not known: ask again.
        for group in source.lines.adopt(&source.host, now) {
            source.catch_up(group, now);
        }
        Ok(source)
    }

    fn feeds(&self) -> Vec<Feed> {
        self.outlet.feeds()
    }

    fn poll(&mut self, limits: &PollLimits) -> Result<Polled, Failure> {
        if let Some(fatal) = self.fatal.take() {
            return Err(fatal);
        }
        self.outlet.begin(limits);
        if !self.outlet.is_blocked() {
            let mut now = self.host.now();
            self.clockwork(now);
            if self.inbox.is_empty() {
                self.inbox.refill(&self.host, self.wait_ms(limits, now))?;
                now = self.host.now();
            }
            self.take_events(now);
            self.clockwork(now);
        }
        let mut polled = self.outlet.finish()?;
        polled.done_through = self.done_through();
        polled.behind = self.behind();
        match self.fatal.take() {
            // Nothing else to give: told at once.
            Some(fatal) if polled.outputs.is_empty() => Err(fatal),
            fatal => {
                self.fatal = fatal;
                Ok(polled)
            }
        }
    }

    fn save(&mut self) -> Result<Saved, Failure> {
        let pause = self.fetcher.paused_until().saturating_sub(self.host.now());
        let pause_us = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
        let state = State {
            paused_until_us: self.host.wall_us().saturating_add(pause_us),
        };
        let bytes = serde_json::to_vec(&state).expect("a number is JSON");
        Ok(Saved {
            version: STATE_VERSION,
            bytes,
        })
    }
}

/// Where each symbol stands.
fn offsets(
    host: &Host,
    positions: &[jackfield_sdk::source::Position],
) -> Result<HashMap<String, Offset>, Failure> {
    let mut offsets = HashMap::new();
    for position in positions {
        let Some(offset) = &position.offset else {
            continue;
        };
        let Ok(Partition { symbol }) = serde_json::from_str(&position.partition) else {
            host.warn(format!(
                "a stored position is not this source's: {}",
                position.partition
            ));
            continue;
        };
        let offset: Offset = serde_json::from_str(offset).map_err(|error| {
            Failure::Misconfigured(format!(
                "the stored offset of {symbol} can't be read: {error}: {offset}"
            ))
        })?;
        offsets.insert(symbol, offset);
    }
    Ok(offsets)
}

impl BinanceSource {
    fn restore(&mut self, state: Option<Saved>) {
        let state = state.filter(|it| it.version == STATE_VERSION);
        let Some(state) = state.and_then(|it| serde_json::from_slice::<State>(&it.bytes).ok())
        else {
            return;
        };
        let left_us = state.paused_until_us.saturating_sub(self.host.wall_us());
        if let Ok(left_us) = u64::try_from(left_us) {
            self.fetcher
                .pause_until(self.host.now() + Duration::from_micros(left_us));
        }
    }

    /// Events up to here are contained in what was given.
    fn done_through(&self) -> u64 {
        let taken = self.inbox.done_through();
        let waiting = [self.holds.first(), self.outlet.first_waiting()];
        waiting
            .into_iter()
            .flatten()
            .map(|event| event - 1)
            .min()
            .map_or(taken, |done| done.min(taken))
    }

    /// Trades that are known to exist and have not come. A symbol without a connection, or whose
    /// trades before a new one have not been looked up yet, counts as one.
    fn behind(&self) -> u64 {
        let of = |(at, it): (usize, &Symbol)| {
            let connection = self.lines.connection_of(self.lines.group_of(at));
            let unknown = connection.is_none() || self.fetcher.is_catching_up(at);
            it.continuity.missing().max(u64::from(unknown))
        };
        self.symbols
            .iter()
            .enumerate()
            .map(of)
            .fold(0, u64::saturating_add)
    }

    /// How long to wait for an event.
    fn wait_ms(&self, limits: &PollLimits, now: Duration) -> u32 {
        if !self.outlet.is_empty() {
            return 0;
        }
        // Rounded up: a wait that ends just before what is due would only be followed by another.
        let until_due = self.due.saturating_sub(now).as_micros().div_ceil(1000);
        u32::try_from(until_due)
            .unwrap_or(u32::MAX)
            .min(limits.wait_ms)
    }

    fn take_events(&mut self, now: Duration) {
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut taken = 0;
        self.heard = None;
        for event in inbox.events() {
            self.take(&event, now);
            taken += 1;
            if self.outlet.is_blocked() || self.fatal.is_some() {
                break;
            }
        }
        inbox.take(taken);
        self.inbox = inbox;
        while let Some((event, hold)) = self.holds.expired(self.inbox.done_through(), now) {
            self.symbols[hold.symbol]
                .continuity
                .release(hold.trade_id, event);
        }
    }

    fn take(&mut self, event: &Event<'_>, now: Duration) {
        let received_us = event.received_ns.div_euclid(1000);
        if event.kind != Kind::Text {
            // Whatever it is, something follows from it.
            self.due = Duration::ZERO;
        }
        match event.kind {
            Kind::Text => {
                if self.heard != Some(event.id) {
                    self.heard = Some(event.id);
                    self.lines.heard(event.id, now);
                }
                self.take_frame(event, received_us, now);
            }
            Kind::Opened => self.lines.opened(event.id, now),
            Kind::Closed => {
                let why = match Closed::parse(event.body) {
                    Ok(Closed { code: 0, reason }) => reason.to_owned(),
                    Ok(Closed { code, reason }) => format!("closed with {code} {reason}"),
                    Err(error) => error.to_string(),
                };
                self.lines.closed(&self.host, event.id, &why, now);
            }
            Kind::Response => match Response::parse(event.body) {
                Ok(response) => {
                    if let Some(asked) = Asked::of_note(response.note) {
                        let outcome =
                            rest::outcome(&asked, &response, self.settings.time_unit, received_us);
                        self.take_answer(event, &asked, outcome, received_us, now);
                    }
                }
                Err(error) => self
                    .outlet
                    .reject(event.number, error.to_string(), event.body),
            },
            Kind::RequestFailed => match RequestFailed::parse(event.body) {
                Ok(failed) => {
                    if let Some(asked) = Asked::of_note(failed.note) {
                        self.take_answer(event, &asked, rest::no_answer(&failed), received_us, now);
                    }
                }
                Err(error) => self
                    .outlet
                    .reject(event.number, error.to_string(), event.body),
            },
            Kind::Binary => {
                self.outlet.reject(
                    event.number,
                    "a binary frame, where text was agreed".to_owned(),
                    event.body,
                );
            }
        }
    }

    fn take_frame(&mut self, event: &Event<'_>, received_us: i64, now: Duration) {
        match frame::read(event.body, self.settings.time_unit, received_us) {
            Frame::Trade(symbol, trade) => {
                // Of a symbol that is not this slot's: from a connection of earlier settings.
                if let Some(&symbol) = self.by_name.get(symbol.as_ref()) {
                    self.take_trade(symbol, trade, event, now);
                }
            }
            Frame::Reply { id, result } => {
                self.due = Duration::ZERO;
                self.lines.reply(&self.host, event.id, id, &result, now);
            }
            Frame::ServerShutdown => {
                self.due = Duration::ZERO;
                self.host.info(format!(
                    "the exchange will close connection {}: it is replaced",
                    event.id
                ));
                self.lines.replace_connection(event.id);
            }
            Frame::Other(kind) => self.pass_over(kind),
            Frame::Unreadable(reason) => self.outlet.reject(event.number, reason, event.body),
        }
    }

    fn pass_over(&mut self, kind: String) {
        if self.others_logged.len() < OTHERS_LOGGED_MAX && !self.others_logged.contains(&kind) {
            self.host
                .info(format!("events of a kind that is not taken: {kind}"));
            self.others_logged.push(kind);
        }
    }

    fn take_trade(&mut self, symbol: usize, trade: Trade, event: &Event<'_>, now: Duration) {
        let Self {
            symbols,
            outlet,
            holds,
            fetcher,
            ..
        } = self;
        let it = &mut symbols[symbol];
        let (id, received_us) = (trade.trade_id, trade.received_us);
        it.quiet_since = now;
        it.audits = 0;
        it.suspect.take_if(|(from, _)| id >= *from);
        it.unheard.take_if(|connection| event.id == *connection);
        let event = event.number;
        let verdict = it.continuity.live(trade, event, &mut |step| {
            give(outlet, holds, symbol, event, received_us, step);
        });
        match verdict {
            Verdict::Taken => {}
            Verdict::Seen => outlet.duplicate(),
            Verdict::Held => {
                holds.hold(event, symbol, id, now);
                if !fetcher.is_busy(symbol) {
                    fetcher.want(symbol, Purpose::Gap, now + GAP_GRACE);
                    self.due = self.due.min(now + GAP_GRACE);
                }
            }
        }
    }

    fn take_answer(
        &mut self,
        event: &Event<'_>,
        asked: &Asked,
        outcome: Outcome<'_>,
        received_us: i64,
        now: Duration,
    ) {
        let Some(&symbol) = self.by_name.get(&asked.symbol) else {
            return;
        };
        let purpose = self.fetcher.landed(symbol, event.id);
        let failed = match outcome {
            Outcome::Page(items) => {
                return match asked.from {
                    Some(from) => self.take_page(
                        event,
                        symbol,
                        from,
                        asked.limit,
                        items,
                        purpose,
                        received_us,
                        now,
                    ),
                    None => self.take_latest(symbol, &items, now),
                };
            }
            Outcome::Pause(time, why) => {
                self.host
                    .warn(format!("no requests for {} s: {why}", time.as_secs()));
                self.fetcher.pause(&self.host, now, time);
                // Not this symbol's fault: it need not wait longer than the pause.
                if let Some(purpose) = purpose {
                    self.fetcher.want(symbol, purpose, now);
                }
                return;
            }
            Outcome::TooMuch if self.fetcher.smaller_pages() => {
                if let Some(purpose) = purpose {
                    self.fetcher.want(symbol, purpose, now);
                }
                return;
            }
            Outcome::TooMuch => "the answer is too large".to_owned(),
            Outcome::Again(why) => why,
            Outcome::Never(why) => {
                self.fatal = Some(Failure::Misconfigured(format!("{}: {why}", asked.symbol)));
                return;
            }
        };
        // The answer to an instance before is not ours to repeat: all was asked anew on opening.
        if let Some(purpose) = purpose {
            self.host.warn(format!(
                "trades of {} could not be fetched: {failed}",
                asked.symbol
            ));
            self.fetcher.again(&self.host, symbol, purpose, now);
        }
    }

    fn take_latest(&mut self, symbol: usize, items: &[Item<'_>], now: Duration) {
        let latest = items.iter().rev().find_map(|item| match item {
            Item::Trade(trade) => Some(trade.trade_id),
            Item::Bad(id, _, _) => *id,
        });
        self.fetcher.succeeded(symbol);
        let it = &mut self.symbols[symbol];
        it.quiet_since = now;
        it.audits = it.audits.saturating_add(1);
        if it.continuity.latest(latest) {
            self.fetcher.want(symbol, Purpose::CatchUp, now);
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "an answer, and what is known about it"
    )]
    fn take_page(
        &mut self,
        event: &Event<'_>,
        symbol: usize,
        from: i64,
        limit: u32,
        items: Vec<Item<'_>>,
        purpose: Option<Purpose>,
        received_us: i64,
        now: Duration,
    ) {
        let Self {
            symbols,
            outlet,
            holds,
            fetcher,
            host,
            ..
        } = self;
        let it = &mut symbols[symbol];
        let full = items.len() >= limit as usize;
        let first = it.continuity.next();
        let brought = it.continuity.fetched(from, items, &mut |step| {
            give(outlet, holds, symbol, event.number, received_us, step);
        });
        it.quiet_since = now;
        let behind = it.continuity.behind();
        // That REST is busy bringing other trades says nothing about the one that was announced.
        if brought.is_some() && (full || !behind) {
            it.unknown = 0;
            fetcher.succeeded(symbol);
        }
        if let (Some(Purpose::Audit), Some(brought), Some(first)) = (purpose, brought, first) {
            it.audits = if brought == 0 {
                it.audits.saturating_add(1)
            } else {
                0
            };
            if brought > 0 {
                it.suspect = Some((first, now + SUSPECT_FOR));
            }
        }
        match brought {
            // There may be more.
            Some(_) if full && behind => fetcher.want(symbol, Purpose::Gap, now),
            Some(_) if full => fetcher.want(symbol, Purpose::CatchUp, now),
            // REST does not know yet what was announced live.
            Some(_) if behind => {
                it.unknown += 1;
                if it.unknown > UNKNOWN_TO_REST_MAX {
                    it.unknown = 0;
                    let (events, id) = it.continuity.disbelieve();
                    events.into_iter().for_each(|event| holds.done(event));
                    fetcher.succeeded(symbol);
                    let id = id.unwrap_or_default();
                    host.warn(format!(
                        "REST knows nothing of {} trades up to {id}: not believed",
                        it.name
                    ));
                } else {
                    fetcher.again(host, symbol, Purpose::Gap, now);
                }
            }
            Some(_) => {}
            // It was asked before this instance went back: what joins is asked for again.
            None if behind => fetcher.want(symbol, Purpose::Gap, now),
            None => {}
        }
    }

    fn catch_up(&mut self, group: usize, now: Duration) {
        let connection = self.lines.connection_of(group);
        for symbol in self.lines.symbols_of(group) {
            self.symbols[symbol].unheard = connection;
            self.fetcher.want(symbol, Purpose::CatchUp, now);
        }
    }

    /// Does what the clock demands.
    fn clockwork(&mut self, now: Duration) {
        if now < self.due || self.fatal.is_some() {
            return;
        }
        if let Err(failure) = self.run_clockwork(now) {
            self.fatal = Some(failure);
        }
    }

    fn run_clockwork(&mut self, now: Duration) -> Result<(), Failure> {
        let silence = self.settings.silence_after.0;
        let mut due = Duration::MAX;
        for symbol in 0..self.symbols.len() {
            let it = &mut self.symbols[symbol];
            if let Some((_, until)) = it.suspect {
                if now >= until {
                    it.suspect = None;
                    self.host.warn(format!(
                        "{} was silent while it was traded: its connection is replaced",
                        it.name
                    ));
                    let group = self.lines.group_of(symbol);
                    self.lines.replace(group);
                } else {
                    due = due.min(until);
                }
            }
            if !self.fetcher.is_busy(symbol) {
                let factor = 1u32
                    .checked_shl(it.audits)
                    .unwrap_or(QUIET_FACTOR_MAX)
                    .min(QUIET_FACTOR_MAX);
                let audit_at = it.quiet_since + silence.saturating_mul(factor);
                if now >= audit_at {
                    self.fetcher.want(symbol, Purpose::Audit, now);
                } else {
                    due = due.min(audit_at);
                }
            }
        }
        for group in self.lines.tick(&self.host, now)? {
            self.catch_up(group, now);
        }
        let Self {
            symbols,
            fetcher,
            host,
            settings,
            ..
        } = self;
        let limit = fetcher.page_trades();
        fetcher.tick(host, settings, now, |symbol, purpose| {
            let Symbol {
                name,
                continuity,
                unheard,
                ..
            } = &symbols[symbol];
            // What was missing may have come meanwhile. And REST must not run ahead of what comes
            // live: it would use up the budget that the next gap needs.
            let needed = match purpose {
                Purpose::Gap => continuity.behind(),
                Purpose::CatchUp => continuity.behind() || unheard.is_some(),
                Purpose::Audit => true,
            };
            let from = continuity.next();
            let limit = if from.is_some() { limit } else { 1 };
            needed.then(|| Asked {
                symbol: name.clone(),
                from,
                limit,
            })
        })?;
        self.due = due
            .min(self.lines.due())
            .min(self.fetcher.due())
            .min(self.holds.due(self.inbox.done_through()));
        Ok(())
    }
}

/// A symbol's next step goes out.
fn give(
    outlet: &mut Outlet,
    holds: &mut Holds,
    symbol: usize,
    event: u64,
    received_us: i64,
    step: Step,
) {
    if let Step::Live(_, with) = &step {
        holds.done(*with);
    }
    outlet.step(symbol, event, received_us, step);
}
