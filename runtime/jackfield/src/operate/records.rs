//! What the log holds, for the admin server: topics, and records that are read beside the pipelines
//! and in nobody's way.

use super::render::{self, Reading};
use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream;
use jackfield_admin::{Answer, Begin, Lines, LinesAnswer, Objection, RecordsCall, Topics};
use jackfield_batch::{Batch, Limits};
use jackfield_log::{BROWSE_WAIT, Browser, Ends, Fetched, Log, LogError, TopicInfo};
use jackfield_log_json::Plan;
use jackfield_schema::{Registry, SchemaError, SchemaKind};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

/// Readers at a time: people, and a page or two. Each holds a batch and its lines.
const READERS_MAX: usize = 8;
/// Pieces of lines that wait for a client; when they are not taken nothing more is read.
const PIECES_MAX: usize = 4;
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
/// Partitions that are asked for at once: each is a question to a broker, where there is one.
const ASKED_AT_ONCE: usize = 16;
/// Longest that telling of topics may take: a cluster may have very many.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// Schemas that one reader keeps: more than a topic ever had.
const SCHEMAS_MAX: usize = 1000;

/// The log, its registry, and who reads for people.
pub(crate) struct Kept {
    log: Arc<dyn Log>,
    registry: Arc<dyn Registry>,
    /// Where reading and decoding run: not on the server's only thread.
    runtime: Handle,
    readers: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

impl Kept {
    /// To be made where tasks can be started.
    pub(crate) fn new(log: Arc<dyn Log>, registry: Arc<dyn Registry>) -> Arc<Self> {
        Arc::new(Self {
            log,
            registry,
            runtime: Handle::current(),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            turn: Arc::new(Semaphore::new(1)),
        })
    }
}

impl Topics for Kept {
    fn list(&self) -> Answer {
        let log = Arc::clone(&self.log);
        let listing = self.runtime.spawn(in_time(async move {
            let mut all = Vec::new();
            for topic in log.topics().await? {
                let partitions = partitions(&*log, &topic).await?;
                all.push(json!({
                    "name": &*topic.name,
                    "partitions": topic.partitions,
                    "records": records(&partitions),
                    "bytes": bytes(&partitions),
                }));
            }
            Ok(Value::Array(all))
        }));
        Box::pin(async move { joined(listing.await) })
    }

    fn describe(&self, topic: String) -> Answer {
        let log = Arc::clone(&self.log);
        let describing = self.runtime.spawn(in_time(async move {
            let topic = known(&*log, &topic).await?;
            let partitions = partitions(&*log, &topic).await?;
            let each = partitions.iter().map(|it| {
                json!({
                    "partition": it.number,
                    "begin": it.ends.start,
                    "end": it.ends.end,
                    "records": it.records(),
                    "bytes": it.bytes,
                })
            });
            Ok(json!({
                "name": &*topic.name,
                "id": topic.id,
                "partitions": each.collect::<Vec<_>>(),
                "records": records(&partitions),
                "bytes": bytes(&partitions),
            }))
        }));
        Box::pin(async move { joined(describing.await) })
    }

