//! Many partitions on a store that takes its time for each object.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use jackfield_sdk::sink::{Entry, Store, StoreError, Upload};

use super::*;

/// What all requests of a call have.
const PUT_MS_MAX: u64 = 27_000;
const STAGE_MS_MAX: u64 = 108_000;
/// What each object takes: a quick store, and one with which a stage may just close the files that it
/// is asked for first.
const OBJECT_MS: [u64; 2] = [40, 100];
const PARTITIONS: i64 = 2000;
/// 128 MiB of rows.
const ROWS: i64 = 8192;
const ROW_BYTES: usize = 16 * 1024;
/// A batch has 256 KiB at most.
const BATCH_ROWS: i64 = 15;

thread_local! {
    /// A test's own time: all that a sink does is done by the thread that calls it.
    static NOW_MS: Cell<u64> = const { Cell::new(0) };
    static TAKES_MS: Cell<u64> = const { Cell::new(0) };
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS.get())
}

fn takes_its_time() {
    NOW_MS.set(NOW_MS.get() + TAKES_MS.get());
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
    let before = NOW_MS.get();
    let answer = call();
    (answer, NOW_MS.get() - before)
}

struct Host {
    world: World,
    task: IcebergSink,
    committed: i64,
    put_to: i64,
    put_ms: u64,
    stage_ms: u64,
    /// Stages that had to be called again.
    unended: u32,
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
            unended: 0,
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
                Err(Failure::Retry { after_ms: 0, .. }) => self.unended += 1,
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

const SCHEMA: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"key","type":"int"},{"name":"payload","type":"bytes"}]}"#;

/// Each with a payload of so many bytes, and of another partition than those around it.
fn records(first: i64, next: i64, bytes: usize) -> Vec<(i64, Option<Vec<u8>>)> {
    let record = |at: i64| {
        let mut to = Vec::with_capacity(bytes + 8);
        long((at * 7919) % PARTITIONS, &mut to);
        long(bytes as i64, &mut to);
        to.resize(to.len() + bytes, b'x');
        (at, Some(to))
    };
    (first..next).map(record).collect()
}

fn world() -> World {
    World::new(settings(
        r#"{"table":"market.trades","partition-by":["key"],
            "properties":{"write.parquet.compression-codec":"uncompressed"}}"#,
    ))
}

fn many_partitions_land(object_ms: u64, heeds: bool) {
    TAKES_MS.set(object_ms);
    let world = world();
    let schema = world.lake.schemas.avro(SCHEMA);
    let mut host = Host::new(world);
    for first in (0..ROWS).step_by(usize::try_from(BATCH_ROWS).unwrap()) {
        let next = (first + BATCH_ROWS).min(ROWS);
        let batch = batch_of(schema, &records(first, next, ROW_BYTES));
        if host.put(&batch, next) && heeds {
            host.commit();
        }
    }
    host.commit();
    let case = format!("{object_ms} ms, heeds: {heeds}");
    let (put_ms, stage_ms) = (host.put_ms, host.stage_ms);
    assert!(put_ms <= PUT_MS_MAX, "{case}: {put_ms} ms in a put");
    assert!(stage_ms <= STAGE_MS_MAX, "{case}: {stage_ms} ms in a stage");
    assert!(!heeds || host.unended == 0, "{case}: {}", host.unended);
    let files = host.world.files();
    let rows: u64 = files.iter().map(DataFile::record_count).sum();
    assert_eq!(rows, ROWS.unsigned_abs(), "{case}");
    assert_eq!(host.world.positions(), BTreeMap::from([(0, ROWS)]));
}

/// A swap and a stop give a stage one call.
#[test]
fn with_a_host_that_stages_when_it_is_asked_to_each_stage_ends_in_one_call() {
    for object_ms in OBJECT_MS {
        many_partitions_land(object_ms, true);
    }
}

#[test]
fn many_partitions_land_with_a_host_that_stages_only_when_no_more_is_taken() {
    for object_ms in OBJECT_MS {
        many_partitions_land(object_ms, false);
    }
}

#[test]
fn nothing_is_taken_while_a_stage_has_files_left() {
    /// Of as many partitions: 100 seconds of files, where a stage has 72.
    const FIRST: i64 = 1000;
    TAKES_MS.set(100);
    let world = world();
    let schema = world.lake.schemas.avro(SCHEMA);
    let (first, then) = (records(0, FIRST, 8), records(FIRST, FIRST + 1, 8));
    let (first, then) = (batch_of(schema, &first), batch_of(schema, &then));
    let mut task = Host::new(world).task;
    let put_first = |task: &mut IcebergSink| put(task, &span(0, 0, FIRST), &first);
    let put_then = |task: &mut IcebergSink| put(task, &span(0, FIRST, FIRST + 1), &then);
    put_first(&mut task).unwrap();
    assert!(asks_for_a_stage(&task.stage()));
    let told = put_then(&mut task);
    assert!(asks_for_a_stage(&told), "{told:?}");
    // What is discarded is left nowhere.
    task.discard();
    put_then(&mut task).unwrap();
    task.discard();

    put_first(&mut task).unwrap();
    assert!(asks_for_a_stage(&task.stage()));
    let told = put_then(&mut task);
    assert!(asks_for_a_stage(&told), "{told:?}");
    let pieces = task.stage().unwrap();
    let (rows, ..) = crate::piece::tally(TABLE, &pieces).unwrap();
    assert_eq!(rows, FIRST.unsigned_abs());
    put_then(&mut task).unwrap();
}
