//! Many partitions on a store that takes its time for each object.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use jackfield_sdk::sink::{Entry, Store, StoreError, Upload};

use super::*;

/// What all requests of a call have.
const PUT_MS_MAX: u64 = 27_000;
const STAGE_MS_MAX: u64 = 108_000;
/// What each object takes.
const OBJECT_MS: u64 = 40;
const PARTITIONS: i64 = 2000;
/// 128 MiB of rows.
const ROWS: i64 = 8192;
const ROW_BYTES: usize = 16 * 1024;
/// A batch has 256 KiB at most.
const BATCH_ROWS: i64 = 15;

static NOW_MS: AtomicU64 = AtomicU64::new(0);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS.load(Ordering::Relaxed))
}

fn takes_its_time() {
    NOW_MS.fetch_add(OBJECT_MS, Ordering::Relaxed);
}

struct Slow(Arc<dyn Store>);

struct SlowUpload(Box<dyn Upload>);

impl Upload for SlowUpload {
    fn write(&mut self, chunk: &[u8]) -> Result<(), StoreError> {
        self.0.write(chunk)
    }

    fn finish(&mut self) -> Result<u64, StoreError> {
        takes_its_time();
        self.0.finish()
    }
}

impl Store for Slow {
    fn create(&self, uri: &str) -> Result<Box<dyn Upload>, StoreError> {
        let upload = self.0.create(uri)?;
        Ok(Box::new(SlowUpload(upload)))
    }

    fn put(&self, uri: &str, bytes: &[u8]) -> Result<(), StoreError> {
        takes_its_time();
        self.0.put(uri, bytes)
    }

    fn get(&self, uri: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        self.0.get(uri, range)
    }

    fn head(&self, uri: &str) -> Result<Option<Entry>, StoreError> {
        self.0.head(uri)
    }

    fn delete(&self, uri: &str) -> Result<(), StoreError> {
        self.0.delete(uri)
    }

    fn list(&self, prefix: &str, after: Option<&str>, max: u32) -> Result<Vec<Entry>, StoreError> {
        self.0.list(prefix, after, max)
    }
}

/// What a call answers, and how long it waited for the store.
fn timed<R>(call: impl FnOnce() -> R) -> (R, u64) {
    let before = NOW_MS.load(Ordering::Relaxed);
    let answer = call();
    (answer, NOW_MS.load(Ordering::Relaxed) - before)
}

struct Host {
    world: World,
    task: IcebergSink,
    committed: i64,
    put_to: i64,
    put_ms: u64,
    stage_ms: u64,
}

impl Host {
    fn new(world: World) -> Self {
        let mut ports = world.lake.ports();
        ports.store = Arc::new(Slow(ports.store));
        let mut task = world.open_with(ports, Role::Task(0)).unwrap();
        task.set_clock(now);
        Self {
            world,
            task,
            committed: 0,
            put_to: 0,
            put_ms: 0,
            stage_ms: 0,
        }
    }

    /// Puts the next rows; where they are not taken it stages, and puts them again. Whether a stage
    /// is asked for.
    fn put(&mut self, batch: &[u8], next: i64) -> bool {
        let at = span(0, self.put_to, next);
        loop {
            let (told, took) = timed(|| put(&mut self.task, &at, batch));
            self.put_ms = self.put_ms.max(took);
            match told {
                Ok(taken) => {
                    self.put_to = next;
                    return taken.stage_now;
                }
                Err(Failure::Retry { after_ms: 0, .. }) => self.commit(),
                Err(failure) => panic!("{failure}"),
            }
        }
    }

    /// Stages, in as many calls as it takes, and commits.
    fn commit(&mut self) {
        let pieces = loop {
            let (told, took) = timed(|| self.task.stage());
            self.stage_ms = self.stage_ms.max(took);
            match told {
                Ok(pieces) => break pieces,
                Err(Failure::Retry { after_ms: 0, .. }) => {}
                Err(failure) => panic!("{failure}"),
            }
        };
        let at = span(0, self.committed, self.put_to);
        let id = format!("c{}", self.put_to);
        let mut committer = self.world.committer();
        committer.commit(TABLE, &pieces, &[at], &id).unwrap();
        self.committed = self.put_to;
    }
}

#[test]
fn many_partitions_land_on_a_store_that_takes_its_time() {
    const SCHEMA: &str = r#"{"type":"record","name":"R","fields":[
        {"name":"key","type":"int"},{"name":"payload","type":"bytes"}]}"#;
    let record = |at: i64| {
        let mut to = Vec::with_capacity(ROW_BYTES + 8);
        long((at * 7919) % PARTITIONS, &mut to);
        long(ROW_BYTES as i64, &mut to);
        to.resize(to.len() + ROW_BYTES, b'x');
        (at, Some(to))
    };
    // A host that stages when it is asked to; and one that does so only when no more is taken.
    for heeds in [true, false] {
        let world = World::new(settings(
            r#"{"table":"market.trades","partition-by":["key"],
                "properties":{"write.parquet.compression-codec":"uncompressed"}}"#,
        ));
        let schema = world.lake.schemas.avro(SCHEMA);
        let mut host = Host::new(world);
        for first in (0..ROWS).step_by(usize::try_from(BATCH_ROWS).unwrap()) {
            let next = (first + BATCH_ROWS).min(ROWS);
            let records: Vec<_> = (first..next).map(record).collect();
            if host.put(&batch_of(schema, &records), next) && heeds {
                host.commit();
            }
        }
        host.commit();
        let (put_ms, stage_ms) = (host.put_ms, host.stage_ms);
        assert!(put_ms <= PUT_MS_MAX, "{heeds}: {put_ms} ms in a put");
        assert!(
            stage_ms <= STAGE_MS_MAX,
            "{heeds}: {stage_ms} ms in a stage"
        );
        let files = host.world.files();
        let rows: u64 = files.iter().map(DataFile::record_count).sum();
        assert_eq!(rows, ROWS.unsigned_abs(), "{heeds}");
        assert_eq!(host.world.positions(), BTreeMap::from([(0, ROWS)]));
    }
}
