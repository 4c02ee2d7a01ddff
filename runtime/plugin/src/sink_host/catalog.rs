//! The import `catalog`.

use super::unless;
use crate::bindings::sink::jackfield::connector::catalog as wit;
use crate::lake::{CatalogError, CatalogTable};
use crate::state::State;

impl State {
    fn catalogued<T>(&self, outcome: Option<Result<T, CatalogError>>) -> Result<T, wit::Error> {
        let outcome = outcome.unwrap_or(Err(CatalogError::Interrupted));
        if matches!(outcome, Err(CatalogError::Denied(_))) {
            self.usage.denied();
        }
        outcome.map_err(into_error)
    }
}

impl wit::Host for State {
    async fn load(
        &mut self,
        ident: String,
        known: Option<String>,
    ) -> Result<Option<wit::Table>, wit::Error> {
        let (lake, interrupt) = self.lake().map_err(wit::Error::Denied)?;
        let loading = lake.load(&ident, known.as_deref());
        let loading = self.patience.with_catalog(CatalogError::Transient, loading);
        let loaded = unless(&interrupt, loading).await;
        Ok(self.catalogued(loaded)?.map(into_table))
    }

    async fn create(&mut self, ident: String, creation: String) -> Result<wit::Table, wit::Error> {
        let (lake, interrupt) = self.lake().map_err(wit::Error::Denied)?;
        let creating = lake.create_table(&ident, &creation);
        // Broken off, it may have happened all the same.
        let creating = self.patience.with_catalog(CatalogError::Unknown, creating);
        let created = unless(&interrupt, creating).await;
        self.catalogued(created).map(into_table)
    }

    async fn commit(
        &mut self,
        ident: String,
        expected_location: String,
        requirements: String,
        updates: String,
    ) -> Result<wit::Table, wit::Error> {
        let (lake, interrupt) = self.lake().map_err(wit::Error::Denied)?;
        // It has all of the call's time: whoever breaks off a commit does not know whether it
        // happened, or still will.
        let committing = lake.commit(&ident, &expected_location, &requirements, &updates);
        let committed = unless(&interrupt, committing).await;
        self.catalogued(committed).map(into_table)
    }
}

fn into_table(table: CatalogTable) -> wit::Table {
    wit::Table {
        metadata_location: table.metadata_location,
        metadata: table.metadata,
        location: table.location,
    }
}

fn into_error(error: CatalogError) -> wit::Error {
    match error {
        CatalogError::Denied(why) => wit::Error::Denied(why),
        CatalogError::Missing => wit::Error::Missing,
        CatalogError::Exists => wit::Error::Exists,
        CatalogError::Conflict(why) => wit::Error::Conflict(why),
        CatalogError::Unknown(why) => wit::Error::Unknown(why),
        CatalogError::Transient(why) => wit::Error::Transient(why),
        CatalogError::Interrupted => wit::Error::Interrupted,
        CatalogError::Other(why) => wit::Error::Other(why),
    }
}
