//! What is on the disk: two keyspaces of one engine.

use crate::error;
use crate::keys::{self, Place};
use crate::topics::count;
use bytes::Bytes;
use fjall::config::CompressionPolicy;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions,
    OwnedWriteBatch, PersistMode,
};
use jackfield_log::{Ends, LogError};
use std::path::{Path, PathBuf};

/// Blocks kept in memory for readers that are behind; the newest batches are in the tail anyway.
const CACHE_BYTES: u64 = 16 << 20;
/// Batches gathered in memory before they are moved to tables: bounds what an opening reads again.
const MEMTABLE_BYTES: u64 = 32 << 20;
/// The same for everything small.
const META_MEMTABLE_BYTES: u64 = 4 << 20;
/// Journals kept until what is in them has been moved: bounds the room that they take.
const JOURNALS_BYTES_MAX: u64 = 128 << 20;
/// Moving and merging is rare and large: one thread suffices.
const WORKERS: usize = 1;

/// What a value holds before its batch: when it was appended, ms since the epoch, and how many
/// bytes its partition had been given by then.
pub(crate) const HEAD_BYTES: usize = 16;

/// A batch as it lies in the log.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// The offset of its first record.
    pub(crate) base: i64,
    /// When it was appended, ms since the epoch.
    pub(crate) appended_ms: i64,
    /// Bytes that its partition had been given before it.
    pub(crate) bytes_before: u64,
    /// The packed batch, with coordinates.
    pub(crate) batch: Bytes,
}

/// The engine, opened.
pub(crate) struct Engine {
    database: Database,
    batches: Keyspace,
    meta: Keyspace,
    dir: PathBuf,
}

impl Engine {
    pub(crate) fn open(dir: &Path) -> Result<Self, LogError> {
        let failed = |error: fjall::Error| match error::reading(dir, &error) {
            // Nobody has the log yet, so there is nothing to retry it on.
            LogError::Retriable(text) => LogError::Fatal(text),
            other => other,
        };
        let database = Database::builder(dir.join("engine"))
            .cache_size(CACHE_BYTES)
            .worker_threads(WORKERS)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .journal_compression(CompressionType::None)
            .open()
            .map_err(failed)?;
        // Batches of records are compressed by who reads and writes them, if at all; values apart
        // from keys are moved once, not again with each merge of tables.
        let batches = KeyspaceCreateOptions::default()
            .max_memtable_size(MEMTABLE_BYTES)
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
            .with_kv_separation(Some(
                KvSeparationOptions::default().compression(CompressionType::None),
            ));
        let batches = database.keyspace("batches", || batches).map_err(failed)?;
        let meta = KeyspaceCreateOptions::default().max_memtable_size(META_MEMTABLE_BYTES);
        let meta = database.keyspace("meta", || meta).map_err(failed)?;
        Ok(Self {
            database,
            batches,
            meta,
            dir: dir.to_owned(),
        })
    }

    /// The folder of the log.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes that its files take.
    pub(crate) fn disk_bytes(&self) -> Result<u64, LogError> {
        self.database.disk_space().map_err(|e| self.failed(&e))
    }

