//! A look at a lake for whoever wants to know what is not running: nothing is made or changed
//! unless that is asked for.

use super::buckets::Buckets;
use super::config::{CatalogConfig, LakeConfig};
use super::database::Database;
use super::error::{CatalogError, StoreError};
use super::http;
use super::lake::Lake;
use super::rest::RestCatalog;
use super::sql::SqlRows;
use super::store::Objects;
use super::uri::{ObjectUri, Root};
use secrecy::ExposeSecret;
use std::sync::Arc;
use uuid::Uuid;

/// What a look at a catalog found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogFound {
    /// It answers, and takes our credentials.
    Ready,
    /// It is a database that answers and has none of the catalog's own tables yet, or a file that
    /// is not there yet: a pipeline makes them when it starts.
    Empty,
}

/// What a look at a store found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFound {
    /// It lists what is below the warehouse.
    Listed {
        /// Whether anything is.
        empty: bool,
    },
    /// The catalog says where each table is: there is no place to look at.
    Unknown,
}

/// A lake to look at.
#[derive(Debug, Clone)]
pub struct Checkup(LakeConfig);

/// What a probe object holds.
const PROBE: &[u8] = b"jackfield";

impl Checkup {
    /// Nothing is opened yet.
    pub fn new(config: LakeConfig) -> Self {
        Self(config)
    }

    /// Asks the catalog, and changes nothing in it.
    ///
    /// # Errors
    /// It can't be reached or used; the text has no secrets.
    pub async fn catalog(&self) -> Result<CatalogFound, CatalogError> {
        let uri = match &self.0.catalog {
            CatalogConfig::Sql { uri } => uri,
            CatalogConfig::Rest(rest) => {
                let http = http::client().map_err(CatalogError::Other)?;
                let catalog = RestCatalog::new(rest, http).map_err(CatalogError::Other)?;
                return catalog.ready().await.map(|()| CatalogFound::Ready);
            }
        };
        let database = Database::parse(uri.expose_secret()).map_err(CatalogError::Other)?;
        if let Database::Sqlite { file } = &database
            && !file.exists()
        {
            return Ok(CatalogFound::Empty);
        }
        let rows = SqlRows::to_look(&self.0.name, &database).map_err(CatalogError::Other)?;
        Ok(match rows.are_tables_there().await? {
            true => CatalogFound::Ready,
            false => CatalogFound::Empty,
        })
    }

    /// Opens the lake as a pipeline does, which makes the catalog's tables where they are missing.
    ///
    /// # Errors
    /// It can't be opened or used.
    pub async fn open(&self) -> Result<(), CatalogError> {
        let lake = Lake::open(self.0.clone()).await;
        let lake = lake.map_err(|error| CatalogError::Other(error.to_string()))?;
        lake.ready().await
    }

    /// Lists what is below the warehouse: one entry tells that the store answers and takes our
    /// credentials. For a bucket; what a folder is, its file system says.
    ///
    /// # Errors
    /// It can't be reached, or does not let us.
    pub async fn list(&self) -> Result<StoreFound, StoreError> {
        let Some((warehouse, objects)) = self.store()? else {
            return Ok(StoreFound::Unknown);
        };
        let found = objects.list(&warehouse, None, 1).await?;
        Ok(StoreFound::Listed {
            empty: found.is_empty(),
        })
    }

    /// Writes an object below the warehouse, reads it back, and removes it.
    ///
    /// # Errors
    /// One of the three fails; the object may be left over then, its name begins with
    /// `.jackfield-doctor-`.
    pub async fn write(&self) -> Result<StoreFound, StoreError> {
        let Some((warehouse, objects)) = self.store()? else {
            return Ok(StoreFound::Unknown);
        };
        let name = format!("{warehouse}/.jackfield-doctor-{}", Uuid::new_v4().simple());
        let object = ObjectUri::parse(&name)?;
        objects.put(&object, PROBE.to_vec()).await?;
        let read = objects.get(&object, PROBE.len() as u64).await?;
        objects.delete(&object).await?;
        if *read != *PROBE {
            return Err(StoreError::Other(format!(
                "{warehouse} gives back something else than was written"
            )));
        }
        Ok(StoreFound::Listed { empty: false })
    }

    fn store(&self) -> Result<Option<(ObjectUri, Objects)>, StoreError> {
        let Some(uri) = &self.0.warehouse else {
            return Ok(None);
        };
        let warehouse = ObjectUri::parse(uri.as_str())?;
        let objects = match warehouse.root() {
            Root::Disk => Objects::local(),
            Root::Bucket(_) => {
                let http = http::store_client().map_err(StoreError::Other)?;
                Objects::Buckets(Arc::new(Buckets::new(self.0.store.clone(), http)))
            }
        };
        Ok(Some((warehouse, objects)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::StoreOptions;
    use super::*;
    use url::Url;

    fn local(folder: &std::path::Path) -> Checkup {
        Checkup::new(LakeConfig {
            name: "local".to_owned(),
            catalog: CatalogConfig::Sql {
                uri: format!("sqlite://{}/catalog.db", folder.display()).into(),
            },
            warehouse: Some(Url::from_file_path(folder.join("warehouse")).unwrap()),
            store: StoreOptions::default(),
        })
    }

    #[tokio::test]
    async fn a_look_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let checkup = local(folder.path());
        assert_eq!(checkup.catalog().await, Ok(CatalogFound::Empty));
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        checkup.open().await.unwrap();
        assert_eq!(checkup.catalog().await, Ok(CatalogFound::Ready));
    }

    #[tokio::test]
    async fn what_is_no_database_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("catalog.db"), "x".repeat(4096)).unwrap();
        assert!(local(folder.path()).catalog().await.is_err());
    }

    #[tokio::test]
    async fn the_probe_object_is_gone_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = folder.path().join("warehouse");
        let checkup = local(folder.path());
        std::fs::create_dir(&warehouse).unwrap();
        assert_eq!(
            checkup.write().await,
            Ok(StoreFound::Listed { empty: false })
        );
        assert_eq!(checkup.list().await, Ok(StoreFound::Listed { empty: true }));
        assert_eq!(warehouse.read_dir().unwrap().count(), 0);
        std::fs::remove_dir(&warehouse).unwrap();
        std::fs::write(&warehouse, "a file").unwrap();
        assert!(checkup.write().await.is_err());
    }
}
