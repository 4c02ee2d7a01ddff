//! The one thread that writes: gathers what is asked, writes it at once, flushes, and answers.

use crate::command::{AppendCommand, Command, Reply, Session};
use crate::engine::{HEAD_BYTES, Transaction};
use crate::keys;
use crate::log::Shared;
use crate::prepare::{self, PreparedOutput, Put};
use crate::space;
use crate::tail::{Recent, TailBudget};
use crate::topics::{Topic, offset_bytes};
use bytes::Bytes;
use jackfield_batch::stamp_first_offset;
use jackfield_log::{Appended, Identity, LogError, Resolver, TopicInfo};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Bytes that one flush serves at most: more would make those who came first wait for no gain.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// Commands that one flush serves at most, for the same reason.
const GROUP_COMMANDS_MAX: usize = 1024;
/// Most room that one flush can need beyond what was counted: keys, framing and checksums.
const GROUP_OVERHEAD_BYTES: u64 = 1 << 20;

/// A batch that was written and is not flushed yet.
struct Landed {
    topic: Arc<Topic>,
    partition: i32,
    base: i64,
    end: i64,
    batch: Bytes,
}

/// What happens once the flush has its outcome.
enum Effect {
    Appended {
        landed: Vec<Landed>,
        resolver: Resolver,
        /// Held until the outcome is known.
        permit: OwnedSemaphorePermit,
    },
    Opened {
        session: Session,
        reply: Reply<Session>,
    },
    Done(Reply<()>),
    Created {
        topic: Box<Topic>,
        reply: Reply<TopicInfo>,
    },
    Deleted {
        topic: Arc<Topic>,
        reply: Reply<()>,
    },
}

pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// The newest writer of each identity, until one of its appends fails.
    writers: HashMap<Identity, u64>,
    opened: u64,
    budget: TailBudget,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            writers: HashMap::new(),
            opened: 0,
            budget: TailBudget::default(),
        }
    }

    /// Serves commands until nobody can ask any more.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let shared = Arc::clone(&self.shared);
        let mut held = None;
        while let Some(first) = held.take().or_else(|| commands.blocking_recv()) {
            let mut group = Group::new(&shared);
            let mut next = Some(first);
            while let Some(command) = next.take() {
                let alone = command.is_alone();
                if alone && group.commands > 0 {
                    held = Some(command);
                    break;
                }
                group.commands += 1;
                self.stage(command, &mut group);
                if !alone && group.bytes < GROUP_BYTES_MAX && group.commands < GROUP_COMMANDS_MAX {
                    next = commands.try_recv().ok();
                }
            }
            self.finish(group);
        }
    }

    fn stage(&mut self, command: Command, group: &mut Group<'_>) {
        if let Err(why) = self.shared.check() {
            return command.refuse(why);
        }
        if let Command::Append(append) = &command
            && !self.is_newest(&append.session)
        {
            let why = fenced(&append.session.identity);
            return command.refuse(why);
        }
        if let Some(bytes) = command.grows()
            && let Err(why) = group.take_room(&self.shared, bytes)
        {
            if let Command::Append(append) = &command {
                self.end(&append.session);
            }
            return command.refuse(why);
        }
        match command {
            Command::Append(append) => self.append(*append, group),
            Command::OpenWriter { identity, reply } => {
                self.opened += 1;
                self.writers.insert(identity.clone(), self.opened);
                let session = Session {
                    identity,
                    number: self.opened,
                };
                group.effects.push(Effect::Opened { session, reply });
            }
            Command::Flush { reply } => group.effects.push(Effect::Done(reply)),
            Command::SetPositions {
                connector,
                positions,
                reply,
            } => match prepare::positions(&connector, positions) {
                Ok(puts) => {
                    group.write(puts);
                    group.effects.push(Effect::Done(reply));
                }
                Err(why) => drop(reply.send(Err(why))),
            },
            Command::PutKeyed { key, value, reply } => {
                group.write(vec![(key, value)]);
                group.effects.push(Effect::Done(reply));
            }
            Command::CommitOffsets {
                group: of,
                member,
                offsets,
                reply,
            } => match of.commit(member, &offsets) {
                Ok(puts) => {
                    group.write(puts);
                    group.effects.push(Effect::Done(reply));
                }
                Err(why) => drop(reply.send(Err(why))),
            },
            Command::SetOffsets {
                group: of,
                offsets,
                reply,
            } => match of.set(&offsets) {
                Ok(puts) => {
                    group.write(puts);
                    group.effects.push(Effect::Done(reply));
                }
                Err(why) => drop(reply.send(Err(why))),
            },
            Command::CreateTopic { name, kept, reply } => self.create(&name, &kept, reply, group),
            Command::DeleteTopic { name, reply } => self.delete(&name, reply, group),
            Command::Trim {
                topic,
                partition,
                start,
                batches,
            } => trim(&topic, partition, start, batches, group),
            Command::Purge {
                topic,
                partitions,
                batches,
                last,
            } => {
                batches
                    .into_iter()
                    .for_each(|key| group.transaction.remove_batch(key));
                if last {
                    partitions
                        .into_iter()
                        .for_each(|place| group.transaction.remove(keys::start(place)));
                    group.transaction.remove(keys::deleted(topic));
                }
            }
        }
    }

    fn append(&mut self, append: AppendCommand, group: &mut Group<'_>) {
        let AppendCommand {
            session,
            prepared,
            resolver,
            permit,
        } = append;
        if let Some(gone) = prepared
            .outputs
            .iter()
            .find(|output| output.topic.is_deleted())
        {
            self.end(&session);
            let text = format!("the topic {} was deleted", gone.topic.info.name);
            return resolver.resolve(Err(LogError::Rejected(text)));
        }
        let now_ms = now_ms();
        let landed: Result<Vec<Landed>, LogError> = prepared
            .outputs
            .into_iter()
            .map(|output| group.land(output, now_ms))
            .collect();
        match landed {
            Ok(landed) => {
                group.write(prepared.puts);
                group.effects.push(Effect::Appended {
                    landed,
                    resolver,
                    permit,
                });
            }
            // The partition was there when the append was prepared, and partitions stay.
            Err(why) => {
                self.end(&session);
                resolver.resolve(Err(why));
            }
        }
    }

    /// No writer of the identity was opened since, and no append of this one failed.
    fn is_newest(&self, session: &Session) -> bool {
        self.writers.get(&session.identity) == Some(&session.number)
    }

    /// Nothing more of this writer lands.
    fn end(&mut self, session: &Session) {
        if self.is_newest(session) {
            self.writers.remove(&session.identity);
        }
    }

    fn create(
        &self,
        name: &str,
        kept: &crate::topics::Kept,
        reply: Reply<TopicInfo>,
        group: &mut Group<'_>,
    ) {
        if let Some(existing) = self.shared.topics.get(name) {
            let same = existing.info.partitions == kept.partitions;
            let outcome = if same {
                Ok(existing.info.clone())
            } else {
                Err(other_partitions(&existing.info, kept.partitions))
            };
            return drop(reply.send(outcome));
        }
        let made = serde_json::to_vec(kept)
            .map_err(|e| LogError::Rejected(format!("the topic {name}: {e}")))
            .and_then(|json| Ok((json, Topic::load(name, kept, &self.shared.engine)?)));
        match made {
            Ok((json, topic)) => {
                group.transaction.put(keys::topic(name), json);
                group.effects.push(Effect::Created {
                    topic: Box::new(topic),
                    reply,
                });
            }
            Err(why) => drop(reply.send(Err(why))),
        }
    }

    fn delete(&self, name: &str, reply: Reply<()>, group: &mut Group<'_>) {
        let topic = match self.shared.topics.existing(name) {
            Ok(topic) => topic,
            Err(why) => return drop(reply.send(Err(why))),
        };
        let partitions = topic.info.partitions.to_le_bytes();
        group.transaction.remove(keys::topic(name));
        group
            .transaction
            .put(keys::deleted(topic.info.id), partitions.to_vec());
        for key in self.shared.groups.forget_topic(topic.info.id) {
            group.transaction.remove(key);
        }
        group.effects.push(Effect::Deleted { topic, reply });
    }

    /// Flushes, then lets everyone know, in the order of the commands.
    fn finish(&mut self, group: Group<'_>) {
        let Group {
            transaction,
            effects,
            ..
        } = group;
        let outcome = transaction.commit();
        if let Err(why) = &outcome {
            self.shared.broken(why);
        }
        let mut woken: Vec<Arc<Topic>> = Vec::new();
        for effect in effects {
            match (effect, &outcome) {
                (
                    Effect::Appended {
                        landed,
                        resolver,
                        permit,
                    },
                    Ok(()),
                ) => {
                    let first_offsets = landed.iter().map(|it| it.base).collect();
                    for it in landed {
                        self.publish(&it);
                        if !woken.iter().any(|topic| Arc::ptr_eq(topic, &it.topic)) {
                            woken.push(it.topic);
                        }
                    }
                    drop(permit);
                    resolver.resolve(Ok(Appended { first_offsets }));
                }
                (
                    Effect::Appended {
                        resolver, permit, ..
                    },
                    Err(why),
                ) => {
                    drop(permit);
                    resolver.resolve(Err(LogError::Unknown(why.clone())));
                }
                (Effect::Opened { session, reply }, Ok(())) => drop(reply.send(Ok(session))),
                (Effect::Opened { reply, .. }, Err(why)) => {
                    drop(reply.send(Err(LogError::Fatal(why.clone()))))
                }
                (Effect::Done(reply), Ok(())) => drop(reply.send(Ok(()))),
                (Effect::Done(reply), Err(why)) => {
                    drop(reply.send(Err(LogError::Unknown(why.clone()))))
                }
                (Effect::Created { topic, reply }, Ok(())) => {
                    let info = topic.info.clone();
                    self.shared.topics.add(Arc::from(topic));
                    drop(reply.send(Ok(info)));
                }
                (Effect::Created { reply, .. }, Err(why)) => {
                    drop(reply.send(Err(LogError::Unknown(why.clone()))))
                }
                (Effect::Deleted { topic, reply }, Ok(())) => {
                    topic.delete();
                    self.shared.topics.remove(&topic.info.name);
                    self.shared.groups.rebalance_all();
                    drop(reply.send(Ok(())));
                }
                (Effect::Deleted { reply, .. }, Err(why)) => {
                    drop(reply.send(Err(LogError::Unknown(why.clone()))))
                }
            }
        }
        woken.iter().for_each(|topic| topic.wake_readers());
    }

    fn publish(&mut self, it: &Landed) {
        let Ok(mut partition) = it.topic.partition(it.partition) else {
            return;
        };
        partition.ends.end = it.end;
        partition.tail.push(Recent {
            base: it.base,
            batch: it.batch.clone(),
        });
        drop(partition);
        self.budget
            .add(&it.topic, it.partition, it.base, it.batch.len());
    }
}

