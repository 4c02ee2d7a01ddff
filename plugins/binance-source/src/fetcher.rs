//! When which symbol's trades are asked of REST.

use std::time::Duration;

use jackfield_sdk::Failure;
use jackfield_sdk::source::{Backoff, Host, HttpError};

use crate::budget::Budget;
use crate::rest::{Asked, PAGE_TRADES_MAX};
use crate::settings::{FETCH_WEIGHT, Settings};

/// Requests on their way at once: enough to hide the round trip, few enough to stop in time when
/// the exchange says so.
const IN_FLIGHT_MAX: usize = 4;
/// What audits may use of the budget, in percent: what is known to be missing goes first.
const AUDIT_SHARE: u32 = 50;
/// First and longest wait after a failure.
const AGAIN_FIRST: Duration = Duration::from_millis(250);
const AGAIN_LONGEST: Duration = Duration::from_secs(30);
/// The host answers within the time-out; after so much more the answer is taken as lost.
const LOST_AFTER: Duration = Duration::from_secs(5);
/// Trades of one answer, when answers turn out to be too large for the host.
const PAGE_TRADES_MIN: u32 = 50;
/// Spread of the first request after a pause.
const PAUSE_SPREAD: Duration = Duration::from_secs(1);

/// Why trades are asked for; the first is the most urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// Trades are known to be missing.
    Gap,
    /// A connection is new: trades before it may be missing.
    CatchUp,
    /// No trade came for a while.
    Audit,
}

impl Purpose {
    fn share(self) -> u32 {
        match self {
            Self::Gap | Self::CatchUp => 100,
            Self::Audit => AUDIT_SHARE,
        }
    }
}

#[derive(Debug)]
struct Flying {
    request: u64,
    purpose: Purpose,
    lost_at: Duration,
}

#[derive(Debug)]
struct Symbol {
    want: Option<(Purpose, Duration)>,
    flying: Option<Flying>,
    not_before: Duration,
    backoff: Backoff,
}

/// One at a time for each symbol, the most urgent first, within the budget.
#[derive(Debug)]
pub(crate) struct Fetcher {
    symbols: Vec<Symbol>,
    budget: Budget,
    /// No request before: the exchange has said so.
    paused_until: Duration,
    /// The budget allows the next one then.
    budget_at: Duration,
    page_trades: u32,
    timeout: Duration,
}

impl Fetcher {
    /// For so many symbols.
    pub(crate) fn new(settings: &Settings, symbols: usize) -> Self {
        let symbol = || Symbol {
            want: None,
            flying: None,
            not_before: Duration::ZERO,
            backoff: Backoff::new(AGAIN_FIRST, AGAIN_LONGEST),
        };
        Self {
            symbols: std::iter::repeat_with(symbol).take(symbols).collect(),
            budget: Budget::new(settings.weight_per_minute, Duration::from_secs(60)),
            paused_until: Duration::ZERO,
            budget_at: Duration::ZERO,
            page_trades: PAGE_TRADES_MAX,
            timeout: settings.request_timeout.0,
        }
    }

    /// Trades that one request may ask for.
    pub(crate) fn page_trades(&self) -> u32 {
        self.page_trades
    }

    /// Until when nothing may be asked.
    pub(crate) fn paused_until(&self) -> Duration {
        self.paused_until
    }

    /// Nothing may be asked until then.
    pub(crate) fn pause_until(&mut self, until: Duration) {
        self.paused_until = self.paused_until.max(until);
    }

    /// The exchange wants no request for so long.
    pub(crate) fn pause(&mut self, host: &Host, now: Duration, pause: Duration) {
        self.pause_until(now + pause + PAUSE_SPREAD.mul_f64(host.fraction()));
    }

    /// Asks for a symbol's trades at `at` or as soon as may be. What was wanted before stays, the
    /// more urgent of the two.
    pub(crate) fn want(&mut self, symbol: usize, purpose: Purpose, at: Duration) {
        let want = &mut self.symbols[symbol].want;
        *want = Some(match *want {
            Some((before, due)) => (before.min(purpose), due.min(at)),
            None => (purpose, at),
        });
    }

    /// Whether a request is wanted or on its way.
    pub(crate) fn is_busy(&self, symbol: usize) -> bool {
        let it = &self.symbols[symbol];
        it.want.is_some() || it.flying.is_some()
    }

    /// Whether trades that may be missing are to be asked for, or are being.
    pub(crate) fn is_catching_up(&self, symbol: usize) -> bool {
        let it = &self.symbols[symbol];
        let wanted = it.want.map(|(purpose, _)| purpose);
        let flying = it.flying.as_ref().map(|it| it.purpose);
        [wanted, flying]
            .into_iter()
            .flatten()
            .any(|purpose| match purpose {
                Purpose::Gap | Purpose::CatchUp => true,
                Purpose::Audit => false,
            })
    }

