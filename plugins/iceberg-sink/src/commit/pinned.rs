//! What the library's transactions take for a catalog.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use iceberg::spec::MAIN_BRANCH;
use iceberg::table::Table;
use iceberg::{
    Catalog, Error, ErrorKind, Namespace, NamespaceIdent, TableCommit, TableCreation, TableIdent,
    TableRequirement, TableUpdate,
};
use jackfield_sdk::sink::{Catalog as Port, CatalogError, CatalogTable};

use crate::maintain::retention_of_main;

/// A catalog that knows one table as it was when its offsets were checked. The library loads the
/// table anew before it commits; that would put these files on top of whatever has come since.
pub(super) struct Pinned {
    pub(super) ident: String,
    pub(super) table: Table,
    /// Of the table's schema, which goes first.
    pub(super) requirements: Vec<TableRequirement>,
    pub(super) updates: Vec<TableUpdate>,
    pub(super) catalog: Arc<dyn Port>,
    pub(super) outcome: Mutex<Option<Result<CatalogTable, CatalogError>>>,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned")
            .field("ident", &self.ident)
            .finish_non_exhaustive()
    }
}

impl Pinned {
    fn send(&self, mut commit: TableCommit) -> iceberg::Result<Result<CatalogTable, CatalogError>> {
        let mut requirements = self.requirements.clone();
        requirements.extend(commit.take_requirements());
        requirements.push(TableRequirement::DefaultSpecIdMatch {
            default_spec_id: self.table.metadata().default_partition_spec_id(),
        });
        let mut updates = self.updates.clone();
        updates.extend(commit.take_updates());
        // The library would have the branch forget it.
        for update in &mut updates {
            if let TableUpdate::SetSnapshotRef {
                ref_name,
                reference,
            } = update
                && ref_name.as_str() == MAIN_BRANCH
            {
                reference.retention = retention_of_main(self.table.metadata());
            }
        }
        updates.retain(
            |it| !matches!(it, TableUpdate::RemoveProperties { removals } if removals.is_empty()),
        );
        Ok(self.catalog.commit(
            &self.ident,
            self.table.metadata_location_result()?,
            &serde_json::to_string(&requirements)?,
            &serde_json::to_string(&updates)?,
        ))
    }
}

fn unasked<T>() -> iceberg::Result<T> {
    Err(Error::new(
        ErrorKind::FeatureUnsupported,
        "not part of a commit",
    ))
}

#[async_trait]
impl Catalog for Pinned {
    async fn load_table(&self, _table: &TableIdent) -> iceberg::Result<Table> {
        Ok(self.table.clone())
    }

    async fn update_table(&self, commit: TableCommit) -> iceberg::Result<Table> {
        let outcome = self.send(commit)?;
        // Not retryable: what comes next is decided here, after a new look at the table.
        let told = match &outcome {
            Ok(_) => Ok(self.table.clone()),
            Err(error) => Err(Error::new(ErrorKind::Unexpected, error.to_string())),
        };
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        told
    }

    async fn list_namespaces(
        &self,
        _parent: Option<&NamespaceIdent>,
    ) -> iceberg::Result<Vec<NamespaceIdent>> {
        unasked()
    }

    async fn create_namespace(
        &self,
        _namespace: &NamespaceIdent,
        _properties: HashMap<String, String>,
    ) -> iceberg::Result<Namespace> {
        unasked()
    }

    async fn get_namespace(&self, _namespace: &NamespaceIdent) -> iceberg::Result<Namespace> {
        unasked()
    }

    async fn namespace_exists(&self, _namespace: &NamespaceIdent) -> iceberg::Result<bool> {
        unasked()
    }

    async fn update_namespace(
        &self,
        _namespace: &NamespaceIdent,
        _properties: HashMap<String, String>,
    ) -> iceberg::Result<()> {
        unasked()
    }

    async fn drop_namespace(&self, _namespace: &NamespaceIdent) -> iceberg::Result<()> {
        unasked()
    }

    async fn list_tables(&self, _namespace: &NamespaceIdent) -> iceberg::Result<Vec<TableIdent>> {
        unasked()
    }

    async fn create_table(
        &self,
        _namespace: &NamespaceIdent,
        _creation: TableCreation,
    ) -> iceberg::Result<Table> {
        unasked()
    }

    async fn drop_table(&self, _table: &TableIdent) -> iceberg::Result<()> {
        unasked()
    }

    async fn purge_table(&self, _table: &TableIdent) -> iceberg::Result<()> {
        unasked()
    }

    async fn table_exists(&self, _table: &TableIdent) -> iceberg::Result<bool> {
        unasked()
    }

    async fn rename_table(&self, _from: &TableIdent, _to: &TableIdent) -> iceberg::Result<()> {
        unasked()
    }

    async fn register_table(
        &self,
        _table: &TableIdent,
        _metadata_location: String,
    ) -> iceberg::Result<Table> {
        unasked()
    }
}
