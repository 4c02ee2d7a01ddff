//! What has been decided, on its way into batches.

use std::collections::VecDeque;

use jackfield_sdk::source::{Feed, Feeds, Full, PollLimits, Polled, Position, RejectedEvent};
use jackfield_sdk::{Counts, Failure};
use serde::{Deserialize, Serialize};

use crate::continuity::Step;
use crate::trade::{GapRecord, Trade, TradeRecord};

const TRADE: u32 = 0;
const GAP: u32 = 1;

/// Bytes of an event that go into its dead letter as an excerpt.
pub(crate) const EXCERPT_BYTES_MAX: usize = 1024;

/// Why a gap's trades are taken as missing.
const GAP_REASON: &str = "the exchange's REST interface has no such trades";

/// A position's partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Partition {
    /// Upper case.
    pub symbol: String,
}

/// A position's offset. Other fields are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offset {
    /// The last id that was taken, or recorded as missing.
    pub trade_id: i64,
    /// Of the last trade, µs since the epoch: for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade_time: Option<i64>,
}

#[derive(Debug)]
struct Mark {
    partition: Partition,
    offset: Option<Offset>,
    changed: bool,
}

#[derive(Debug)]
struct Queued {
    symbol: usize,
    event: u64,
    received_us: i64,
    step: Step,
}

/// The way from steps to batches, positions and counts of a poll.
///
/// What does not fit this poll's batches waits, and nothing else may overtake it: while
/// [`Outlet::is_blocked`] no further event is to be taken.
#[derive(Debug)]
pub(crate) struct Outlet {
    feeds: Feeds,
    queue: VecDeque<Queued>,
    marks: Vec<Mark>,
    changed: Vec<usize>,
    counts: Counts,
    rejected: Vec<RejectedEvent>,
    broken: Option<Failure>,
}

impl Outlet {
    /// An outlet for these symbols.
    pub(crate) fn new(symbols: &[String], offsets: Vec<Option<Offset>>) -> Self {
        let marks = symbols.iter().zip(offsets).map(|(symbol, offset)| Mark {
            partition: Partition {
                symbol: symbol.clone(),
            },
            offset,
            changed: false,
        });
        Self {
            feeds: Feeds::new(vec![
                Feed::avro::<TradeRecord<'_>>("trade"),
                Feed::avro::<GapRecord<'_>>("gap"),
            ]),
            queue: VecDeque::new(),
            marks: marks.collect(),
            changed: Vec::new(),
            counts: Counts::default(),
            rejected: Vec::new(),
            broken: None,
        }
    }

    /// The feeds that it fills.
    pub(crate) fn feeds(&self) -> Vec<Feed> {
        self.feeds.all()
    }

    /// Begins a poll: what waited goes first.
    pub(crate) fn begin(&mut self, limits: &PollLimits) {
        self.feeds.begin(limits);
        while let Some(first) = self.queue.pop_front() {
            if !self.write(&first) {
                self.queue.push_front(first);
                break;
            }
        }
    }

    /// Whether something waits for the next poll.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether this poll has anything to give yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.feeds.is_empty() && self.rejected.is_empty()
    }

    /// The first event of which something waits.
    pub(crate) fn first_waiting(&self) -> Option<u64> {
        self.queue.iter().map(|it| it.event).min()
    }

    /// Takes a symbol's next step, which came with `event`.
    pub(crate) fn step(&mut self, symbol: usize, event: u64, received_us: i64, step: Step) {
        let event = match &step {
            Step::Live(_, with) => *with,
            Step::Fetched(_) | Step::Missing(..) | Step::Bad { .. } => event,
        };
        let queued = Queued {
            symbol,
            event,
            received_us,
            step,
        };
        if self.is_blocked() || !self.write(&queued) {
            self.queue.push_back(queued);
        }
    }

    /// Counts a trade that had been seen before.
    pub(crate) fn duplicate(&mut self) {
        self.counts.duplicates += 1;
    }

    /// An event that can never become a record.
    pub(crate) fn reject(&mut self, event: u64, reason: String, bytes: &[u8]) {
        let excerpt = bytes[..bytes.len().min(EXCERPT_BYTES_MAX)].to_vec();
        self.rejected.push(RejectedEvent {
            event,
            reason,
            excerpt,
        });
    }

    /// False when a batch is full.
    fn write(&mut self, it: &Queued) -> bool {
        let mark = &self.marks[it.symbol];
        let symbol = mark.partition.symbol.as_str();
        let key = Some(symbol.as_bytes());
        let written = match &it.step {
            Step::Live(trade, _) | Step::Fetched(trade) => {
                let timestamp_ms = trade.received_us.div_euclid(1000);
                self.feeds
                    .push(TRADE, timestamp_ms, key, &TradeRecord { symbol, trade })
            }
            Step::Missing(from_id, to_id) => {
                let (from_id, to_id) = (*from_id, *to_id);
                let record = GapRecord {
                    symbol,
                    from_id,
                    to_id,
                    reason: GAP_REASON,
                    detected_us: it.received_us,
                };
                self.feeds
                    .push(GAP, it.received_us.div_euclid(1000), key, &record)
            }
            Step::Bad { .. } => Ok(()),
        };
        match written {
            Ok(()) => {}
            Err(Full::BatchIsFull) => return false,
            Err(error) => {
                let why = format!("a record of {symbol} goes into no batch: {error}");
                self.broken = Some(Failure::Broken(why));
                return false;
            }
        }
        match &it.step {
            Step::Live(trade, _) => self.landed(it.symbol, trade),
            Step::Fetched(trade) => {
                self.counts.recovered += 1;
                self.landed(it.symbol, trade);
            }
            Step::Missing(from_id, to_id) => {
                let ids = to_id.saturating_sub(*from_id).saturating_add(1);
                self.counts.missing += ids.unsigned_abs();
                self.moved(it.symbol, *to_id, None);
            }
            Step::Bad { id, reason, text } => {
                self.reject(it.event, reason.clone(), text.as_bytes());
                self.moved(it.symbol, *id, None);
            }
        }
        true
    }

    fn landed(&mut self, symbol: usize, trade: &Trade) {
        let newest = trade.event_time_us.unwrap_or(trade.trade_time_us);
        self.counts.saw_event_time(newest.div_euclid(1000));
        self.moved(symbol, trade.trade_id, Some(trade.trade_time_us));
    }

    fn moved(&mut self, symbol: usize, trade_id: i64, trade_time: Option<i64>) {
        let mark = &mut self.marks[symbol];
        let trade_time = trade_time.or(mark.offset.and_then(|it| it.trade_time));
        mark.offset = Some(Offset {
            trade_id,
            trade_time,
        });
        if !mark.changed {
            mark.changed = true;
            self.changed.push(symbol);
        }
    }

    /// Gives what this poll has.
    ///
    /// # Errors
    /// The limits can't hold a single record.
    pub(crate) fn finish(&mut self) -> Result<Polled, Failure> {
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        self.counts.records = self.feeds.len();
        let mut positions = Vec::with_capacity(self.changed.len());
        for symbol in self.changed.drain(..) {
            let mark = &mut self.marks[symbol];
            mark.changed = false;
            let offset = mark.offset.expect("a mark that changed has an offset");
            positions.push(Position::new(&mark.partition, &offset)?);
        }
        Ok(Polled {
            outputs: self.feeds.finish(),
            rejected: std::mem::take(&mut self.rejected),
            positions,
            counts: std::mem::take(&mut self.counts),
            ..Polled::default()
        })
    }
}
