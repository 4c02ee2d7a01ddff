//! The records of two versions, compared.
//!
//! Two versions may batch the same records differently, and interleave keys differently. So they
//! are compared as sequences, one for each feed and key; where the heads of two sequences differ,
//! a bounded window of both is looked through for where they meet again.

mod found;
mod lane;
#[cfg(test)]
mod tests;

use bytes::Bytes;
pub use found::{Compared, Difference, DifferenceKind, FeedCompared};
use jackfield_batch::{Batch, Limits, Malformed, Record};
use jackfield_plugin::{Feed, RejectedEvent, Schema};
use lane::{Kept, Lane, Side, settle};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Sequences of a feed: keys that share one are rarely interleaved otherwise by a new version.
const LANES: u64 = 4096;
/// Bytes of records that wait for their like of the other version.
pub(crate) const WAITING_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Which events records may come of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// The highest event that had been given when they came; 0: they come of no event.
    pub given: u64,
}

/// What each of the two has taken for certain, at the end.
#[derive(Debug, Clone, Copy)]
struct Ends {
    running: u64,
    new: u64,
}

impl Ends {
    /// Whether a record of one version must have its like in the other by now.
    fn due(&self, side: Side, basis: Basis) -> bool {
        let done = match side {
            Side::Running => self.new,
            Side::New => self.running,
        };
        basis.given > 0 && basis.given <= done
    }
}

/// A feed's schemas of values and of keys.
type Schemas = (Schema, Option<Schema>);

/// Compares as records come, of either version in any order.
#[derive(Debug, Default)]
pub struct Comparison {
    compared: Compared,
    lanes: HashMap<(String, u64), Lane>,
    schemas: BTreeMap<String, [Option<Schemas>; 2]>,
    running_feeds: Vec<String>,
    new_feeds: Vec<String>,
    waiting_bytes: [usize; 2],
}

impl Comparison {
    /// The running version told these feeds.
    pub fn running_feeds(&mut self, feeds: &[Feed]) {
        self.told(Side::Running, feeds);
    }

    /// The new version told these feeds.
    pub fn new_feeds(&mut self, feeds: &[Feed]) {
        self.told(Side::New, feeds);
    }

    fn told(&mut self, side: Side, feeds: &[Feed]) {
        for feed in feeds {
            match side {
                Side::Running => self.running_feeds.push(feed.name.clone()),
                Side::New => self.new_feeds.push(feed.name.clone()),
            }
            let schemas = self.schemas.entry(feed.name.clone()).or_default();
            schemas[side as usize] = Some((feed.value.clone(), feed.key.clone()));
        }
    }

    /// A batch of the running version.
    ///
    /// # Errors
    /// It is malformed.
    pub fn running(&mut self, feed: u32, batch: Vec<u8>, basis: Basis) -> Result<(), Malformed> {
        let name = self.running_feeds.get(feed as usize).cloned();
        self.batch(Side::Running, name.unwrap_or_default(), batch, basis)
    }

    /// A batch of the new version.
    ///
    /// # Errors
    /// It is malformed.
    pub fn new_version(
        &mut self,
        feed: u32,
        batch: Vec<u8>,
        basis: Basis,
    ) -> Result<(), Malformed> {
        let name = self.new_feeds.get(feed as usize).cloned();
        self.batch(Side::New, name.unwrap_or_default(), batch, basis)
    }

    fn batch(
        &mut self,
        side: Side,
        feed: String,
        batch: Vec<u8>,
        basis: Basis,
    ) -> Result<(), Malformed> {
        let bytes = Bytes::from(batch);
        for record in Batch::parse(&bytes, &Limits::default())?.iter() {
            let own = |part: Option<&[u8]>| part.map(|part| bytes.slice_ref(part));
            let kept = kept(&record, own, basis);
            self.push(side, &feed, kept);
        }
        Ok(())
    }

    /// An event that the running version rejected.
    pub fn running_rejected(&mut self, event: &RejectedEvent, basis: Basis) {
        self.push(Side::Running, REJECTED, rejected(event, basis));
    }

    /// An event that the new version rejected.
    pub fn new_rejected(&mut self, event: &RejectedEvent, basis: Basis) {
        self.push(Side::New, REJECTED, rejected(event, basis));
    }