    fn records(&self, call: RecordsCall) -> LinesAnswer {
        let permit = Arc::clone(&self.readers).try_acquire_owned();
        let Ok(permit) = permit else {
            let message = format!("{READERS_MAX} readers are at it already: try again later");
            let busy = Objection {
                status: 429,
                code: "too-many-readers",
                message,
            };
            return Box::pin(async { Err(busy) });
        };
        let (log, registry) = (Arc::clone(&self.log), Arc::clone(&self.registry));
        let (turn, runtime) = (Arc::clone(&self.turn), self.runtime.clone());
        let opening = self.runtime.spawn(async move {
            let plan = Planned::of(&*log, &call).await?;
            let browser = log.browse(&call.topic, &plan.from).await?;
            let (pieces, given) = mpsc::channel(PIECES_MAX);
            let reader = Reader {
                browser,
                registry,
                readings: HashMap::new(),
                plan,
                heard: BTreeSet::new(),
                follow: call.follow,
                left: call.number.unwrap_or(u64::MAX),
                pieces,
                turn,
            };
            runtime.spawn(reader.run(permit));
            Ok(given)
        });
        Box::pin(async move {
            let given = joined(opening.await)?;
            let lines = stream::unfold(given, |mut given| async move {
                given.recv().await.map(|piece| (piece, given))
            });
            Ok(Box::pin(lines) as Lines)
        })
    }
}

fn joined<T>(done: Result<Result<T, LogError>, tokio::task::JoinError>) -> Result<T, Objection> {
    match done {
        Ok(done) => done.map_err(|error| objection(&error)),
        Err(panicked) => Err(Objection {
            status: 500,
            code: "panicked",
            message: format!("looking at the log broke: {panicked}"),
        }),
    }
}

fn objection(error: &LogError) -> Objection {
    let (status, code) = match error {
        LogError::Rejected(_) => (404, "unknown-topic"),
        LogError::Retriable(_) | LogError::Unknown(_) => (503, "log-unavailable"),
        LogError::Fenced(_) | LogError::Fatal(_) => (500, "log-failed"),
    };
    Objection {
        status,
        code,
        message: error.to_string(),
    }
}

/// A partition as it stands.
struct Partition {
    number: i32,
    ends: Ends,
    bytes: Option<u64>,
}

impl Partition {
    /// Offsets that hold no record are counted too: which do only reading tells.
    fn records(&self) -> u64 {
        u64::try_from(self.ends.end - self.ends.start).unwrap_or(0)
    }
}

fn records(partitions: &[Partition]) -> u64 {
    partitions.iter().map(Partition::records).sum()
}

fn bytes(partitions: &[Partition]) -> Option<u64> {
    partitions.iter().map(|it| it.bytes).sum()
}

async fn known(log: &dyn Log, topic: &str) -> Result<TopicInfo, LogError> {
    let described = log.describe_topic(topic).await?;
    described.ok_or_else(|| LogError::Rejected(format!("there is no topic {topic}")))
}

async fn partitions(log: &dyn Log, topic: &TopicInfo) -> Result<Vec<Partition>, LogError> {
    let numbers: Vec<i32> = (0..topic.partitions).collect();
    let mut all = Vec::with_capacity(numbers.len());
    for some in numbers.chunks(ASKED_AT_ONCE) {
        let asked = some.iter().map(|number| partition(log, topic, *number));
        all.extend(try_join_all(asked).await?);
    }
    Ok(all)
}

async fn partition(log: &dyn Log, topic: &TopicInfo, number: i32) -> Result<Partition, LogError> {
    Ok(Partition {
        number,
        ends: log.ends(&topic.name, number).await?,
        bytes: log.bytes(&topic.name, number).await?,
    })
}

/// Not longer than anyone waits.
async fn in_time<T>(told: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
    let told = tokio::time::timeout(TOLD_WITHIN, told).await;
    told.unwrap_or_else(|_| {
        let late = format!("the log does not tell within {} s", TOLD_WITHIN.as_secs());
        Err(LogError::Retriable(late))
    })
}

/// Where to begin and where to end.
struct Planned {
    from: Vec<(i32, i64)>,
    /// By partition: what is at or behind it is not read unless it follows.
    until: BTreeMap<i32, i64>,
    /// What is older is passed over, ms since the epoch: a log finds times only roughly.
    not_before_ms: i64,
}

impl Planned {
    async fn of(log: &dyn Log, call: &RecordsCall) -> Result<Self, LogError> {
        let topic = known(log, &call.topic).await?;
        let chosen: Vec<i32> = match call.partitions.is_empty() {
            true => (0..topic.partitions).collect(),
            false => call.partitions.clone(),
        };
        let mut plan = Self {
            from: Vec::with_capacity(chosen.len()),
            until: BTreeMap::new(),
            not_before_ms: i64::MIN,
        };
        for partition in chosen {
            let ends = log.ends(&topic.name, partition).await?;
            let from = match call.from {
                Begin::Beginning => ends.start,
                Begin::End => ends.end,
                Begin::Offset(offset) => offset.clamp(ends.start, ends.end),
                Begin::Last(count) => {
                    let back = i64::try_from(count).unwrap_or(i64::MAX);
                    ends.end.saturating_sub(back).max(ends.start)
                }
                Begin::Time(ms) => {
                    plan.not_before_ms = ms;
                    log.offset_at(&topic.name, partition, ms).await?
                }
            };
            plan.from.push((partition, from));
            if from < ends.end {
                plan.until.insert(partition, ends.end);
            }
        }
        Ok(plan)
    }
}

/// Reads for one client, until it has all or is gone.
struct Reader {
    browser: Box<dyn Browser>,
    registry: Arc<dyn Registry>,
    readings: HashMap<u32, Reading>,
    plan: Planned,
    /// The partitions that anything came from.
    heard: BTreeSet<i32>,
    follow: bool,
    /// Records that are still wanted.
    left: u64,
    pieces: mpsc::Sender<Bytes>,
    turn: Arc<Semaphore>,
}

/// Why a reader has ended.
enum Over {
    /// All that was wanted is given.
    Done,
    /// The client is gone.
    Gone,
}

impl Reader {
    async fn run(mut self, permit: OwnedSemaphorePermit) {
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
    use super::*;
    use async_trait::async_trait;
    use jackfield_batch::{BatchWriter, Record};
    use jackfield_log::TopicPartition;
    use jackfield_schema::Schema;
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
