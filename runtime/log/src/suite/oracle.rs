//! Everything at once, at random, against a model of what was written.

use super::Fixture;
use super::bounds::within;
use super::corner::{Corner, at, is_sentinel};
use super::follower::Follower;
use super::records::{Seen, of, output, unpack};
use super::seeds::seed;
use crate::{Append, Appended, Fetched, ReaderEvent, TopicInfo, TopicPartition};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use tokio::task::JoinSet;

const PARTITIONS: i32 = 4;
const WRITERS: usize = 3;
const APPENDS: usize = 80;
/// Appends of one writer on their way at once.
const IN_FLIGHT_MAX: usize = 16;
/// Seeks back and restarts of the reader: bounded, so that it comes to the end.
const SEEKS: usize = 40;
const RESTARTS: usize = 6;

/// Several writers append batches of any size to several partitions, and open anew now and then,
/// while a reader goes back, stops and joins again. Each partition holds each writer's records
/// once and in order, each batch where the log said; and whatever the reader was given is what
/// lies between where it stood before and after.
pub async fn what_is_read_is_what_was_written(fixture: &dyn Fixture) {
    let seed = seed();
    let corner = Corner::of(fixture).await;
    let topic = corner.topic("topic", PARTITIONS).await;
    let writing = tokio::spawn(write_all(corner.clone(), topic.clone(), seed));
    let reading = read_all(corner, topic, StdRng::seed_from_u64(seed)).await;
    let written = within("the writers are done", writing).await.unwrap();
    reading.check(&written);
}

/// What one writer wrote.
#[derive(Default)]
struct Written {
    /// The texts of each partition, in order.
    texts: BTreeMap<i32, Vec<String>>,
    /// Where each output begins, and with which text.
    begins: Vec<(i32, i64, String)>,
}

/// Runs all writers to their end, then appends the last record of each partition.
async fn write_all(corner: Corner, topic: TopicInfo, seed: u64) -> Vec<Written> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let rng = StdRng::seed_from_u64(seed.wrapping_add(1 + writer as u64));
        let write = write(corner.clone(), topic.clone(), writer, rng);
        writers.spawn(async move { (writer, write.await) });
    }
    // They end in any order.
    let written: BTreeMap<usize, Written> = writers.join_all().await.into_iter().collect();
    corner.append_sentinels(&topic).await;
    written.into_values().collect()
}

async fn write(corner: Corner, topic: TopicInfo, number: usize, mut rng: StdRng) -> Written {
    let slot = number.to_string();
    let mut writer = corner.writer(&slot).await;
    let mut written = Written::default();
    let mut in_flight = VecDeque::new();
    for _ in 0..APPENDS {
        let (append, heads) = written.random(number, &topic, &mut rng);
        let queued = within("an append is queued", writer.append(append)).await;
        in_flight.push_back((heads, queued.unwrap()));
        let keep = rng.random_range(0..=IN_FLIGHT_MAX);
        while in_flight.len() > keep {
            let (heads, pending) = in_flight.pop_front().expect("there are some");
            let appended = within("an append has its outcome", pending).await;
            written.landed(heads, &appended.unwrap());
        }
        if in_flight.is_empty() && rng.random_bool(0.1) {
            writer = corner.writer(&slot).await;
        }
    }
    for (heads, pending) in in_flight {
        let appended = within("an append has its outcome", pending).await;
        written.landed(heads, &appended.unwrap());
    }
    written
}

impl Written {
    /// An append of one to three outputs, and the partition and the first text of each.
    fn random(
        &mut self,
        writer: usize,
        topic: &TopicInfo,
        rng: &mut StdRng,
    ) -> (Append, Vec<(i32, String)>) {
        let mut outputs = Vec::new();
        let mut heads = Vec::new();
        for _ in 0..rng.random_range(1..=3) {
            let partition = rng.random_range(0..topic.partitions);
            // Mostly small, sometimes large.
            let records_max = if rng.random_bool(0.1) { 500 } else { 20 };
            let own = self.texts.entry(partition).or_default();
            let from = own.len();
            for n in from..from + rng.random_range(1..=records_max) {
                own.push(format!("{writer}.{n}"));
            }
            outputs.push(output(topic, partition, &own[from..]));
            heads.push((partition, own[from].clone()));
        }
        (of(outputs), heads)
    }

    fn landed(&mut self, heads: Vec<(i32, String)>, appended: &Appended) {
        assert_eq!(heads.len(), appended.first_offsets.len());
        let landed = heads.into_iter().zip(&appended.first_offsets);
        self.begins
            .extend(landed.map(|((partition, head), first)| (partition, *first, head)));
    }
}

/// All that a reader was given that goes to and fro.
struct Reading {
    corner: Corner,
    topic: TopicInfo,
    rng: StdRng,
    partitions: BTreeMap<TopicPartition, Partition>,
}

#[derive(Default)]
struct Partition {
    start: i64,
    /// Up to here everything was read.
    frontier: i64,
    committed: Option<i64>,
    records: BTreeMap<i64, String>,
    /// From where to where each batch went, and the offsets in it.
    spans: Vec<(i64, i64, Vec<i64>)>,
    ended: bool,
}