    /// One record of the running version, or of an earlier replay.
    pub fn running_record(&mut self, feed: &str, record: &Record<'_>) {
        let kept = kept(record, |part| part.map(Bytes::copy_from_slice), NO_EVENT);
        self.push(Side::Running, feed, kept);
    }

    /// One record of the new version, or of a later replay.
    pub fn new_record(&mut self, feed: &str, record: &Record<'_>) {
        let kept = kept(record, |part| part.map(Bytes::copy_from_slice), NO_EVENT);
        self.push(Side::New, feed, kept);
    }

    fn push(&mut self, side: Side, feed: &str, kept: Kept) {
        let mut hasher = DefaultHasher::new();
        kept.key.hash(&mut hasher);
        let at = (feed.to_owned(), hasher.finish() % LANES);
        self.waiting_bytes[side as usize] += kept.cost();
        let lane = self.lanes.entry(at).or_default();
        match side {
            Side::Running => lane.running.push_back(kept),
            Side::New => lane.new.push_back(kept),
        }
        let tally = &mut self.compared;
        settle(feed, lane, tally, &mut self.waiting_bytes, None);
    }

    /// Bytes of records of the running version that wait for the new one's.
    pub(crate) fn running_waits(&self) -> usize {
        self.waiting_bytes[Side::Running as usize]
    }

    /// Bytes of records of the new version that wait for the running one's.
    pub(crate) fn new_waits(&self) -> usize {
        self.waiting_bytes[Side::New as usize]
    }

    /// The end, where the two versions have taken the events up to these. A record that the other
    /// one need not have by then is not compared.
    pub fn finish(self, running_done: u64, new_done: u64) -> Compared {
        self.end(Some(Ends {
            running: running_done,
            new: new_done,
        }))
    }

    /// The end, where both have come to theirs: whatever has not its like differs.
    pub fn finish_all(self) -> Compared {
        self.end(None)
    }

    fn end(mut self, ends: Option<Ends>) -> Compared {
        for (name, schemas) in &self.schemas {
            if let [Some(running), Some(new)] = schemas
                && running != new
            {
                let feed = self.compared.feeds.entry(name.clone()).or_default();
                feed.schema_changed = true;
            }
        }
        let mut lanes: Vec<_> = self.lanes.into_iter().collect();
        // So that two ends of the same show the same.
        lanes.sort_by(|(a, _), (b, _)| a.cmp(b));
        for ((feed, _), mut lane) in lanes {
            let last = Last(ends);
            let tally = &mut self.compared;
            settle(&feed, &mut lane, tally, &mut self.waiting_bytes, Some(last));
            for (side, rest) in [(Side::Running, lane.running), (Side::New, lane.new)] {
                for kept in rest {
                    let due = last.due(side, kept.basis);
                    tally.alone(&feed, side, &kept, due);
                }
            }
        }
        self.compared
    }
}

/// Rejected events, which are compared as if they were a feed's records: what is kept of the
/// event is the key, the reason the value.
const REJECTED: &str = "(rejected)";

fn rejected(event: &RejectedEvent, basis: Basis) -> Kept {
    Kept {
        key: Some(Bytes::copy_from_slice(&event.excerpt)),
        value: Some(Bytes::copy_from_slice(event.reason.as_bytes())),
        headers: Vec::new(),
        basis,
    }
}

/// Of a record that comes of no event, or of nobody knows which.
const NO_EVENT: Basis = Basis { given: 0 };

/// No more comes.
#[derive(Debug, Clone, Copy)]
struct Last(Option<Ends>);

impl Last {
    fn due(&self, side: Side, basis: Basis) -> bool {
        self.0.is_none_or(|ends| ends.due(side, basis))
    }
}

fn kept<'a>(
    record: &Record<'a>,
    own: impl Fn(Option<&'a [u8]>) -> Option<Bytes>,
    basis: Basis,
) -> Kept {
    Kept {
        key: own(record.key),
        value: own(record.value),
        headers: record
            .headers
            .iter()
            .map(|(name, value)| (name.to_owned(), value.map(Bytes::copy_from_slice)))
            .collect(),
        basis,
    }
}
