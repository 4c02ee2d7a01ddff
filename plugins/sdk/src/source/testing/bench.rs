//! Drives a source as the runtime does, and checks that it keeps the contract.

use std::collections::{BTreeMap, VecDeque};

use jackfield_batch::{Batch, Limits};

use super::super::{Feed, Opening, PollLimits, Polled, Position, Slot, Source};
use super::FakeHost;
use crate::{Context, Counts, Delivery, Failure, Role, Saved, parse_settings};

/// A record that a settled poll gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// Its feed.
    pub feed: String,
    /// Of the record.
    pub timestamp_ms: i64,
    /// Of the record.
    pub key: Option<Vec<u8>>,
    /// The datum.
    pub value: Vec<u8>,
}

/// A source on a [`FakeHost`], with a log that holds what was settled.
///
/// What was polled waits until [`Bench::settle`] makes it durable, in order; [`Bench::trap`] and
/// [`Bench::kill`] lose what waits, as a crash does.
#[derive(Debug)]
pub struct Bench<S: Source> {
    /// The host: fill its inbox, look at what was sent.
    pub host: FakeHost,
    /// Limits of each poll.
    pub limits: PollLimits,
    settings: String,
    slot: Slot,
    instance: Option<S>,
    feeds: Vec<Feed>,
    in_flight: VecDeque<Polled>,
    done_through: u64,
    settled_through: u64,
    stored: BTreeMap<String, String>,
    landed: Vec<Landed>,
    rejected: Vec<(u64, String)>,
    counts: Counts,
}

impl<S: Source> Bench<S> {
    /// A source with these settings, opened on a new host, without stored positions, on the only
    /// slot of its plan.
    ///
    /// # Errors
    /// The source's, or settings that do not fit.
    pub fn open(settings: &str) -> Result<Self, Failure> {
        Self::open_on(FakeHost::new(1), settings, BTreeMap::new())
    }

    /// A source with these settings on this host, where these positions are stored: offsets by
    /// partition.
    ///
    /// # Errors
    /// The source's, or settings that do not fit.
    pub fn open_on(
        host: FakeHost,
        settings: &str,
        stored: BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        let parsed = parse_settings(settings).map_err(|found| {
            Failure::Misconfigured(format!("{}: {}", found.path, found.message))
        })?;
        let slot = S::plan(&host.handle(), &parsed, 1)?.remove(0);
        let batch = Limits::default();
        let mut bench = Self {
            host,
            limits: PollLimits {
                batch_bytes_max: u32::try_from(batch.bytes_max).expect("256 KiB"),
                batch_records_max: batch.records_max,
                wait_ms: 100,
            },
            settings: settings.to_owned(),
            slot,
            instance: None,
            feeds: Vec::new(),
            in_flight: VecDeque::new(),
            done_through: 0,
            settled_through: 0,
            stored,
            landed: Vec::new(),
            rejected: Vec::new(),
            counts: Counts::default(),
        };
        bench.start(None)?;
        Ok(bench)
    }

    fn start(&mut self, state: Option<Saved>) -> Result<(), Failure> {
        let settings =
            parse_settings(&self.settings).map_err(|it| Failure::Misconfigured(it.message))?;
        let context = Context {
            connector: "bench-source".to_owned(),
            delivery: Delivery::ExactlyOnce,
            role: Role::Task(0),
            tasks: 1,
        };
        let positions = self
            .stored
            .iter()
            .map(|(partition, offset)| Position {
                partition: partition.clone(),
                offset: Some(offset.clone()),
            })
            .collect();
        let slot = self.slot.clone();
        self.in_flight.clear();
        self.done_through = self.settled_through;
        self.host.rewind();
        let opening = Opening {
            context,
            settings,
            slot,
            positions,
            state,
        };
        let instance = S::open(self.host.handle(), opening)?;
        self.feeds = instance.feeds();
        self.instance = Some(instance);
        Ok(())
    }

    /// The running source.
    ///
    /// # Panics
    /// It was not opened again after a kill.
    pub fn source(&mut self) -> &mut S {
        self.instance.as_mut().expect("the source is open")
    }