    /// One atomic write, flushed when it returns.
    pub(crate) fn transaction(&self) -> Transaction<'_> {
        let writes = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        Transaction {
            engine: self,
            writes,
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, LogError> {
        let found = self.meta.get(key).map_err(|e| self.failed(&e))?;
        Ok(found.map(Bytes::from))
    }

    /// All keys that begin with `prefix`, whole, with their values, in order.
    pub(crate) fn all(&self, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, LogError> {
        self.meta
            .prefix(prefix)
            .map(|entry| match entry.into_inner() {
                Ok((key, value)) => Ok((key.into(), value.into())),
                Err(error) => Err(self.failed(&error)),
            })
            .collect()
    }

    /// The first batch of a partition that is still there.
    pub(crate) fn first(&self, place: Place) -> Result<Option<Stored>, LogError> {
        self.read(place, 0, i64::MAX, 0)
            .map(|batches| batches.into_iter().next())
    }

    /// The last batch of a partition.
    pub(crate) fn last(&self, place: Place) -> Result<Option<Stored>, LogError> {
        self.at(place, i64::MAX)
    }

    /// The batch that begins at or before `offset`, and nearest to it.
    fn at(&self, place: Place, offset: i64) -> Result<Option<Stored>, LogError> {
        let range = keys::batch(place, 0)..=keys::batch(place, offset);
        let found = self.batches.range(range).next_back();
        found
            .map(|entry| self.stored(entry.into_inner()))
            .transpose()
    }

    /// The first offset of a batch that was appended at `time_ms` or later, within these ends;
    /// the end where there is none. Batches are appended in the order of their times, but for a
    /// clock that was set back.
    pub(crate) fn offset_at(
        &self,
        place: Place,
        ends: Ends,
        time_ms: i64,
    ) -> Result<i64, LogError> {
        // All before `low` is older, all from `high` on is not.
        let (mut low, mut high) = (ends.start, ends.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.at(place, middle)? {
                Some(batch) if batch.appended_ms >= time_ms => high = batch.base.max(low),
                Some(batch) => low = (batch.base + count(&batch.batch)?).max(middle + 1),
                None => low = middle + 1,
            }
        }
        Ok(high.min(ends.end))
    }

    /// Batches from the one that holds `from`, or the next one, up to `end`: at least one where
    /// there is one, and no further one once they hold `bytes_max`.
    pub(crate) fn read(
        &self,
        place: Place,
        from: i64,
        end: i64,
        bytes_max: usize,
    ) -> Result<Vec<Stored>, LogError> {
        let begin = match self.at(place, from)? {
            Some(holding) => holding.base,
            None => from,
        };
        let mut read = Vec::new();
        let mut bytes = 0;
        for entry in self
            .batches
            .range(keys::batch(place, begin)..keys::batch(place, end))
        {
            let stored = self.stored(entry.into_inner())?;
            bytes += stored.batch.len();
            read.push(stored);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(read)
    }

    /// The keys of a partition's or topic's batches, at most so many.
    pub(crate) fn batch_keys(&self, prefix: &[u8], max: usize) -> Result<Vec<Bytes>, LogError> {
        self.batches
            .prefix(prefix)
            .take(max)
            .map(|entry| match entry.key() {
                Ok(key) => Ok(key.into()),
                Err(error) => Err(self.failed(&error)),
            })
            .collect()
    }

    fn stored(&self, entry: fjall::Result<fjall::KvPair>) -> Result<Stored, LogError> {
        let (key, value) = entry.map_err(|e| self.failed(&e))?;
        let value = Bytes::from(value);
        let head = || {
            let (appended_ms, rest) = value.split_first_chunk::<8>()?;
            let bytes_before = rest.first_chunk::<8>()?;
            Some(Stored {
                base: keys::base_of(&key)?,
                appended_ms: i64::from_le_bytes(*appended_ms),
                bytes_before: u64::from_le_bytes(*bytes_before),
                batch: value.slice(HEAD_BYTES..),
            })
        };
        head().ok_or_else(|| {
            LogError::Fatal(format!(
                "the log in {} holds a value that is no batch: the folder was changed from outside",
                self.dir.display()
            ))
        })
    }

    fn failed(&self, error: &fjall::Error) -> LogError {
        error::reading(&self.dir, error)
    }
}

/// Writes that land together.
pub(crate) struct Transaction<'a> {
    engine: &'a Engine,
    writes: OwnedWriteBatch,
}

impl Transaction<'_> {
    pub(crate) fn put(&mut self, key: Vec<u8>, value: impl Into<Bytes>) {
        self.writes.insert(&self.engine.meta, key, value.into());
    }

    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.writes.remove(&self.engine.meta, key);
    }

    /// A batch with its head, see [`HEAD_BYTES`].
    pub(crate) fn put_batch(&mut self, place: Place, base: i64, value: Bytes) {
        let key = keys::batch(place, base);
        self.writes
            .insert(&self.engine.batches, key.as_slice(), value);
    }

    pub(crate) fn remove_batch(&mut self, key: Bytes) {
        self.writes.remove(&self.engine.batches, key);
    }

    /// Writes and flushes. After an error it is not known whether the writes are there, and the
    /// engine takes no more.
    pub(crate) fn commit(self) -> Result<(), String> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.writes
            .commit()
            .map_err(|e| error::writing(&self.engine.dir, &e))
    }
}
