//! The log: opened, closed, and the port's calls.

use crate::browse::EmbeddedBrowser;
use crate::command::{Command, Reply};
use crate::committer::{Committer, other_partitions};
use crate::config::EmbeddedConfig;
use crate::engine::Engine;
use crate::error;
use crate::folder::{check_format, take_lock};
use crate::groups::Groups;
use crate::keyed::EmbeddedKeyed;
use crate::keys;
use crate::prepare::read_mark;
use crate::reader::EmbeddedReader;
use crate::retention;
use crate::space::Disk;
use crate::topics::{Topics, read_offset, validated};
use crate::writer::{EmbeddedWriter, IN_FLIGHT_BYTES_MAX};
use async_trait::async_trait;
use jackfield_log::{
    Browser, Ends, Identity, Keyed, Log, LogError, Position, Reader, ReaderSpec, Stored, TopicInfo,
    TopicPartition, TopicSpec, Writer,
};
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc as std_mpsc};
use std::thread::JoinHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Commands that wait for the committer while it flushes; more wait with whoever asks.
const COMMANDS_MAX: usize = 1024;

/// What the threads and the handles of a log share.
pub(crate) struct Shared {
    pub(crate) config: EmbeddedConfig,
    pub(crate) engine: Engine,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    broken: OnceLock<String>,
    in_flight: Arc<Semaphore>,
}

impl Shared {
    /// Whether the log still takes writes.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        match self.broken.get() {
            Some(why) => Err(LogError::Fatal(format!(
                "{why}; it takes no more until the process is started again"
            ))),
            None => Ok(()),
        }
    }

    /// A write failed: none is taken any more.
    pub(crate) fn broken(&self, why: &str) {
        tracing::error!(why, "the log takes no more writes");
        self.broken.get_or_init(|| why.to_owned());
    }

    /// Waits until so many more bytes may be on their way.
    pub(crate) async fn take_in_flight(
        &self,
        bytes: usize,
    ) -> Result<OwnedSemaphorePermit, LogError> {
        let permits = u32::try_from(bytes.min(IN_FLIGHT_BYTES_MAX)).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.in_flight)
            .acquire_many_owned(permits)
            .await;
        taken.map_err(|_| LogError::Fatal("the log is closed".into()))
    }
}

/// What every handle holds: the threads go on while there is one, and are waited for by the last.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    commands: Option<mpsc::Sender<Command>>,
    stop: Option<std_mpsc::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    members: AtomicU64,
    /// Held until the threads have ended.
    _lock: File,
}

impl Handle {
    pub(crate) async fn send(&self, command: Command) -> Result<(), LogError> {
        let Some(commands) = &self.commands else {
            return Err(LogError::Fatal("the log is closed".into()));
        };
        let sent = commands.send(command).await;
        sent.map_err(|_| LogError::Fatal("the log's committer has ended".into()))
    }

    /// Asks the committer and waits for its answer.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, LogError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        answer
            .await
            .map_err(|_| LogError::Unknown("the log stopped before it answered".into()))?
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.commands = None;
        self.stop = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
    }
}

/// A look at the disk, away from the threads that must not wait.
pub(crate) async fn blocking<T: Send + 'static>(
    handle: &Arc<Handle>,
    look: impl FnOnce(&Shared) -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let handle = Arc::clone(handle);
    let looked = tokio::task::spawn_blocking(move || look(&handle.shared)).await;
    looked.map_err(|e| LogError::Retriable(format!("reading the log was cut off: {e}")))?
}

/// The log in a folder. The folder is free again when this and all that it gave out are dropped.
pub struct EmbeddedLog(Arc<Handle>);

impl EmbeddedLog {
    /// Opens the folder, and creates it when missing. Blocks while the engine reads back what it
    /// had not moved to its tables yet.
    ///
    /// # Errors
    /// [`LogError::Fatal`]: another process has it open, the folder can't be used, or what is in
    /// it is no log of this version.
    pub fn open(config: EmbeddedConfig) -> Result<Arc<Self>, LogError> {
        std::fs::create_dir_all(&config.dir).map_err(|e| error::file(&config.dir, &e))?;
        let lock = take_lock(&config.dir)?;
        check_format(&config.dir)?;
        let engine = Engine::open(&config.dir)?;
        let topics = Topics::load(&engine)?;
        let groups = Groups::load(group_offsets(&engine)?);
        let shared = Arc::new(Shared {
            config,
            engine,
            topics,
            groups,
            broken: OnceLock::new(),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_BYTES_MAX)),
        });
        let (commands, asked) = mpsc::channel(COMMANDS_MAX);
        let (stop, stopped) = std_mpsc::channel();
        let committer = Committer::new(Arc::clone(&shared));
        let retaining = (Arc::clone(&shared), commands.downgrade());
        let threads = vec![
            spawn("log-committer", move || committer.run(asked))?,
            spawn("log-retention", move || {
                retention::run(&retaining.0, &retaining.1, &stopped)
            })?,
        ];
        Ok(Arc::new(Self(Arc::new(Handle {
            shared,
            commands: Some(commands),
            stop: Some(stop),
            threads,
            members: AtomicU64::new(0),
            _lock: lock,
        }))))
    }

    /// What the log takes of its disk. Blocks as long as the file system does.
    ///
    /// # Errors
    /// [`LogError::Retriable`]: the file system did not say.
    pub fn disk(&self) -> Result<Disk, LogError> {
        let engine = &self.0.shared.engine;
        Disk::of(engine.dir(), engine.disk_bytes()?)
    }
}

