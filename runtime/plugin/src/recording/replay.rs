//! A version of a source on a recording, as fast as it can, and each time the same.

use super::format::{Opening, SlotOpening};
use super::read::Recording;
use crate::error::{CallError, Failure};
use crate::interrupt::Interrupt;
use crate::limits::CallLimits;
use crate::plugin::Plugin;
use crate::shadow::{Item, Stage};
use crate::source_instance::{SourceInstance, StageHost};
use crate::types::{Context, Counts, Feed, PollLimits, Polled, Role};
use jackfield_batch::{BATCH_BYTES_MAX, Batch, Limits, RECORDS_MAX, Record};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As a slot polls.
const POLL_LIMITS: PollLimits = PollLimits {
    batch_bytes_max: BATCH_BYTES_MAX as u32,
    batch_records_max: RECORDS_MAX,
    wait_ms: 250,
};
/// Polls after the last event was given: what is held back by a timer of some seconds comes yet.
const POLLS_AFTER_END: u32 = 40;
/// Polls in a row that ask to be called again.
const RETRIES_MAX: u32 = 100;

/// Records of one feed.
#[derive(Debug, Clone, Default)]
pub struct FeedTally {
    /// Records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    digest: Sha256,
}

/// A record of a replay.
#[derive(Debug)]
pub struct RecordSeen<'a> {
    /// The slot's id.
    pub slot: &'a str,
    /// The feed's name.
    pub feed: &'a str,
    /// The record.
    pub record: Record<'a>,
}

/// How a slot's replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayEnd {
    /// Every event was taken.
    Exhausted,
    /// The source has ended by itself, or wants to split its work anew.
    Ended,
    /// A call failed.
    Failed {
        /// Which.
        call: &'static str,
        /// How: with the trace, where there is one.
        error: String,
    },
}

/// What a replay brought.
#[derive(Debug)]
pub struct Replayed {
    /// By feed.
    pub feeds: BTreeMap<String, FeedTally>,
    /// How each slot ended, by its id.
    pub ends: BTreeMap<String, ReplayEnd>,
    /// Events that were given.
    pub events: u64,
    /// Calls of `poll`.
    pub polls: u64,
    /// Events that the source rejected.
    pub rejected: u64,
    /// Its own figures, summed.
    pub counts: Counts,
    /// Time that was spent in its calls.
    pub took: Duration,
}

impl Replayed {
    /// SHA-256 over all records by feed, in their order, in hex. It depends neither on how they
    /// were batched nor on how the feeds were interleaved.
    pub fn digest(&self) -> String {
        let mut all = Sha256::new();
        for (name, feed) in &self.feeds {
            sized(&mut all, name.as_bytes());
            all.update(feed.digest.clone().finalize());
        }
        crate::engine::hex(&all.finalize())
    }

    fn take(
        &mut self,
        slot: &str,
        names: &[String],
        polled: &Polled,
        each: &mut dyn FnMut(RecordSeen<'_>),
    ) {
        self.polls += 1;
        self.rejected += polled.rejected.len() as u64;
        self.counts.records += polled.counts.records;
        self.counts.duplicates += polled.counts.duplicates;
        self.counts.missing += polled.counts.missing;
        self.counts.recovered += polled.counts.recovered;
        for output in &polled.outputs {
            // Both were checked when they crossed.
            let (Some(feed), Ok(batch)) = (
                names.get(output.feed as usize),
                Batch::parse(&output.records, &Limits::default()),
            ) else {
                continue;
            };
            let tally = self.feeds.entry(feed.clone()).or_default();
            for record in batch.iter() {
                tally.add(&record);
                each(RecordSeen { slot, feed, record });
            }
        }
    }
}

impl FeedTally {
    fn add(&mut self, record: &Record<'_>) {
        let bytes = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len) as u64;
        self.records += 1;
        self.bytes += bytes(record.key) + bytes(record.value);
        self.digest.update(record.timestamp_ms.to_le_bytes());
        nullable(&mut self.digest, record.key);
        nullable(&mut self.digest, record.value);
        for (name, value) in record.headers.iter() {
            sized(&mut self.digest, name.as_bytes());
            nullable(&mut self.digest, value);
        }
    }
}

fn sized(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_le_bytes());
    digest.update(bytes);
}

/// Null is not empty.
fn nullable(digest: &mut Sha256, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => sized(digest, bytes),
        None => digest.update(u64::MAX.to_le_bytes()),
    }
}

