//! Which events are held back, and for how long.
//!
//! An event whose trade waits is not done: the host keeps it and all that come after. So holding
//! is bounded, in events and in time. A trade that is held too long is let go: its symbol's
//! position is before it, and REST will bring it.

use std::collections::BTreeMap;
use std::time::Duration;

/// Events that the host may have to keep because of the first one held, for longer than
/// [`HELD_MIN`]: some megabytes.
const EVENTS_MAX: u64 = 20_000;
/// However many events come, REST has so long to tell what is missing. At worst the host's inbox
/// is full for so long and the exchange must wait; what is let go sooner costs more, since each
/// trade that comes meanwhile must then be had from REST, within its budget.
const HELD_MIN: Duration = Duration::from_secs(5);
/// Longest time to hold a trade: while REST does not answer, the host's memory is worth more than
/// the live trade's event time.
const HELD_MAX: Duration = Duration::from_secs(20);

/// Events that are held back.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    by_event: BTreeMap<u64, Hold>,
}

/// A trade that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold {
    /// Its symbol.
    pub symbol: usize,
    /// Its id.
    pub trade_id: i64,
    since: Duration,
}

impl Holds {
    /// An event's trade waits.
    pub(crate) fn hold(&mut self, event: u64, symbol: usize, trade_id: i64, now: Duration) {
        self.by_event.insert(
            event,
            Hold {
                symbol,
                trade_id,
                since: now,
            },
        );
    }

    /// An event's trade waits no longer.
    pub(crate) fn done(&mut self, event: u64) {
        if !self.by_event.is_empty() {
            self.by_event.remove(&event);
        }
    }

    /// The first event that is held.
    pub(crate) fn first(&self) -> Option<u64> {
        self.by_event.keys().next().copied()
    }

    /// Takes out the first hold that has lasted too long; `last_event` is the last one taken.
    pub(crate) fn expired(&mut self, last_event: u64, now: Duration) -> Option<(u64, Hold)> {
        let (event, hold) = self.by_event.first_key_value()?;
        let over = now >= hold.since + Self::held_max(*event, last_event);
        if over {
            self.by_event.pop_first()
        } else {
            None
        }
    }

    /// When the next hold expires, if no event comes before; `last_event` is the last one taken.
    pub(crate) fn due(&self, last_event: u64) -> Duration {
        let first = self.by_event.first_key_value();
        first.map_or(Duration::MAX, |(event, hold)| {
            hold.since + Self::held_max(*event, last_event)
        })
    }

    fn held_max(event: u64, last_event: u64) -> Duration {
        if last_event.saturating_sub(event) >= EVENTS_MAX {
            HELD_MIN
        } else {
            HELD_MAX
        }
    }
}
