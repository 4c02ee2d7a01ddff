//! Reads for one client beside the pipelines, and in nobody's way.

use super::Planned;
use crate::operate::render::{self, Reading};
use bytes::Bytes;
use jackfield_batch::{Batch, Limits};
use jackfield_log::{BROWSE_WAIT, Browser, Fetched, LogError};
use jackfield_log_json::Plan;
use jackfield_schema::{Registry, SchemaError, SchemaKind};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

/// After a piece of work a reader rests for as many times as long. All readers take turns, so
/// that together they have at most half of one core, whatever they read.
const REST_TIMES: u32 = 1;
/// So often a line says that the connection is alive, so that one whose other end is gone is
/// noticed, and none is closed for being idle.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// Longest wait for the first record of one that does not follow: a consumer connects to its brokers
/// only now, as it does at a start.
const FIRST_WITHIN: Duration = Duration::from_secs(30);
/// Without a record for so long after the first, one that does not follow has read all there is: what
/// lies before the end and is not given are marks of transactions.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// Schemas that one reader keeps: more than a topic ever had.
const SCHEMAS_MAX: usize = 1000;

/// Reads for one client, until it has all or is gone.
pub(super) struct Reader {
    pub(super) browser: Box<dyn Browser>,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) readings: HashMap<u32, Reading>,
    pub(super) plan: Planned,
    /// The partitions that anything came from.
    pub(super) heard: BTreeSet<i32>,
    pub(super) follow: bool,
    /// Records that are still wanted.
    pub(super) left: u64,
    pub(super) pieces: mpsc::Sender<Bytes>,
    pub(super) turn: Arc<Semaphore>,
}

/// Why a reader has ended.
enum Over {
    /// All that was wanted is given.
    Done,
    /// The client is gone.
    Gone,
}

impl Reader {
    pub(super) async fn run(mut self, permit: OwnedSemaphorePermit) {
        let gone = self.pieces.clone();
        let read = tokio::select! {
            read = self.read() => read,
            () = gone.closed() => Ok(Over::Gone),
        };
        if let Err(error) = read {
            // However many pieces wait before it: without it all would seem to be well. A client
            // that is gone needs no reason.
            let _told = gone.send(render::failure(&error.to_string()).into()).await;
        }
        drop(permit);
    }

    async fn read(&mut self) -> Result<Over, LogError> {
        let mut last = Instant::now();
        let mut told = last;
        while self.left > 0 && (self.follow || !self.plan.until.is_empty()) {
            let Some(fetched) = self.browser.next().await? else {
                let browser = &self.browser;
                self.plan
                    .until
                    .retain(|it, until| browser.reached(*it).is_none_or(|end| end < *until));
                // Not sooner than it says, however soon it came back.
                let quiet = last.elapsed();
                if !self.follow && quiet >= self.quiet_max() {
                    return self.all_came();
                }
                if told.elapsed() >= ALIVE_EVERY {
                    told = Instant::now();
                    if self.pieces.send(Bytes::from_static(b"\n")).await.is_err() {
                        return Ok(Over::Gone);
                    }
                }
                continue;
            };
            self.heard.insert(fetched.at.partition);
            let lines = self.lines(&fetched).await?;
            if !lines.is_empty() {
                if self.pieces.send(lines).await.is_err() {
                    return Ok(Over::Gone);
                }
                told = Instant::now();
            }
            // The log was not silent while others or the client were waited for.
            last = Instant::now();
        }
        Ok(Over::Done)
    }

    /// How long nothing may come until there is no more.
    fn quiet_max(&self) -> Duration {
        match self.heard.is_empty() {
            true => FIRST_WITHIN,
            false => QUIET_MAX.max(BROWSE_WAIT),
        }
    }

    /// The end of what came, unless nothing did from a partition that holds something.
    fn all_came(&self) -> Result<Over, LogError> {
        let wanted = self.plan.until.iter();
        let mute = wanted.filter(|(partition, _)| !self.heard.contains(partition));
        let mute: Vec<String> = mute
            .map(|(partition, until)| format!("{partition} (up to offset {until})"))
            .collect();
        if mute.is_empty() {
            return Ok(Over::Done);
        }
        Err(LogError::Retriable(format!(
            "nothing came within {} s from partition {}: its broker does not answer",
            self.quiet_max().as_secs(),
            mute.join(", ")
        )))
    }

