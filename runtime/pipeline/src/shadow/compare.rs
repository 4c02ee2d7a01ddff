//! The records of two versions, compared.
//!
//! Two versions may batch the same records differently, and interleave keys differently. So they
//! are compared as sequences, one for each feed and key; where the heads of two sequences differ,
//! a bounded window of both is looked through for where they meet again.

use bytes::Bytes;
use jackfield_batch::{Batch, Limits, Malformed, Record};
use jackfield_plugin::{Feed, RejectedEvent, Schema};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Sequences of a feed: keys that share one are rarely interleaved otherwise by a new version.
const LANES: u64 = 4096;
/// How far each of two sequences is looked through for where they meet again.
const WINDOW_RECORDS: usize = 256;
/// Bytes of records that wait for their like of the other version.
pub(crate) const WAITING_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Differences that are shown; the others are counted.
const EXAMPLES_MAX: usize = 20;
/// Bytes of a key or value that is shown.
const SHOWN_BYTES_MAX: usize = 256;
/// What a record costs beside its bytes.
const RECORD_OVERHEAD_BYTES: usize = 128;

/// Which events records may come of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// The highest event that had been given when they came; 0: they come of no event.
    pub given: u64,
}

/// How a record differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// Only the running version has it.
    Missing,
    /// Only the new version has it.
    Extra,
    /// Both have one of that key in that place, with another value.
    Changed,
}

/// A difference, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The feed.
    pub feed: String,
    /// How it differs.
    pub difference: DifferenceKind,
    /// The record's key; what is no text is escaped.
    pub key: Option<String>,
    /// The running version's value.
    pub running: Option<String>,
    /// The new version's value.
    pub new: Option<String>,
}

/// A feed's records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FeedCompared {
    /// Both have them.
    pub same: u64,
    /// Only the running version has them.
    pub missing: u64,
    /// Only the new version has them.
    pub extra: u64,
    /// Their values differ.
    pub changed: u64,
    /// At the end one of the two had not come so far yet.
    pub not_compared: u64,
    /// The schemas differ.
    pub schema_changed: bool,
}

impl FeedCompared {
    fn differs(&self) -> bool {
        self.missing + self.extra + self.changed > 0 || self.schema_changed
    }

    fn add(&mut self, other: &Self) {
        self.same += other.same;
        self.missing += other.missing;
        self.extra += other.extra;
        self.changed += other.changed;
        self.not_compared += other.not_compared;
        self.schema_changed |= other.schema_changed;
    }
}

/// All records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Compared {
    /// By feed.
    pub feeds: BTreeMap<String, FeedCompared>,
    /// The first differences.
    pub examples: Vec<Difference>,
}

impl Compared {
    /// Whether anything differs.
    pub fn differs(&self) -> bool {
        self.feeds.values().any(FeedCompared::differs)
    }

    /// Adds those of another slot.
    pub(crate) fn add(&mut self, other: Self) {
        for (name, feed) in other.feeds {
            self.feeds.entry(name).or_default().add(&feed);
        }
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES_MAX);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Running,
    New,
}

#[derive(Debug)]
struct Kept {
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<(String, Option<Bytes>)>,
    basis: Basis,
}

impl Kept {
    fn same(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value && self.headers == other.headers
    }

    fn cost(&self) -> usize {
        let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        bytes(&self.key) + bytes(&self.value) + RECORD_OVERHEAD_BYTES
    }
}