/// What one flush serves.
struct Group<'a> {
    transaction: Transaction<'a>,
    effects: Vec<Effect>,
    commands: usize,
    bytes: usize,
    /// Whether the disk has room for the largest group; looked up once, when first asked.
    room: Option<Result<(), LogError>>,
}

impl<'a> Group<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            transaction: shared.engine.transaction(),
            effects: Vec::new(),
            commands: 0,
            bytes: 0,
            room: None,
        }
    }

    fn take_room(&mut self, shared: &Shared, bytes: usize) -> Result<(), LogError> {
        self.bytes += bytes;
        let looked_up = self.room.get_or_insert_with(|| {
            let most = GROUP_BYTES_MAX as u64 + GROUP_OVERHEAD_BYTES;
            space::check(shared.engine.dir(), most, shared.config.reserve_bytes)
        });
        looked_up.clone()
    }

    fn write(&mut self, puts: Vec<Put>) {
        for (key, value) in puts {
            match value {
                Some(value) => self.transaction.put(key, value),
                None => self.transaction.remove(key),
            }
        }
    }

    /// Gives a batch its offsets and writes it.
    fn land(&mut self, output: PreparedOutput, now_ms: i64) -> Result<Landed, LogError> {
        let PreparedOutput {
            topic,
            partition: number,
            records,
            mut value,
        } = output;
        let mut partition = topic.partition(number)?;
        let (base, bytes_before) = (partition.next, partition.bytes);
        let end = base + records;
        partition.next = end;
        partition.bytes += (value.len() - HEAD_BYTES) as u64;
        drop(partition);
        value[..8].copy_from_slice(&now_ms.to_le_bytes());
        value[8..HEAD_BYTES].copy_from_slice(&bytes_before.to_le_bytes());
        stamp_first_offset(&mut value[HEAD_BYTES..], base);
        let value = Bytes::from(value);
        self.transaction
            .put_batch(topic.place(number), base, value.clone());
        Ok(Landed {
            partition: number,
            base,
            end,
            batch: value.slice(HEAD_BYTES..),
            topic,
        })
    }
}

fn trim(topic: &Topic, number: i32, start: i64, batches: Vec<Bytes>, group: &mut Group<'_>) {
    if topic.is_deleted() {
        return;
    }
    // Readers are told before the batches are gone; a flush that fails ends the log anyway.
    let Ok(mut partition) = topic.partition(number) else {
        return;
    };
    partition.ends.start = start;
    drop(partition);
    group
        .transaction
        .put(keys::start(topic.place(number)), offset_bytes(start));
    batches
        .into_iter()
        .for_each(|key| group.transaction.remove_batch(key));
}

pub(crate) fn fenced(identity: &Identity) -> LogError {
    LogError::Fenced(format!(
        "the writer of {} slot {} was replaced by a newer one, or an earlier append of it failed",
        identity.connector, identity.slot
    ))
}

pub(crate) fn other_partitions(existing: &TopicInfo, asked: i32) -> LogError {
    LogError::Rejected(format!(
        "the topic {} has {} partitions, not {asked}",
        existing.name, existing.partitions
    ))
}

/// The wall clock: it decides what is old, and orders nothing.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