/// Reads until the last record of every partition was seen.
async fn read_all(corner: Corner, topic: TopicInfo, rng: StdRng) -> Reading {
    let (mut follower, assigned) = corner.join_alone("group", &[&topic]).await;
    follower.seek_to_committed(&assigned);
    let partition = |start| Partition {
        start,
        frontier: start,
        ..Partition::default()
    };
    let starts = assigned.into_iter().map(|it| (it.at, it.ends.start));
    let mut reading = Reading {
        corner,
        topic,
        rng,
        partitions: starts.map(|(at, start)| (at, partition(start))).collect(),
    };
    let (mut seeks, mut restarts) = (SEEKS, RESTARTS);
    while !reading.partitions.values().all(|it| it.ended) {
        if let ReaderEvent::Batch(fetched) = follower.next().await {
            // The follower has checked it, and needs not keep it too.
            follower.take(&fetched.at);
            reading.take(&fetched);
        }
        if seeks > 0 && reading.rng.random_bool(0.1) {
            seeks -= 1;
            reading.seek_back(&mut follower);
        }
        if restarts > 0 && reading.rng.random_bool(0.02) {
            restarts -= 1;
            follower = reading.restart(follower).await;
        }
    }
    follower.close().await;
    reading
}

impl Reading {
    fn take(&mut self, fetched: &Fetched) {
        let partition = self.partitions.get_mut(&fetched.at);
        let partition = partition.expect("all partitions are known");
        let records = unpack(&fetched.batch);
        partition.ended |= records.iter().any(is_sentinel);
        partition.frontier = partition.frontier.max(fetched.next_offset);
        let offsets = records.iter().map(|it| it.offset).collect();
        let span = (fetched.position, fetched.next_offset, offsets);
        partition.spans.push(span);
        for Seen { offset, record } in records {
            let text = String::from_utf8(record.value.unwrap()).unwrap();
            let before = partition.records.insert(offset, text);
            let now = &partition.records[&offset];
            let same = before.is_none_or(|before| before == *now);
            assert!(same, "{} at {offset} has become another", fetched.at);
        }
    }

    fn seek_back(&mut self, follower: &mut Follower) {
        let at = at(&self.topic, self.rng.random_range(0..PARTITIONS));
        follower.seek(&at, self.anywhere(&at));
    }

    /// Any offset up to where everything was read, also one that is no record's.
    fn anywhere(&mut self, at: &TopicPartition) -> i64 {
        let read = &self.partitions[at];
        self.rng.random_range(read.start..=read.frontier)
    }

    /// Commits sometimes, leaves in one way or another, joins again, and goes on anywhere in what
    /// was read.
    async fn restart(&mut self, mut old: Follower) -> Follower {
        if self.rng.random_bool(0.5) {
            let mut offsets = Vec::new();
            for (at, read) in &mut self.partitions {
                read.committed = Some(read.frontier);
                offsets.push((at.clone(), read.frontier));
            }
            old.commit(&offsets).await.unwrap();
        }
        let mut replaced = None;
        match self.rng.random_range(0..3) {
            0 => old.close().await,
            1 => drop(old),
            // The new one joins under its name.
            _ => replaced = Some(old),
        }
        let (mut follower, assigned) = self.corner.join_alone("group", &[&self.topic]).await;
        drop(replaced);
        for it in assigned {
            let committed = self.partitions[&it.at].committed;
            assert_eq!(it.committed, committed, "{}", it.at);
            follower.seek(&it.at, self.anywhere(&it.at));
        }
        follower
    }

    fn check(&self, written: &[Written]) {
        for (at, read) in &self.partitions {
            let texts = || read.records.values().filter(|text| text.contains('.'));
            let mut expected = 0;
            for (writer, written) in written.iter().enumerate() {
                let prefix = format!("{writer}.");
                let own: Vec<&String> = texts().filter(|it| it.starts_with(&prefix)).collect();
                let texts = written.texts.get(&at.partition);
                let texts: Vec<&String> = texts.into_iter().flatten().collect();
                let differs = own.iter().zip(&texts).position(|(own, text)| own != text);
                let counts = (own.len(), texts.len());
                assert!(
                    differs.is_none() && counts.0 == counts.1,
                    "{at}: of writer {writer} {} records were read, {} written; the first other one is {differs:?}",
                    counts.0,
                    counts.1
                );
                expected += texts.len();
            }
            assert_eq!(texts().count(), expected, "{at}: records in all");
            for (from, to, offsets) in &read.spans {
                let between = read.records.range(from..to).map(|(offset, _)| offset);
                assert!(between.eq(offsets), "{at}: {from}..{to} had {offsets:?}");
            }
        }
        for (partition, first, head) in written.iter().flat_map(|it| &it.begins) {
            let read = &self.partitions[&at(&self.topic, *partition)];
            let found = read.records.get(first);
            assert_eq!(found, Some(head), "{partition} at {first}");
        }
    }
}
