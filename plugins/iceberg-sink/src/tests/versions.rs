//! Tables of a format version that this sink does not write.

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

#[test]
fn a_table_of_another_version_is_refused_by_tasks_and_committers() {
    for version in [1, 3] {
        let world = World::new(by_day_and_symbol());
        let pieces = world.staged(0, &[Trade::new("BTCUSDT", 0)]);
        let mut ports = world.lake.ports();
        if version == 1 {
            ports.catalog = Arc::new(First(ports.catalog));
        } else {
            world.foreign(r#"[{"action":"upgrade-format-version","format-version":3}]"#);
        }
        let mut task = world.open_with(ports.clone(), Role::Task(0)).unwrap();
        let mut committer = world.open_with(ports, Role::Committer).unwrap();
        let batch = trades(world.schema, &[Trade::new("BTCUSDT", 0)]);
        let at = span(0, 0, 1);
        let taken = put(&mut task, &at, &batch).map(drop);
        let committed = committer.commit(TABLE, &pieces, &[at], "c1").map(drop);
        let stored = committer.stored(&[]).map(drop);
        for outcome in [taken, committed, stored] {
            match outcome {
                Err(Failure::Misconfigured(why)) => {
                    let said = format!("is of format version {version}");
                    assert!(why.contains(&said), "{why}");
                }
                other => panic!("{version}: {other:?}"),
            }
        }
    }
}