    /// An answer came. Gives why it was asked for; none when this instance has not.
    pub(crate) fn landed(&mut self, symbol: usize, request: u64) -> Option<Purpose> {
        let flying = &mut self.symbols[symbol].flying;
        let ours = flying.as_ref().is_some_and(|it| it.request == request);
        flying.take_if(|_| ours).map(|it| it.purpose)
    }

    /// It worked.
    pub(crate) fn succeeded(&mut self, symbol: usize) {
        self.symbols[symbol].backoff.reset();
    }

    /// It did not work, or not yet: again after a while.
    pub(crate) fn again(&mut self, host: &Host, symbol: usize, purpose: Purpose, now: Duration) {
        let it = &mut self.symbols[symbol];
        it.not_before = now + it.backoff.next(host);
        self.want(symbol, purpose, now);
    }

    /// Answers are too large for the host: asks for less. False when it can't be less.
    pub(crate) fn smaller_pages(&mut self) -> bool {
        let smaller = (self.page_trades / 2).max(PAGE_TRADES_MIN);
        let could = smaller < self.page_trades;
        self.page_trades = smaller;
        could
    }

    /// Starts what is due. `asked` says what to ask for, or that it is needed no longer.
    ///
    /// # Errors
    /// The grant or the address is wrong.
    pub(crate) fn tick(
        &mut self,
        host: &Host,
        settings: &Settings,
        now: Duration,
        asked: impl Fn(usize, Purpose) -> Option<Asked>,
    ) -> Result<(), Failure> {
        self.forget_lost(host, now);
        if now < self.paused_until {
            return Ok(());
        }
        let mut in_flight = self.symbols.iter().filter(|it| it.flying.is_some()).count();
        let mut due: Vec<(Purpose, Duration, usize)> = (0..self.symbols.len())
            .filter_map(|at| {
                self.symbols[at]
                    .due()
                    .map(|(purpose, due)| (purpose, due, at))
            })
            .filter(|(_, due, _)| now >= *due)
            .collect();
        due.sort_unstable();
        for (purpose, _, at) in due {
            let Some(asked) = asked(at, purpose) else {
                self.symbols[at].want = None;
                continue;
            };
            if in_flight == IN_FLIGHT_MAX {
                break;
            }
            if let Err(later) = self.budget.spend(now, FETCH_WEIGHT, purpose.share()) {
                self.budget_at = later;
                break;
            }
            let timeout_ms = u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX);
            match host.request(&asked.request(settings), timeout_ms, &asked.note()) {
                Ok(request) => {
                    let lost_at = now + self.timeout + LOST_AFTER;
                    self.symbols[at].flying = Some(Flying {
                        request,
                        purpose,
                        lost_at,
                    });
                    self.symbols[at].want = None;
                    in_flight += 1;
                }
                Err(HttpError::Denied(why)) => return Err(Failure::Misconfigured(why)),
                Err(error) => {
                    host.warn(format!("no request for {} for now: {error}", asked.symbol));
                    self.again(host, at, purpose, now);
                }
            }
        }
        Ok(())
    }

    fn forget_lost(&mut self, host: &Host, now: Duration) {
        for at in 0..self.symbols.len() {
            let lost = self.symbols[at].flying.take_if(|it| now >= it.lost_at);
            if let Some(Flying {
                request, purpose, ..
            }) = lost
            {
                host.warn(format!("request {request} was never answered"));
                self.again(host, at, purpose, now);
            }
        }
    }

    /// When to tick again, if nothing comes before.
    pub(crate) fn due(&self) -> Duration {
        let in_flight = self.symbols.iter().filter(|it| it.flying.is_some()).count();
        let held_back = self.paused_until.max(self.budget_at);
        let wants = self
            .symbols
            .iter()
            .filter(|_| in_flight < IN_FLIGHT_MAX)
            .filter_map(Symbol::due);
        let wants = wants.map(|(_, due)| due.max(held_back));
        let lost = self
            .symbols
            .iter()
            .filter_map(|it| it.flying.as_ref().map(|it| it.lost_at));
        wants.chain(lost).min().unwrap_or(Duration::MAX)
    }
}

impl Symbol {
    /// What it wants, and when that may be.
    fn due(&self) -> Option<(Purpose, Duration)> {
        let (purpose, at) = self.want?;
        self.flying
            .is_none()
            .then_some((purpose, at.max(self.not_before)))
    }
}
