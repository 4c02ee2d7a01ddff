//! What the log holds, for the admin server: topics, and records that are read beside the pipelines
//! and in nobody's way.

mod reader;

use futures::future::try_join_all;
use futures::stream;
use jackfield_admin::{Answer, Begin, Lines, LinesAnswer, Objection, RecordsCall, Topics};
use jackfield_log::{Ends, Log, LogError, TopicInfo};
use jackfield_schema::Registry;
use reader::Reader;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

/// Readers at a time: people, and a page or two. Each holds a batch and its lines.
const READERS_MAX: usize = 8;
/// Pieces of lines that wait for a client; when they are not taken nothing more is read.
const PIECES_MAX: usize = 4;
/// Partitions that are asked for at once: each is a question to a broker, where there is one.
const ASKED_AT_ONCE: usize = 16;
/// Longest that telling of topics may take: a cluster may have very many.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

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
