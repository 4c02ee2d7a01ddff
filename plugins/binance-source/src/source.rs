//! The source: events in, batches out.

mod answers;
mod clockwork;
mod events;

use std::collections::HashMap;
use std::time::Duration;

use jackfield_sdk::source::{
    Feed, Host, Inbox, Opening, PollLimits, Polled, Slot, Source, describe,
};
use jackfield_sdk::{Delivery, Description, Failure, Finding, Saved};
use serde::{Deserialize, Serialize};

use crate::continuity::{Continuity, Step};
use crate::fetcher::Fetcher;
use crate::holds::Holds;
use crate::lines::Lines;
use crate::outlet::{Offset, Outlet, Partition};
use crate::plan::{Share, slots};
use crate::settings::Settings;

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