#[derive(Debug, Default)]
struct Lane {
    running: VecDeque<Kept>,
    new: VecDeque<Kept>,
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

/// What the heads of two sequences say.
enum Step {
    /// They are the same.
    Same,
    /// So many of the new version's come before the two meet again.
    Extra(usize),
    /// So many of the running version's do.
    Missing(usize),
    /// They stand for each other, and differ.
    Changed,
    /// More has to come first.
    Wait,
}

fn step(lane: &Lane, last: bool) -> Step {
    let (Some(a), Some(b)) = (lane.running.front(), lane.new.front()) else {
        return Step::Wait;
    };
    if a.same(b) {
        return Step::Same;
    }
    let find = |records: &VecDeque<Kept>, wanted: &Kept| {
        let mut window = records.iter().take(WINDOW_RECORDS);
        window.position(|it| it.same(wanted))
    };
    match (find(&lane.new, a), find(&lane.running, b)) {
        (Some(extra), None) => Step::Extra(extra),
        (None, Some(missing)) => Step::Missing(missing),
        (Some(extra), Some(missing)) if extra <= missing => Step::Extra(extra),
        (Some(_), Some(missing)) => Step::Missing(missing),
        (None, None) => {
            let full = lane.running.len().min(lane.new.len()) >= WINDOW_RECORDS;
            if full || last {
                Step::Changed
            } else {
                Step::Wait
            }
        }
    }
}

/// Pairs what can be paired by now.
fn settle(
    feed: &str,
    lane: &mut Lane,
    tally: &mut Compared,
    waiting: &mut [usize; 2],
    last: Option<Last>,
) {
    loop {
        match step(lane, last.is_some()) {
            Step::Wait => return,
            Step::Same => {
                lane.pop(waiting);
                tally.feed(feed).same += 1;
            }
            Step::Changed => {
                if let (Some(running), Some(new)) = lane.pop(waiting) {
                    let due = last.is_none_or(|it| {
                        it.due(Side::Running, running.basis) && it.due(Side::New, new.basis)
                    });
                    tally.changed(feed, &running, &new, due);
                }
            }
            Step::Extra(count) => {
                for kept in lane.new.drain(..count) {
                    waiting[Side::New as usize] -= kept.cost();
                    tally.alone(feed, Side::New, &kept, true);
                }
            }
            Step::Missing(count) => {
                for kept in lane.running.drain(..count) {
                    waiting[Side::Running as usize] -= kept.cost();
                    tally.alone(feed, Side::Running, &kept, true);
                }
            }
        }
    }
}

impl Lane {
    fn pop(&mut self, waiting: &mut [usize; 2]) -> (Option<Kept>, Option<Kept>) {
        let (running, new) = (self.running.pop_front(), self.new.pop_front());
        waiting[Side::Running as usize] -= running.as_ref().map_or(0, Kept::cost);
        waiting[Side::New as usize] -= new.as_ref().map_or(0, Kept::cost);
        (running, new)
    }
}

impl Compared {
    fn feed(&mut self, name: &str) -> &mut FeedCompared {
        if !self.feeds.contains_key(name) {
            self.feeds.insert(name.to_owned(), FeedCompared::default());
        }
        self.feeds.entry(name.to_owned()).or_default()
    }

    fn changed(&mut self, name: &str, running: &Kept, new: &Kept, due: bool) {
        let feed = self.feed(name);
        if !due {
            feed.not_compared += 2;
            return;
        }
        feed.changed += 1;
        self.example(name, DifferenceKind::Changed, Some(running), Some(new));
    }

    fn alone(&mut self, name: &str, side: Side, kept: &Kept, due: bool) {
        let feed = self.feed(name);
        match (due, side) {
            (false, _) => feed.not_compared += 1,
            (true, Side::Running) => {
                feed.missing += 1;
                self.example(name, DifferenceKind::Missing, Some(kept), None);
            }
            (true, Side::New) => {
                feed.extra += 1;
                self.example(name, DifferenceKind::Extra, None, Some(kept));
            }
        }
    }