#[cfg(test)]
impl EmbeddedLog {
    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.0
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|e| LogError::Fatal(format!("the thread {name} could not be started: {e}")))
}

fn group_offsets(engine: &Engine) -> Result<Vec<(String, keys::Place, i64)>, LogError> {
    let mut offsets = Vec::new();
    for (key, offset) in engine.all(&keys::group_offsets())? {
        let (group, place) = keys::read_group_offset(&key).ok_or_else(|| {
            LogError::Fatal(
                "a group's offset in the log has no sound key: the folder was changed from outside"
                    .into(),
            )
        })?;
        offsets.push((group, place, read_offset(&offset)?));
    }
    Ok(offsets)
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        let kept = validated(spec)?;
        if let Some(existing) = self.0.shared.topics.get(&spec.name) {
            if existing.info.partitions != spec.partitions {
                return Err(other_partitions(&existing.info, spec.partitions));
            }
            return Ok(existing.info.clone());
        }
        let name = spec.name.clone();
        self.0
            .ask(|reply| Command::CreateTopic { name, kept, reply })
            .await
    }

    async fn describe_topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        Ok(self
            .0
            .shared
            .topics
            .get(name)
            .map(|topic| topic.info.clone()))
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        Ok(self
            .0
            .shared
            .topics
            .all()
            .iter()
            .map(|topic| topic.info.clone())
            .collect())
    }

    async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        let name = name.to_owned();
        self.0
            .ask(|reply| Command::DeleteTopic { name, reply })
            .await
    }

    async fn ends(&self, topic: &str, partition: i32) -> Result<Ends, LogError> {
        Ok(self
            .0
            .shared
            .topics
            .existing(topic)?
            .partition(partition)?
            .ends)
    }

    async fn writer(&self, identity: &Identity) -> Result<Box<dyn Writer>, LogError> {
        let identity = identity.clone();
        let session = self
            .0
            .ask(|reply| Command::OpenWriter { identity, reply })
            .await?;
        Ok(Box::new(EmbeddedWriter {
            handle: Arc::clone(&self.0),
            session,
        }))
    }

    async fn stored(&self, identity: &Identity) -> Result<Stored, LogError> {
        let prefix = keys::positions(&identity.connector)?;
        let mark = keys::mark(&identity.connector, &identity.slot)?;
        blocking(&self.0, move |shared| {
            let text = |bytes: &[u8]| {
                String::from_utf8(bytes.to_vec()).map_err(|_| {
                    LogError::Fatal(
                        "a position in the log is no text: the folder was changed from outside"
                            .into(),
                    )
                })
            };
            let entries = shared.engine.all(&prefix)?;
            let positions = entries.iter().map(|(key, offset)| {
                Ok(Position {
                    partition: text(&key[prefix.len()..])?,
                    offset: Some(text(offset)?),
                })
            });
            Ok(Stored {
                positions: positions.collect::<Result<_, LogError>>()?,
                mark: shared
                    .engine
                    .get(&mark)?
                    .and_then(|bytes| read_mark(&bytes)),
            })
        })
        .await
    }

    async fn set_positions(&self, connector: &str, positions: &[Position]) -> Result<(), LogError> {
        let (connector, positions) = (connector.to_owned(), positions.to_vec());
        let ask = |reply| Command::SetPositions {
            connector,
            positions,
            reply,
        };
        self.0.ask(ask).await
    }

    async fn reader(&self, spec: &ReaderSpec) -> Result<Box<dyn Reader>, LogError> {
        let member = self.0.members.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(EmbeddedReader::join(
            Arc::clone(&self.0),
            member,
            spec,
        )?))
    }

    async fn group_offsets(
        &self,
        group: &str,
        topics: &[String],
    ) -> Result<Vec<(TopicPartition, i64)>, LogError> {
        self.0.shared.group_offsets(group, topics)
    }

    async fn set_group_offsets(
        &self,
        group: &str,
        _topics: &[String],
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<(), LogError> {
        let offsets = self.0.shared.places(offsets)?;
        let group = self.0.shared.groups.get(group);
        let ask = |reply| Command::SetOffsets {
            group,
            offsets,
            reply,
        };
        self.0.ask(ask).await
    }

    async fn browse(&self, topic: &str, from: &[(i32, i64)]) -> Result<Box<dyn Browser>, LogError> {
        Ok(Box::new(EmbeddedBrowser::open(&self.0, topic, from)?))
    }

    async fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Result<i64, LogError> {
        let topic = self.0.shared.topics.existing(topic)?;
        let ends = topic.partition(partition)?.ends;
        let place = topic.place(partition);
        blocking(&self.0, move |shared| {
            shared.engine.offset_at(place, ends, time_ms)
        })
        .await
    }

    async fn bytes(&self, topic: &str, partition: i32) -> Result<Option<u64>, LogError> {
        let topic = self.0.shared.topics.existing(topic)?;
        let given = {
            let held = topic.partition(partition)?;
            if held.ends.start == held.ends.end {
                return Ok(Some(0));
            }
            held.bytes
        };
        let place = topic.place(partition);
        let first = blocking(&self.0, move |shared| shared.engine.first(place)).await?;
        let before = first.map_or(given, |it| it.bytes_before);
        Ok(Some(given.saturating_sub(before)))
    }

    async fn keyed(&self, topic: &str) -> Result<Arc<dyn Keyed>, LogError> {
        keys::all_keyed(topic)?;
        Ok(Arc::new(EmbeddedKeyed {
            handle: Arc::clone(&self.0),
            topic: topic.to_owned(),
        }))
    }
}
