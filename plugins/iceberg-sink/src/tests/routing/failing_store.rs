//! A store that has trouble with some files, and what becomes of their tables.

use jackfield_sdk::sink::{Entry, STORE_CHUNK_BYTES_MAX, Store, StoreError, Upload};

use super::*;

/// A store that takes no object of more than one part.
struct Narrow(Arc<dyn Store>);

struct NarrowUpload(Box<dyn Upload>, usize);

/// As large as the parts are that the host writes.
const PART_BYTES: usize = 5 * STORE_CHUNK_BYTES_MAX;

impl Upload for NarrowUpload {
    fn write(&mut self, chunk: &[u8]) -> Result<(), StoreError> {
        self.1 += chunk.len();
        if self.1 > PART_BYTES {
            return Err(StoreError::Transient("no second part".to_owned()));
        }
        self.0.write(chunk)
    }

    fn finish(&mut self) -> Result<u64, StoreError> {
        self.0.finish()
    }
}

impl Store for Narrow {
    fn create(&self, uri: &str) -> Result<Box<dyn Upload>, StoreError> {
        let upload = self.0.create(uri)?;
        Ok(Box::new(NarrowUpload(upload, 0)))
    }

    fn put(&self, uri: &str, bytes: &[u8]) -> Result<(), StoreError> {
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

#[test]
fn a_store_that_takes_small_files_only_is_not_taken_for_mended() {
    let world = world("market.{symbol}", "");
    let mut task = world.task();
    let batch = trades(world.schema, &mixed(0, 2, &["A", "B"]));
    put(&mut task, &span(0, 0, 2), &batch).unwrap();
    let error = StoreError::Transient("no second part".to_owned());
    world.lake.faults.store("market/B/", error);
    let (b, _) = by_target(task.stage().unwrap(), "market.B");
    let mut ports = world.lake.ports();
    ports.store = Arc::new(Narrow(ports.store));
    let before = world.lake.store.names();
    let mut committer = world.open_with(ports, Role::Committer).unwrap();
    for _ in 0..5 {
        let told = committer.commit("market.B", &b, &[span(0, 0, 2)], "c1");
        assert!(matches!(told, Err(Failure::Retry { .. })), "{told:?}");
    }
    assert_eq!(world.lake.store.names(), before);
}

/// The other tables' commits come first; this one's waits until its store takes files again, and
/// then its rows are put again.
#[test]
fn a_table_whose_files_can_not_be_written_fails_alone() {
    let world = world("market.{symbol}", "");
    let mut task = world.task();
    let batch = trades(world.schema, &mixed(0, 10, &["A", "B"]));
    put(&mut task, &span(0, 0, 10), &batch).unwrap();
    for _ in 0..3 {
        let error = StoreError::Transient("slow down".to_owned());
        world.lake.faults.store("market/B/", error);
    }
    let (a, b) = by_target(task.stage().unwrap(), "market.A");
    let rows = commit(&world, a, &[span(0, 0, 10)], "c1");
    assert_eq!(rows, BTreeMap::from([("market.A".to_owned(), 5)]));
    // What comes before all begins again is lost to it as well.
    let next = trades(world.schema, &mixed(10, 12, &["A", "B"]));
    let taken = put(&mut task, &span(0, 10, 12), &next).unwrap();
    assert_eq!(taken.counts.records, 1);
    let before = world.lake.store.names();
    let mut committer = world.committer();
    let mut told = || committer.commit("market.B", &b, &[span(0, 0, 10)], "c1");
    for call in 0..3 {
        let told = told();
        assert!(
            matches!(told, Err(Failure::Retry { .. })),
            "{call}: {told:?}"
        );
    }
    match told() {
        Err(Failure::Rewind(why)) => assert!(why.contains("slow down"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        world.lake.store.names(),
        before,
        "trying leaves nothing behind"
    );

    let known = ["market.A".to_owned(), "market.B".to_owned()];
    let held = world.committer().stored(&known).unwrap();
    let mut task = world.task();
    task.assigned(held).unwrap();
    let taken = put(&mut task, &span(0, 0, 10), &batch).unwrap();
    assert_eq!((taken.counts.records, taken.counts.duplicates), (5, 5));
    let rows = commit(&world, task.stage().unwrap(), &[span(0, 0, 10)], "c2");
    assert_eq!(rows, BTreeMap::from([("market.B".to_owned(), 5)]));
}