    /// One poll. What it gives waits to be settled.
    ///
    /// # Errors
    /// The source's.
    ///
    /// # Panics
    /// The source broke the contract.
    pub fn poll(&mut self) -> Result<&Polled, Failure> {
        let limits = self.limits;
        let polled = self.source().poll(&limits)?;
        if polled.done_through != 0 {
            assert!(
                polled.done_through >= self.done_through,
                "done-through went back"
            );
            assert!(
                polled.done_through <= self.host.given_through(),
                "done-through was never given"
            );
            self.done_through = polled.done_through;
        }
        self.feeds.extend(polled.feeds.iter().cloned());
        let batch_limits = Limits {
            records_max: limits.batch_records_max,
            bytes_max: limits.batch_bytes_max as usize,
        };
        let mut records = 0;
        for output in &polled.outputs {
            assert!(
                (output.feed as usize) < self.feeds.len(),
                "a feed that was never told"
            );
            let batch =
                Batch::parse(&output.records, &batch_limits).expect("a batch within its limits");
            records += u64::from(batch.len());
        }
        assert_eq!(records, polled.counts.records, "records are counted");
        for position in &polled.positions {
            for text in std::iter::once(&position.partition).chain(&position.offset) {
                let value: serde_json::Value =
                    serde_json::from_str(text).expect("positions are JSON");
                assert!(value.is_object(), "positions are JSON objects");
            }
        }
        self.in_flight.push_back(polled);
        Ok(self.in_flight.back().expect("pushed above"))
    }

    /// Polls until the inbox is drained and nothing comes any more.
    ///
    /// # Errors
    /// The source's.
    pub fn poll_until_idle(&mut self) -> Result<(), Failure> {
        loop {
            let quiet = self.poll()?.outputs.is_empty();
            if quiet && self.host.drained() {
                return Ok(());
            }
        }
    }

    /// Makes the oldest poll durable: records, positions and done-through in one step.
    /// False when there is none.
    pub fn settle(&mut self) -> bool {
        let Some(polled) = self.in_flight.pop_front() else {
            return false;
        };
        for output in &polled.outputs {
            let feed = &self.feeds[output.feed as usize].name;
            let batch =
                Batch::parse(&output.records, &Limits::default()).expect("parsed when polled");
            self.landed.extend(batch.iter().map(|record| {
                Landed {
                    feed: feed.clone(),
                    timestamp_ms: record.timestamp_ms,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record
                        .value
                        .expect("a source's record has a value")
                        .to_vec(),
                }
            }));
        }
        self.rejected
            .extend(polled.rejected.into_iter().map(|it| (it.event, it.reason)));
        for position in polled.positions {
            match position.offset {
                Some(offset) => self.stored.insert(position.partition, offset),
                None => self.stored.remove(&position.partition),
            };
        }
        if polled.done_through != 0 {
            self.settled_through = polled.done_through;
            self.host.settle(polled.done_through);
        }
        let add = polled.counts;
        self.counts.records += add.records;
        self.counts.duplicates += add.duplicates;
        self.counts.missing += add.missing;
        self.counts.recovered += add.recovered;
        if let Some(ms) = add.event_time_max_ms {
            self.counts.saw_event_time(ms);
        }
        true
    }

    /// Makes all polls durable.
    pub fn settle_all(&mut self) {
        while self.settle() {}
    }

    /// The instance dies; a new one opens at what is stored, connections go on, and the inbox is
    /// given again from the last settled event.
    ///
    /// # Errors
    /// The source's.
    pub fn trap(&mut self) -> Result<(), Failure> {
        self.instance = None;
        self.start(None)
    }

    /// The process dies; a new one opens at what is stored, with a host that knows nothing.
    ///
    /// # Errors
    /// The source's.
    pub fn kill(&mut self) -> Result<(), Failure> {
        self.instance = None;
        self.host.reset();
        self.settled_through = 0;
        self.start(None)
    }

    /// A hot swap: all is settled, the old instance saves, a new one opens with that.
    ///
    /// # Errors
    /// The source's.
    pub fn swap(&mut self) -> Result<(), Failure> {
        self.settle_all();
        let state = self.source().save()?;
        if let Some(old) = self.instance.take() {
            old.close();
        }
        self.start(Some(state))
    }

    /// What has landed in a feed, in order.
    pub fn landed(&self, feed: &str) -> Vec<&Landed> {
        self.landed.iter().filter(|it| it.feed == feed).collect()
    }

    /// Offsets by partition, as stored.
    pub fn stored(&self) -> &BTreeMap<String, String> {
        &self.stored
    }

    /// Numbers and reasons of the events that were rejected and settled.
    pub fn rejected(&self) -> &[(u64, String)] {
        &self.rejected
    }

    /// Sums of what was settled.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What the last polls reported as done.
    pub fn done_through(&self) -> u64 {
        self.done_through
    }
}
