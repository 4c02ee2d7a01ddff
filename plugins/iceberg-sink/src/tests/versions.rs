//! Tables of a format version that this sink does not write, and what one of them still tells.

use jackfield_sdk::sink::{Catalog, CatalogError, CatalogTable};

use super::*;

/// A catalog whose tables are of version 1.
struct First(Arc<dyn Catalog>);

impl Catalog for First {
    fn load(&self, ident: &str, known: Option<&str>) -> Result<Option<CatalogTable>, CatalogError> {
        let mut loaded = self.0.load(ident, known)?;
        if let Some(table) = &mut loaded {
            let (second, first) = (r#""format-version":2"#, r#""format-version":1"#);
            assert!(table.metadata.contains(second), "{}", table.metadata);
            table.metadata = table.metadata.replace(second, first);
        }
        Ok(loaded)
    }

    fn create(&self, ident: &str, creation: &str) -> Result<CatalogTable, CatalogError> {
        self.0.create(ident, creation)
    }

    fn commit(&self, _: &str, _: &str, _: &str, _: &str) -> Result<CatalogTable, CatalogError> {
        unreachable!("the table is refused before")
    }
}

fn assert_refused(outcome: Result<(), Failure>, version: u8) {
    match outcome {
        Err(Failure::Misconfigured(why)) => {
            let said = format!("is of format version {version}");
            assert!(why.contains(&said), "{why}");
        }
        other => panic!("{version}: {other:?}"),
    }
}

/// One more trade, by a task that opens the table now and by a committer of what is staged already.
fn assert_not_written(world: &World, ports: &Ports, pieces: &[Piece], at: &Span, version: u8) {
    let mut task = world.open_with(ports.clone(), Role::Task(0)).unwrap();
    let batch = trades(world.schema, &[Trade::new("BTCUSDT", at.first_offset)]);
    assert_refused(put(&mut task, at, &batch).map(drop), version);
    let mut committer = world.open_with(ports.clone(), Role::Committer).unwrap();
    let committed = committer.commit(TABLE, pieces, std::slice::from_ref(at), "c9");
    assert_refused(committed.map(drop), version);
}

#[test]
fn a_table_of_the_first_version_is_refused_by_tasks_and_committers() {
    let world = World::new(by_day_and_symbol());
    let pieces = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
    let mut ports = world.lake.ports();
    ports.catalog = Arc::new(First(ports.catalog));
    assert_not_written(&world, &ports, &pieces, &span(0, 0, 1), 1);
    let mut committer = world.open_with(ports, Role::Committer).unwrap();
    assert_refused(committer.stored(&[]).map(drop), 1);
}

/// So a sink of many tables starts, and only the one that was upgraded is left behind.
#[test]
fn a_table_of_the_third_version_takes_no_rows_and_tells_what_it_holds() {
    let world = World::new(by_day_and_symbol());
    world.land(0, 0, 1, "c1").unwrap();
    let pieces = world.staged(0, &[Trade::new("BTCUSDT", 1)]);
    world.foreign(r#"[{"action":"upgrade-format-version","format-version":3}]"#);
    assert_not_written(&world, &world.lake.ports(), &pieces, &span(0, 1, 2), 3);
    assert_eq!(world.positions(), BTreeMap::from([(0, 1)]));
}
