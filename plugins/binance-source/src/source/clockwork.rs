//! What time alone demands: audits, replaced connections, questions to REST.

use std::time::Duration;

use jackfield_sdk::Failure;
use jackfield_sdk::source::PollLimits;

use super::{BinanceSource, Symbol};
use crate::fetcher::Purpose;
use crate::rest::Asked;

/// Audits that find nothing are made less and less often, down to every so many times the wait.
const QUIET_FACTOR_MAX: u32 = 16;

impl BinanceSource {
    /// How long to wait for an event.
    pub(super) fn wait_ms(&self, limits: &PollLimits, now: Duration) -> u32 {
        if !self.outlet.is_empty() {
            return 0;
        }
        // Rounded up: a wait that ends just before what is due would only be followed by another.
        let until_due = self.due.saturating_sub(now).as_micros().div_ceil(1000);
        u32::try_from(until_due)
            .unwrap_or(u32::MAX)
            .min(limits.wait_ms)
    }

    pub(super) fn catch_up(&mut self, group: usize, now: Duration) {
        let connection = self.lines.connection_of(group);
        for symbol in self.lines.symbols_of(group) {
            self.symbols[symbol].unheard = connection;
            self.fetcher.want(symbol, Purpose::CatchUp, now);
        }
    }

    /// Does what the clock demands.
    pub(super) fn clockwork(&mut self, now: Duration) {
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
