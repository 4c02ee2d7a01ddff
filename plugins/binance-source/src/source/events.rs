//! What becomes of an event.

use std::time::Duration;

use jackfield_sdk::batch::event::{Closed, Event, Kind, RequestFailed, Response};

use super::{BinanceSource, give};
use crate::continuity::Verdict;
use crate::fetcher::Purpose;
use crate::frame::{self, Frame};
use crate::rest::{self, Asked};
use crate::trade::Trade;

/// From a jump to the question for what lies between: what only comes in another order needs no
/// question.
const GAP_GRACE: Duration = Duration::from_millis(50);
/// Kinds of events that are not taken and were logged: bounded, since the kinds are the exchange's.
const OTHERS_LOGGED_MAX: usize = 16;

impl BinanceSource {
    pub(super) fn take_events(&mut self, now: Duration) {
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
}
