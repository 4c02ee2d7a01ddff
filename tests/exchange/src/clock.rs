//! The replay's clock: how far the exchange has come at a given moment.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::tape::Tape;

/// How fast the recording goes by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Speed {
    /// As recorded, this many times faster.
    Realtime(f64),
    /// Evenly, this many trades a second.
    PerSecond(f64),
    /// As fast as the connections take it; stands still while there is none.
    Unlimited,
}

/// The text names no speed.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no speed: use `60x`, `5000/s` or `max`")]
pub struct NotASpeed(String);

impl FromStr for Speed {
    type Err = NotASpeed;
    fn from_str(text: &str) -> Result<Speed, NotASpeed> {
        let number = |digits: &str| {
            digits
                .parse::<f64>()
                .ok()
                .filter(|n| n.is_finite() && *n > 0.0)
                .ok_or_else(|| NotASpeed(text.to_owned()))
        };
        if text == "max" {
            Ok(Speed::Unlimited)
        } else if let Some(factor) = text.strip_suffix('x') {
            Ok(Speed::Realtime(number(factor)?))
        } else if let Some(rate) = text.strip_suffix("/s") {
            Ok(Speed::PerSecond(number(rate)?))
        } else {
            Err(NotASpeed(text.to_owned()))
        }
    }
}

/// Position means: all trades with a smaller number have happened.
pub(crate) struct Clock {
    speed: Speed,
    started: watch::Sender<Option<Instant>>,
    /// Unlimited: the furthest that any connection has come.
    reached: AtomicU64,
}

impl Clock {
    pub(crate) fn new(speed: Speed) -> Clock {
        Clock {
            speed,
            started: watch::Sender::new(None),
            reached: AtomicU64::new(0),
        }
    }

    /// Starts it, if it does not run yet.
    pub(crate) fn start(&self, now: Instant) {
        self.started.send_if_modified(|started| {
            let first = started.is_none();
            started.get_or_insert(now);
            first
        });
    }

    pub(crate) fn started(&self) -> watch::Receiver<Option<Instant>> {
        self.started.subscribe()
    }

    /// How many trades have happened: what REST knows, and where a new
    /// subscription begins.
    pub(crate) fn position(&self, tape: &Tape, now: Instant) -> u64 {
        match self.speed {
            Speed::Unlimited => self.reached.load(Ordering::Acquire),
            Speed::Realtime(_) | Speed::PerSecond(_) => self.due(tape, now),
        }
    }

    /// How far a connection may go now.
    pub(crate) fn due(&self, tape: &Tape, now: Instant) -> u64 {
        let Some(start) = *self.started.borrow() else {
            return 0;
        };
        let elapsed = now.saturating_duration_since(start);
        match self.speed {
            Speed::Unlimited => tape.total(),
            Speed::PerSecond(rate) => ((elapsed.as_secs_f64() * rate) as u64)
                .saturating_add(1)
                .min(tape.total()),
            Speed::Realtime(factor) => {
                let passed_ns = (elapsed.as_nanos() as f64 * factor) as i64;
                partition(tape.total(), |number| tape.offset_ns(number) <= passed_ns)
            }
        }
    }

    /// When trade `number` happens; none while the clock does not run.
    pub(crate) fn moment(&self, tape: &Tape, number: u64) -> Option<Instant> {
        let start = (*self.started.borrow())?;
        let after = match self.speed {
            Speed::Unlimited => Duration::ZERO,
            Speed::PerSecond(rate) => Duration::from_secs_f64(number as f64 / rate),
            Speed::Realtime(factor) => {
                Duration::from_secs_f64(tape.offset_ns(number) as f64 / 1e9 / factor)
            }
        };
        Some(start + after)
    }

    /// A connection has come so far.
    pub(crate) fn reach(&self, number: u64) {
        self.reached.fetch_max(number, Ordering::AcqRel);
    }
}

/// The first number for which `passed` no longer holds.
fn partition(total: u64, passed: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, total);
    while low < high {
        let middle = low + (high - low) / 2;
        if passed(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Recording;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn a_trade_is_due_from_its_moment_on() {
        let tape = Tape::new(Arc::new(Recording::spot().unwrap().first(500)), 2);
        for speed in [Speed::Realtime(60.0), Speed::PerSecond(250.0)] {
            let clock = Clock::new(speed);
            let now = Instant::now();
            assert_eq!(clock.due(&tape, now), 0);
            assert_eq!(clock.moment(&tape, 3), None);
            clock.start(now);
            for number in (0..tape.total()).step_by(61) {
                let moment = clock.moment(&tape, number).unwrap();
                let after = moment + Duration::from_micros(1);
                assert!(clock.due(&tape, after) > number, "{speed:?} {number}");
            }
            assert!(clock.due(&tape, now) < 10);
            let end = now + Duration::from_secs(3600);
            assert_eq!(clock.due(&tape, end), tape.total());
        }
    }

    #[test]
    fn speeds_are_read() {
        assert_eq!("60x".parse::<Speed>().unwrap(), Speed::Realtime(60.0));
        assert_eq!("264.5/s".parse::<Speed>().unwrap(), Speed::PerSecond(264.5));
        assert_eq!("max".parse::<Speed>().unwrap(), Speed::Unlimited);
        for wrong in ["", "x", "0x", "-1/s", "fast", "infx"] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
    }
}
