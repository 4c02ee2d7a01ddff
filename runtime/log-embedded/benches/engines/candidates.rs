//! The engines, each behind the few calls that the log needs.

use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidate {
    /// fjall, values inside the LSM tree.
    Fjall,
    /// fjall, values in blob files.
    FjallBlobs,
    /// redb, one-phase commit.
    Redb,
    /// redb, allocator state kept at each commit: no repair after a kill.
    RedbQuick,
}
pub(crate) const KINDS: [Candidate; 4] = [
    Candidate::Fjall,
    Candidate::FjallBlobs,
    Candidate::Redb,
    Candidate::RedbQuick,
];

/// Topic, partition, base offset.
pub(crate) type Key = [u8; 16];
pub(crate) fn key(offset: u64) -> Key {
    let mut key = [0; 16];
    key[8..].copy_from_slice(&offset.to_be_bytes());
    key
}

pub(crate) trait Engine: Send + Sync {
    /// One durable transaction.
    fn commit(&self, puts: &[(Key, Arc<[u8]>)], deletes: &[Key]) -> Result<(), String>;
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, String>;
    /// Number of values.
    fn count(&self) -> u64;
}

pub(crate) fn open(kind: Candidate, dir: &Path) -> Result<Box<dyn Engine>, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    match kind {
        Candidate::Fjall | Candidate::FjallBlobs => {
            let db = fjall::Database::builder(dir)
                .cache_size(16 << 20)
                .worker_threads(1)
                .max_journaling_size(128 << 20)
                .journal_compression(fjall::CompressionType::None)
                .open()
                .map_err(|e| text(&e))?;
            let options = || {
                let options = fjall::KeyspaceCreateOptions::default()
                    .max_memtable_size(32 << 20)
                    .data_block_compression_policy(fjall::config::CompressionPolicy::all(
                        fjall::CompressionType::None,
                    ));
                if kind == Candidate::FjallBlobs {
                    let blobs = fjall::KvSeparationOptions::default()
                        .compression(fjall::CompressionType::None);
                    options.with_kv_separation(Some(blobs))
                } else {
                    options
                }
            };
            let batches = db.keyspace("batches", options).map_err(|e| text(&e))?;
            Ok(Box::new(FjallEngine { db, batches }))
        }
        Candidate::Redb | Candidate::RedbQuick => {
            std::fs::create_dir_all(dir).map_err(|e| text(&e))?;
            let db = redb::Database::builder()
                .set_cache_size(32 << 20)
                .create(dir.join("log.redb"))
                .map_err(|e| text(&e))?;
            let engine = RedbEngine {
                db,
                quick: kind == Candidate::RedbQuick,
            };
            engine.commit(&[], &[])?;
            Ok(Box::new(engine))
        }
    }
}

struct FjallEngine {
    db: fjall::Database,
    batches: fjall::Keyspace,
}

impl Engine for FjallEngine {
    fn commit(&self, puts: &[(Key, Arc<[u8]>)], deletes: &[Key]) -> Result<(), String> {
        let mut batch = self
            .db
            .batch()
            .durability(Some(fjall::PersistMode::SyncData));
        for (key, value) in puts {
            batch.insert(
                &self.batches,
                &key[..],
                fjall::UserValue::from(Arc::clone(value)),
            );
        }
        for key in deletes {
            batch.remove(&self.batches, &key[..]);
        }
        batch.commit().map_err(|e| format!("{e:?}"))
    }
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, String> {
        Ok(self
            .batches
            .get(key)
            .map_err(|e| format!("{e:?}"))?
            .map(|value| value.to_vec()))
    }
    fn count(&self) -> u64 {
        self.batches.len().unwrap() as u64
    }
}

const BATCHES: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("batches");
struct RedbEngine {
    db: redb::Database,
    quick: bool,
}

impl Engine for RedbEngine {
    fn commit(&self, puts: &[(Key, Arc<[u8]>)], deletes: &[Key]) -> Result<(), String> {
        let attempt = || -> Result<(), redb::Error> {
            let mut write = self.db.begin_write()?;
            write.set_quick_repair(self.quick);
            {
                let mut table = write.open_table(BATCHES)?;
                for (key, value) in puts {
                    table.insert(&key[..], &value[..])?;
                }
                for key in deletes {
                    table.remove(&key[..])?;
                }
            }
            Ok(write.commit()?)
        };
        attempt().map_err(|e| format!("{e:?}"))
    }
    fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, String> {
        use redb::ReadableDatabase;
        let attempt = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.db.begin_read()?.open_table(BATCHES)?;
            Ok(table.get(&key[..])?.map(|value| value.value().to_vec()))
        };
        attempt().map_err(|e| format!("{e:?}"))
    }
    fn count(&self) -> u64 {
        use redb::{ReadableDatabase, ReadableTableMetadata};
        self.db
            .begin_read()
            .unwrap()
            .open_table(BATCHES)
            .unwrap()
            .len()
            .unwrap()
    }
}