    /// The lines of a batch: made in turn with other readers, with a rest after it.
    async fn lines(&mut self, fetched: &Fetched) -> Result<Bytes, LogError> {
        let partition = fetched.at.partition;
        self.learn(&fetched.batch).await?;
        let until = match self.follow {
            true => i64::MAX,
            false => self.plan.until.get(&partition).copied().unwrap_or(0),
        };
        if fetched.next_offset >= until {
            self.plan.until.remove(&partition);
        }
        let wanted = Wanted {
            until,
            not_before_ms: self.plan.not_before_ms,
            number: self.left,
        };
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let begun = Instant::now();
        let (batch, readings) = (fetched.batch.clone(), std::mem::take(&mut self.readings));
        let made = tokio::task::spawn_blocking(move || {
            let made = made(partition, &batch, &readings, &wanted);
            (made, readings)
        });
        let (made, readings) = made
            .await
            .map_err(|e| LogError::Fatal(format!("records can't be shown: {e}")))?;
        self.readings = readings;
        let (lines, count) = made?;
        self.left -= count;
        tokio::time::sleep(begun.elapsed() * REST_TIMES).await;
        drop(turn);
        Ok(lines.into())
    }

    /// Asks the registry for the schemas that a batch has and that are not known yet.
    async fn learn(&mut self, batch: &[u8]) -> Result<(), LogError> {
        let batch = Batch::parse(batch, &Limits::default()).map_err(|e| malformed(&e))?;
        let mut ids = Vec::new();
        for record in batch.iter() {
            for id in [record.schemas.key, record.schemas.value] {
                if id != 0 && !self.readings.contains_key(&id) && !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        for id in ids {
            if self.readings.len() >= SCHEMAS_MAX {
                self.readings.clear();
            }
            let reading = reading(&*self.registry, id).await;
            self.readings.insert(id, reading);
        }
        Ok(())
    }
}

fn malformed(why: &dyn std::fmt::Display) -> LogError {
    LogError::Fatal(format!("a batch of the log is malformed: {why}"))
}

async fn reading(registry: &dyn Registry, id: u32) -> Reading {
    let schema = match registry.get(id).await {
        Ok(schema) => schema,
        Err(
            error @ (SchemaError::Missing(_)
            | SchemaError::Incompatible { .. }
            | SchemaError::Invalid(_)
            | SchemaError::Denied(_)
            | SchemaError::Transient(_)),
        ) => return Reading::Unreadable(error.to_string()),
    };
    match schema.kind {
        SchemaKind::Avro => match Plan::of(&schema.text) {
            Ok(plan) => Reading::Avro(Arc::new(plan)),
            Err(why) => Reading::Unreadable(format!("schema {id}: {why}")),
        },
        SchemaKind::Json | SchemaKind::None => Reading::Text,
    }
}

/// Which records of a batch are wanted.
struct Wanted {
    until: i64,
    not_before_ms: i64,
    number: u64,
}

/// The lines of those, and how many they are.
fn made(
    partition: i32,
    batch: &[u8],
    readings: &HashMap<u32, Reading>,
    wanted: &Wanted,
) -> Result<(Vec<u8>, u64), LogError> {
    let batch = Batch::parse(batch, &Limits::default()).map_err(|e| malformed(&e))?;
    let of = |id: u32| match id {
        0 => &Reading::Text,
        id => readings.get(&id).unwrap_or(&Reading::Text),
    };
    let mut lines = Vec::new();
    let mut count = 0;
    for (index, record) in (0u32..).zip(batch.iter()) {
        let offset = batch
            .offset(index)
            .ok_or_else(|| malformed(&"it has no offsets"))?;
        if count == wanted.number || offset >= wanted.until {
            break;
        }
        if record.timestamp_ms < wanted.not_before_ms {
            continue;
        }
        let (key, value) = (of(record.schemas.key), of(record.schemas.value));
        lines.extend(render::line(partition, offset, &record, key, value));
        count += 1;
    }
    Ok((lines, count))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::PIECES_MAX;
    use super::*;
    use async_trait::async_trait;
    use jackfield_batch::{BatchWriter, Record};
    use jackfield_log::TopicPartition;
    use jackfield_schema::Schema;
    use serde_json::Value;
    use std::collections::VecDeque;
    use uuid::Uuid;

    type Looked = Result<Option<Fetched>, LogError>;

    /// Gives what it is told to, then nothing any more.
    struct Told(VecDeque<Looked>);

    #[async_trait]
    impl Browser for Told {
        async fn next(&mut self) -> Looked {
            let looked = self.0.pop_front().unwrap_or(Ok(None));
            if matches!(looked, Ok(None)) {
                tokio::time::sleep(BROWSE_WAIT).await;
            }
            looked
        }
    }

    struct NoSchemas;

    #[async_trait]
    impl Registry for NoSchemas {
        async fn register(&self, _: &str, _: &Schema) -> Result<u32, SchemaError> {
            Err(SchemaError::Missing(0))
        }

        async fn get(&self, id: u32) -> Result<Schema, SchemaError> {
            Err(SchemaError::Missing(id))
        }

        async fn latest(&self, _: &str) -> Result<Option<(u32, Schema)>, SchemaError> {
            Ok(None)
        }
    }

    /// One record of a partition.
    fn one(partition: i32, offset: i64) -> Looked {
        let mut batch = BatchWriter::new();
        let record = Record {
            value: Some(b"v"),
            ..Record::default()
        };
        batch.push_at(offset, &record).unwrap();
        Ok(Some(Fetched {
            at: TopicPartition::new("t", partition),
            topic_id: Uuid::nil(),
            position: offset,
            next_offset: offset + 1,
            batch: batch.finish().into(),
            end: offset + 1,
        }))
    }

    fn begun(
        looks: impl IntoIterator<Item = Looked>,
        until: &[(i32, i64)],
    ) -> mpsc::Receiver<Bytes> {
        let (pieces, given) = mpsc::channel(PIECES_MAX);
        let reader = Reader {
            browser: Box::new(Told(looks.into_iter().collect())),
            registry: Arc::new(NoSchemas),
            readings: HashMap::new(),
            plan: Planned {
                from: Vec::new(),
                until: until.iter().copied().collect(),
                not_before_ms: i64::MIN,
            },
            heard: BTreeSet::new(),
            follow: false,
            left: u64::MAX,
            pieces,
            turn: Arc::new(Semaphore::new(1)),
        };
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        tokio::spawn(reader.run(permit));
        given
    }

    /// What it gives, without the lines that only say that it is alive.
    async fn all(mut given: mpsc::Receiver<Bytes>) -> Vec<Value> {
        let mut lines = Vec::new();
        while let Some(piece) = given.recv().await {
            let text = std::str::from_utf8(&piece).unwrap();
            let some = text.lines().filter(|line| !line.is_empty());
            lines.extend(some.map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        lines
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_takes_a_while_to_connect_to_is_waited_for() {
        let silent = (0..50).map(|_| Ok(None));
        let lines = all(begun(silent.chain([one(0, 0)]), &[(0, 1)])).await;
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["offset"], 0);
    }

    #[tokio::test(start_paused = true)]
    async fn partitions_from_which_nothing_came_are_told_and_waited_for_no_longer() {
        let begin = Instant::now();
        let lines = all(begun([], &[(3, 7)])).await;
        assert!(begin.elapsed() >= FIRST_WITHIN);
        assert_eq!(lines.len(), 1);
        let why = lines[0]["error"].as_str().unwrap();
        assert!(why.contains("from partition 3 (up to offset 7)"), "{why}");

        let lines = all(begun([one(0, 0)], &[(0, 1), (3, 7)])).await;
        assert_eq!(lines[0]["partition"], 0);
        assert!(lines[1]["error"].is_string(), "{lines:?}");

        // What is missing at the end of one that gave something is marks of transactions.
        let lines = all(begun([one(0, 0)], &[(0, 2)])).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
    }

    /// Also to a client that does not take its lines yet.
    #[tokio::test(start_paused = true)]
    async fn the_reason_of_an_end_is_never_lost() {
        let records = (0..PIECES_MAX as i64).map(|offset| one(0, offset));
        let broken = Err(LogError::Fatal("as told".to_owned()));
        let given = begun(records.chain([broken]), &[(0, 100)]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lines = all(given).await;
        assert_eq!(lines.len(), PIECES_MAX + 1);
        assert_eq!(lines[PIECES_MAX]["error"], "as told");
    }
}
