//! A catalog that has trouble with some tables, and what becomes of the others.

use std::sync::atomic::{AtomicBool, Ordering};

use jackfield_sdk::sink::{Catalog, CatalogError, CatalogTable};

use super::*;
use crate::failing::CALLS_MAX;

/// A catalog that has trouble with some tables.
struct Picky {
    inner: Arc<dyn Catalog>,
    tables: &'static [&'static str],
    error: CatalogError,
}

impl Catalog for Picky {
    fn load(&self, ident: &str, known: Option<&str>) -> Result<Option<CatalogTable>, CatalogError> {
        if self.tables.contains(&ident) {
            return Err(self.error.clone());
        }
        self.inner.load(ident, known)
    }

    fn create(&self, ident: &str, creation: &str) -> Result<CatalogTable, CatalogError> {
        self.inner.create(ident, creation)
    }

    fn commit(&self, _: &str, _: &str, _: &str, _: &str) -> Result<CatalogTable, CatalogError> {
        unreachable!("tasks commit nothing")
    }
}

#[test]
fn a_table_whose_catalog_fails_fails_alone() {
    for (error, calls) in [
        (CatalogError::Other("unreadable".to_owned()), 1),
        (CatalogError::Transient("503".to_owned()), CALLS_MAX),
    ] {
        let world = world("market.{symbol}", "");
        let mut ports = world.lake.ports();
        ports.catalog = Arc::new(Picky {
            inner: ports.catalog,
            tables: &["market.B"],
            error: error.clone(),
        });
        let mut task = world.open_with(ports, Role::Task(0)).unwrap();
        let batch = trades(world.schema, &mixed(0, 10, &["A", "B"]));
        for _ in 1..calls {
            let told = put(&mut task, &span(0, 0, 10), &batch);
            assert!(matches!(told, Err(Failure::Retry { .. })), "{told:?}");
            // As when partitions come or go meanwhile.
            task.discard();
        }
        let taken = put(&mut task, &span(0, 0, 10), &batch).unwrap();
        assert_eq!(taken.counts.records, 5);
        let (a, b) = by_target(task.stage().unwrap(), "market.A");
        let rows = commit(&world, a, &[span(0, 0, 10)], "c1");
        assert_eq!(rows, BTreeMap::from([("market.A".to_owned(), 5)]));
        let told = world
            .committer()
            .commit("market.B", &b, &[span(0, 0, 10)], "c1");
        match (&error, &told) {
            (CatalogError::Other(_), Err(Failure::Misconfigured(why)))
            | (CatalogError::Transient(_), Err(Failure::Retry { reason: why, .. })) => {
                assert!(why.contains("loading market.B"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    // A sink of one table has nobody to go on without it.
    let only = world("market.B", "");
    let mut ports = only.lake.ports();
    ports.catalog = Arc::new(Picky {
        inner: ports.catalog,
        tables: &["market.B"],
        error: CatalogError::Transient("503".to_owned()),
    });
    let mut task = only.open_with(ports, Role::Task(0)).unwrap();
    let batch = trades(only.schema, &mixed(0, 1, &["A"]));
    for _ in 0..2 * CALLS_MAX {
        let told = put(&mut task, &span(0, 0, 1), &batch);
        assert!(matches!(told, Err(Failure::Retry { .. })), "{told:?}");
    }
}

/// The waits of a task add up at the host: those for one table are all that it makes.
#[test]
fn of_many_tables_whose_catalog_fails_one_is_waited_for() {
    let world = world("market.{symbol}", "");
    let mut ports = world.lake.ports();
    ports.catalog = Arc::new(Picky {
        inner: ports.catalog,
        tables: &["market.B", "market.D", "market.E"],
        error: CatalogError::Transient("503".to_owned()),
    });
    let mut task = world.open_with(ports, Role::Task(0)).unwrap();
    let mut next = 0;
    let mut waits = |symbols: &[&str]| {
        let (first, last) = (next, next + symbols.len() as i64);
        next = last;
        let batch = trades(world.schema, &mixed_from(first, symbols));
        let mut waits = 0;
        loop {
            match put(&mut task, &span(0, first, last), &batch) {
                Ok(_) => return waits,
                Err(Failure::Retry { .. }) if waits < 100 => waits += 1,
                Err(other) => panic!("{other}"),
            }
        }
    };
    let most = CALLS_MAX - 1;
    // One that can be opened lies between those that can't.
    assert_eq!(waits(&["A", "B", "C", "D"]), most);
    assert_eq!(waits(&["A", "B", "F"]), 0);
    // The call before has opened one: it may be this one's trouble only.
    assert_eq!(waits(&["E"]), most);
    assert_eq!(waits(&["B", "D", "E"]), 0);
}

/// One trade of each.
fn mixed_from(first: i64, symbols: &[&str]) -> Vec<Trade> {
    let numbered = (first..).zip(symbols);
    numbered.map(|(id, it)| Trade::new(it, id)).collect()
}

/// A catalog whose creations fail until it is mended.
struct Closed {
    inner: Arc<dyn Catalog>,
    mended: Arc<AtomicBool>,
}

impl Catalog for Closed {
    fn load(&self, ident: &str, known: Option<&str>) -> Result<Option<CatalogTable>, CatalogError> {
        self.inner.load(ident, known)
    }

    fn create(&self, ident: &str, creation: &str) -> Result<CatalogTable, CatalogError> {
        if !self.mended.load(Ordering::Relaxed) {
            return Err(CatalogError::Transient("503".to_owned()));
        }
        self.inner.create(ident, creation)
    }

    fn commit(&self, _: &str, _: &str, _: &str, _: &str) -> Result<CatalogTable, CatalogError> {
        unreachable!("tasks commit nothing")
    }
}

/// The host tells each new table where it begins, before it hands over what the tasks say of it.
#[test]
fn a_table_that_could_not_be_made_is_made_when_its_rows_are_read_again() {
    let world = world("market.{symbol}", "");
    let mended = Arc::new(AtomicBool::new(false));
    let mut ports = world.lake.ports();
    ports.catalog = Arc::new(Closed {
        inner: ports.catalog,
        mended: Arc::clone(&mended),
    });
    let mut task = world.open_with(ports, Role::Task(0)).unwrap();
    let batch = trades(world.schema, &mixed(0, 2, &["A"]));
    for _ in 1..CALLS_MAX {
        let told = put(&mut task, &span(0, 0, 2), &batch);
        assert!(matches!(told, Err(Failure::Retry { .. })), "{told:?}");
    }
    put(&mut task, &span(0, 0, 2), &batch).unwrap();
    let unmade = task.stage().unwrap();
    mended.store(true, Ordering::Relaxed);
    let mut committer = world.committer();
    let mut begin = |id| committer.commit("market.A", &[], &[span(0, 0, 0)], id);
    // The other tables' commits first.
    for id in ["c1", "c2"] {
        let told = begin(id);
        assert!(matches!(told, Err(Failure::Retry { .. })), "{told:?}");
    }
    match begin("c2") {
        Err(Failure::Rewind(why)) => assert!(why.contains("not been made yet"), "{why}"),
        other => panic!("{other:?}"),
    }
    // In the next life too, where the host knows where it begins.
    let mut committer = world.committer();
    let mut told = || committer.commit("market.A", &unmade, &[span(0, 0, 2)], "c3");
    assert!(matches!(told(), Err(Failure::Retry { .. })));
    assert!(matches!(told(), Err(Failure::Rewind(_))));

    task.discard();
    put(&mut task, &span(0, 0, 2), &batch).unwrap();
    let rows = commit(&world, task.stage().unwrap(), &[span(0, 0, 2)], "c4");
    assert_eq!(rows, BTreeMap::from([("market.A".to_owned(), 2)]));
    // One that was there once is not made again by itself.
    let mut committer = world.committer();
    committer.stored(&["market.A".to_owned()]).unwrap();
    world.lake.catalog.drop_table("market.A");
    match committer.commit("market.A", &[], &[span(0, 2, 9)], "c5") {
        Err(Failure::Misconfigured(why)) => assert!(why.contains("any more"), "{why}"),
        other => panic!("{other:?}"),
    }
}
