//! What becomes of REST's answers.

use std::time::Duration;

use jackfield_sdk::Failure;
use jackfield_sdk::batch::event::Event;

use super::{BinanceSource, give};
use crate::fetcher::Purpose;
use crate::rest::{Asked, Item, Outcome};

/// After an audit has found a trade that did not come live: time for it to come yet.
const SUSPECT_FOR: Duration = Duration::from_secs(3);
/// Answers in a row in which REST knows nothing of trades that were announced live, until the
/// announcement is no longer believed: about two minutes.
const UNKNOWN_TO_REST_MAX: u32 = 10;

impl BinanceSource {
    pub(super) fn take_answer(
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
}