/// Runs a version on what a source was given. Time is what the recording says, random numbers are
/// the same each time, and what the source sends goes nowhere. `settings` are those that the
/// version is to run with; `each` is told every record.
pub async fn replay(
    plugin: &Plugin,
    limits: &CallLimits,
    recording: &Recording,
    settings: &str,
    each: &mut (dyn FnMut(RecordSeen<'_>) + Send),
) -> Replayed {
    let mut replayed = Replayed {
        feeds: BTreeMap::new(),
        ends: BTreeMap::new(),
        events: 0,
        polls: 0,
        rejected: 0,
        counts: Counts::default(),
        took: Duration::ZERO,
    };
    for (number, (opening, items)) in &recording.slots {
        let (contained, connections) = (opening.contained, opening.connections());
        let stage = Stage::replaying(
            items.clone(),
            began_ns(recording, items),
            contained,
            connections,
        );
        let mut slot = OneSlot {
            plugin,
            limits,
            recording: &recording.opening,
            settings,
            number: *number,
            opening,
            id: opening.slot().id,
            stage,
            replayed: &mut replayed,
            each: &mut *each,
        };
        let started = Instant::now();
        let end = match slot.run().await {
            Ok(end) => end,
            Err((call, error)) => ReplayEnd::Failed {
                call,
                error: error.to_string(),
            },
        };
        let (id, given) = (slot.id, slot.stage.given());
        replayed.took += started.elapsed();
        replayed.events += given.saturating_sub(contained);
        replayed.ends.insert(id, end);
    }
    replayed
}

/// When a slot's first event came, ns since the epoch; without any, when the recording began.
fn began_ns(recording: &Recording, items: &[Item]) -> i64 {
    let first = items.iter().find_map(|item| match item {
        Item::Event(heard) => Some(heard.received_ns),
        Item::Opened { .. } | Item::Sent { .. } | Item::Closed { .. } | Item::Asked { .. } => None,
    });
    first.unwrap_or(recording.opening.began_ms.saturating_mul(1_000_000))
}

struct OneSlot<'a> {
    plugin: &'a Plugin,
    limits: &'a CallLimits,
    recording: &'a Opening,
    settings: &'a str,
    number: u16,
    opening: &'a SlotOpening,
    id: String,
    stage: Arc<Stage>,
    replayed: &'a mut Replayed,
    each: &'a mut (dyn FnMut(RecordSeen<'_>) + Send),
}

type Call<T> = Result<T, (&'static str, CallError)>;

impl OneSlot<'_> {
    async fn run(&mut self) -> Call<ReplayEnd> {
        let host = StageHost {
            connector: self.recording.connector.clone(),
            stage: Arc::clone(&self.stage),
            interrupt: Interrupt::default(),
            usage: Arc::default(),
        };
        let mut instance = SourceInstance::staged(self.plugin, host, self.limits)
            .await
            .map_err(|error| ("instantiate", error))?;
        let feeds = self.open(&mut instance).await?;
        let mut names: Vec<String> = feeds.into_iter().map(|feed| feed.name).collect();
        let (mut after_end, mut retries) = (0, 0);
        while after_end < POLLS_AFTER_END {
            after_end += u32::from(self.stage.is_exhausted());
            let polled = match instance.poll(POLL_LIMITS).await {
                Ok(polled) => polled,
                Err(CallError::Failure(Failure::Retry { after_ms, .. }))
                    if retries < RETRIES_MAX =>
                {
                    retries += 1;
                    self.stage.pass(Duration::from_millis(u64::from(after_ms)));
                    continue;
                }
                Err(error) => return Err(("poll", error)),
            };
            retries = 0;
            names.extend(polled.feeds.iter().map(|feed| feed.name.clone()));
            self.replayed.take(&self.id, &names, &polled, self.each);
            self.stage.settle(polled.done_through);
            if polled.ended || polled.replan {
                return Ok(ReplayEnd::Ended);
            }
            if !polled.positions.is_empty() {
                match instance.settled(polled.positions).await {
                    Ok(()) | Err(CallError::Failure(Failure::Retry { .. })) => {}
                    Err(error) => return Err(("settled", error)),
                }
            }
        }
        Ok(ReplayEnd::Exhausted)
    }

    async fn open(&self, instance: &mut SourceInstance) -> Call<Vec<Feed>> {
        let context = Context {
            connector: self.recording.connector.clone(),
            delivery: self.recording.delivery(),
            role: Role::Task(u32::from(self.number)),
            tasks: self.recording.slots,
        };
        let opened = instance
            .open(
                context,
                self.settings.to_owned(),
                self.opening.slot(),
                self.opening.positions(),
                self.opening.saved(),
            )
            .await;
        opened.map_err(|error| ("open", error))
    }
}