    fn example(
        &mut self,
        feed: &str,
        difference: DifferenceKind,
        running: Option<&Kept>,
        new: Option<&Kept>,
    ) {
        if self.examples.len() == EXAMPLES_MAX {
            return;
        }
        let key = running.or(new).and_then(|it| it.key.as_ref());
        let value = |it: Option<&Kept>| it.and_then(|it| it.value.as_ref()).map(shown);
        self.examples.push(Difference {
            feed: feed.to_owned(),
            difference,
            key: key.map(shown),
            running: value(running),
            new: value(new),
        });
    }
}

/// As text; what is none is escaped.
fn shown(bytes: &Bytes) -> String {
    let cut = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let mut text = String::with_capacity(cut.len());
    for chunk in cut.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.extend(std::ascii::escape_default(*byte).map(char::from));
        }
    }
    if cut.len() < bytes.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_batch::BatchWriter;
    use jackfield_plugin::SchemaKind;
    use proptest::prelude::*;

    fn feed(text: &str) -> Feed {
        Feed {
            name: "f".into(),
            value: Schema {
                kind: SchemaKind::Avro,
                text: text.into(),
            },
            key: None,
        }
    }

    fn batch(records: &[(u8, u32)]) -> Vec<u8> {
        let mut writer = BatchWriter::new();
        for (key, value) in records {
            let record = Record {
                key: Some(&[*key]),
                value: Some(&value.to_le_bytes()),
                ..Record::default()
            };
            writer.push(&record).unwrap();
        }
        writer.finish()
    }

    fn comparison() -> Comparison {
        let mut comparison = Comparison::default();
        comparison.running_feeds(&[feed("a")]);
        comparison.new_feeds(&[feed("a")]);
        comparison
    }

    /// Both sides in batches of other sizes, and none of them ahead for long.
    fn compare(running: &[(u8, u32)], new: &[(u8, u32)], sizes: (usize, usize)) -> FeedCompared {
        let mut comparison = comparison();
        let (mut a, mut b) = (running.chunks(sizes.0), new.chunks(sizes.1));
        let basis = Basis { given: 5 };
        loop {
            match (a.next(), b.next()) {
                (None, None) => break,
                (x, y) => {
                    if let Some(x) = x {
                        comparison.running(0, batch(x), basis).unwrap();
                    }
                    if let Some(y) = y {
                        comparison.new_version(0, batch(y), basis).unwrap();
                    }
                }
            }
        }
        let mut compared = comparison.finish(5, 5);
        compared.feeds.remove("f").unwrap_or_default()
    }

    fn counted(same: u64, missing: u64, extra: u64, changed: u64) -> FeedCompared {
        FeedCompared {
            same,
            missing,
            extra,
            changed,
            ..FeedCompared::default()
        }
    }

    fn records(count: u32) -> Vec<(u8, u32)> {
        (0..count).map(|i| ((i % 3) as u8, i)).collect()
    }

    #[test]
    fn the_same_records_are_the_same_however_they_are_batched_and_interleaved() {
        let all = records(1000);
        assert_eq!(compare(&all, &all, (7, 90)), counted(1000, 0, 0, 0));
        let mut by_key = all.clone();
        by_key.sort_by_key(|(key, _)| *key);
        assert_eq!(compare(&all, &by_key, (100, 3)), counted(1000, 0, 0, 0));
    }

    #[test]
    fn what_is_missing_extra_or_changed_is_told_apart() {
        let all = records(1000);
        let less: Vec<_> = all.iter().filter(|(_, i)| i % 10 != 4).copied().collect();
        assert_eq!(compare(&all, &less, (50, 50)), counted(900, 100, 0, 0));
        assert_eq!(compare(&less, &all, (50, 50)), counted(900, 0, 100, 0));
        let other = |(key, i): &(u8, u32)| (*key, if i % 10 == 4 { i + 5000 } else { *i });
        let other: Vec<_> = all.iter().map(other).collect();
        assert_eq!(compare(&all, &other, (50, 50)), counted(900, 0, 0, 100));
    }

    #[test]
    fn what_the_other_need_not_have_yet_is_not_compared() {
        let mut comparison = comparison();
        let records = records(9);
        for (at, record) in (1u64..).zip(&records) {
            let basis = Basis { given: at };
            comparison.running(0, batch(&[*record]), basis).unwrap();
            if at <= 4 {
                comparison.new_version(0, batch(&[*record]), basis).unwrap();
            }
        }
        let compared = comparison.finish(9, 6);
        let feed = &compared.feeds["f"];
        assert_eq!((feed.same, feed.missing, feed.not_compared), (4, 2, 3));
        assert!(compared.differs());
        assert_eq!(compared.examples.len(), 2);
    }

    #[test]
    fn an_equal_schema_is_no_difference_and_another_is() {
        let mut comparison = comparison();
        comparison.new_feeds(&[feed("b")]);
        assert!(comparison.finish(0, 0).differs());
    }

    #[test]
    fn what_waits_is_counted() {
        let mut comparison = comparison();
        let basis = Basis { given: 1 };
        comparison.running(0, batch(&records(5)), basis).unwrap();
        assert!(comparison.running_waits() > 5 * RECORD_OVERHEAD_BYTES);
        comparison
            .new_version(0, batch(&records(5)), basis)
            .unwrap();
        assert_eq!((comparison.running_waits(), comparison.new_waits()), (0, 0));
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_escaped() {
        let bytes = Bytes::from_static(b"a\xff\n\xc3\xa9");
        assert_eq!(shown(&bytes), "a\\xff\\né");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_in_the_count(
            running in proptest::collection::vec((0u8..3, 0u32..5), 0..60),
            new in proptest::collection::vec((0u8..3, 0u32..5), 0..60),
            sizes in (1usize..9, 1usize..9),
        ) {
            let feed = compare(&running, &new, sizes);
            let both = feed.same + feed.changed;
            prop_assert_eq!(both + feed.missing, running.len() as u64);
            prop_assert_eq!(both + feed.extra, new.len() as u64);
            if running == new {
                prop_assert_eq!(feed.same, running.len() as u64);
            }
        }
    }
}
