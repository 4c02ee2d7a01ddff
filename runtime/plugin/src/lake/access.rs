//! What one instance of a connector may do with a lake: every URI and every size is checked
//! here.

use super::catalog::CatalogTable;
use super::error::{CatalogError, StoreError};
use super::ident::Ident;
use super::lake::Lake;
use super::metadata::{Change, Creation};
use super::store::{Entry, io_error};
use super::tables::Tables;
use super::trust;
use super::upload::Upload;
use super::uri::{ObjectUri, Root};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Most bytes of a chunk, of an object that is put or got at once, and of a range: a crossing
/// stays small, and so do the buffers on both sides.
pub const STORE_CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of a catalog's document, either way: metadata with a history of some 60,000
/// snapshots.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most entries of one listing: some 200 KiB.
pub const LIST_ENTRIES_MAX: u32 = 1000;
/// Most uploads of one instance at a time: each holds a file open, and a process has 1,024 by
/// default.
pub const UPLOADS_OPEN_MAX: usize = 512;
/// Most tables that one instance may load: each is remembered.
const TABLES_LOADED_MAX: usize = 10_000;

/// A lake as one instance may use it.
#[derive(Debug)]
pub struct LakeAccess {
    lake: Arc<Lake>,
    /// Tables that were loaded, and where their files are: granted in addition to the warehouse.
    loaded: Mutex<BTreeMap<Ident, ObjectUri>>,
    uploads: Arc<Semaphore>,
}

impl LakeAccess {
    pub(crate) fn new(lake: Arc<Lake>) -> Self {
        Self {
            lake,
            loaded: Mutex::new(BTreeMap::new()),
            uploads: Arc::new(Semaphore::new(UPLOADS_OPEN_MAX)),
        }
    }

    /// Begins an object of any size.
    ///
    /// # Errors
    /// It is not granted or a table's document, too many are open, or the store fails.
    pub async fn create(&self, uri: &str) -> Result<Upload, StoreError> {
        let uri = self.writable(uri).await?;
        let permit = Arc::clone(&self.uploads).try_acquire_owned().map_err(|_| {
            StoreError::Other(format!("{UPLOADS_OPEN_MAX} uploads are open, finish some"))
        })?;
        Upload::begin(self.lake.objects(), uri, permit).await
    }

    /// Writes an object of up to [`STORE_CHUNK_BYTES_MAX`].
    ///
    /// # Errors
    /// It is not granted, a table's document, or too large, or the store fails.
    pub async fn put(&self, uri: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        fits(bytes.len() as u64)?;
        let uri = self.writable(uri).await?;
        self.lake.objects().put(&uri, bytes).await
    }

    /// Reads an object, or `(offset, length)` of it, of up to [`STORE_CHUNK_BYTES_MAX`].
    ///
    /// # Errors
    /// It is not granted, missing, or too large; the range lies outside; the store fails.
    pub async fn get(&self, uri: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        let uri = self.granted(uri, Reach::Objects).await?;
        let objects = self.lake.objects();
        let bytes = match range {
            None => objects.get(&uri, STORE_CHUNK_BYTES_MAX as u64).await?,
            Some((offset, length)) => {
                fits(length)?;
                objects.get_range(&uri, offset, length).await?
            }
        };
        Ok(bytes.into())
    }

    /// What the object is, if there is one.
    ///
    /// # Errors
    /// It is not granted, or the store fails.
    pub async fn head(&self, uri: &str) -> Result<Option<Entry>, StoreError> {
        let uri = self.granted(uri, Reach::Objects).await?;
        self.lake.objects().head(&uri).await
    }

    /// Removes an object; one that is not there is removed already.
    ///
    /// # Errors
    /// It is not granted, or the store fails.
    pub async fn delete(&self, uri: &str) -> Result<(), StoreError> {
        let uri = self.granted(uri, Reach::Objects).await?;
        self.lake.objects().delete(&uri).await
    }

    /// Up to `max` objects below a folder, by URI, after `after`; never more than
    /// [`LIST_ENTRIES_MAX`].
    ///
    /// # Errors
    /// The folder is not granted, or the store fails.
    pub async fn list(
        &self,
        folder: &str,
        after: Option<&str>,
        max: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let folder = self.granted(folder, Reach::Folders).await?;
        let after = after.map(ObjectUri::parse).transpose()?;
        let max = max.min(LIST_ENTRIES_MAX) as usize;
        self.lake.objects().list(&folder, after.as_ref(), max).await
    }

    /// A table; none if it is still at `known`.
    ///
    /// # Errors
    /// There is none, where it says to be is not granted, or the catalog fails.
    pub async fn load(
        &self,
        ident: &str,
        known: Option<&str>,
    ) -> Result<Option<CatalogTable>, CatalogError> {
        let ident = Ident::parse(ident)?;
        // Without having loaded it, this instance is not granted its files.
        let loaded = self.has_loaded(&ident);
        let known_here = known.filter(|_| loaded);
        let Some(table) = self.lake.tables().load(&ident, known_here).await? else {
            return Ok(None);
        };
        self.remember(ident, &table)?;
        Ok((known != Some(table.metadata_location.as_str())).then_some(table))
    }

    /// Creates a table, and its namespace where that is missing.
    ///
    /// # Errors
    /// The creation is refused, its location not granted, or the catalog fails.
    pub async fn create_table(
        &self,
        ident: &str,
        json: &str,
    ) -> Result<CatalogTable, CatalogError> {
        let ident = Ident::parse(ident)?;
        document("the creation", json)?;
        let creation = Creation::parse(&ident, json)?;
        let location = match &creation.location {
            Some(location) => Some(self.granted_location(location).await?),
            None => None,
        };
        let table = self
            .lake
            .tables()
            .create(&ident, json, creation, location.as_deref())
            .await?;
        self.remember(ident, &table)?;
        Ok(table)
    }

    /// Applies updates, only if the table is at `expected` and fulfils the requirements.
    ///
    /// # Errors
    /// Someone else was first, the change is refused, or the catalog fails: with `Unknown` it
    /// may have happened all the same.
    pub async fn commit(
        &self,
        ident: &str,
        expected: &str,
        requirements: &str,
        updates: &str,
    ) -> Result<CatalogTable, CatalogError> {
        let ident = Ident::parse(ident)?;
        document("the requirements", requirements)?;
        document("the updates", updates)?;
        let change = Change::parse(&ident, requirements, updates)?;
        for location in change.locations() {
            self.granted_location(location).await?;
        }
        let tables = self.lake.tables();
        let table = tables
            .commit(&ident, expected, change, (requirements, updates))
            .await?;
        // The commit has happened: that its location can't be remembered must not undo it.
        if let Err(error) = self.remember(ident, &table) {
            tracing::debug!(%error, "the location of a committed table is not granted");
        }
        Ok(table)
    }

    fn has_loaded(&self, ident: &Ident) -> bool {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.contains_key(ident)
    }

    fn remember(&self, ident: Ident, table: &CatalogTable) -> Result<(), CatalogError> {
        let location = match self.lake.tables() {
            Tables::Rows(catalog) => {
                catalog.believed(&ident, &table.metadata_location, &table.location)?
            }
            // The server says both in one answer, so that no document is believed anything.
            Tables::Rest { .. } => trust::said(self.lake.root(), &ident, &table.location)?,
        };
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.len() >= TABLES_LOADED_MAX && !loaded.contains_key(&ident) {
            return Err(CatalogError::Other(format!(
                "{TABLES_LOADED_MAX} tables are loaded, no more are"
            )));
        }
        loaded.insert(ident, location);
        Ok(())
    }

    /// A place for a table that a plugin names.
    async fn granted_location(&self, location: &str) -> Result<String, CatalogError> {
        match self.granted(location, Reach::Objects).await {
            Ok(uri) => Ok(uri.to_string()),
            Err(StoreError::Transient(why)) => Err(CatalogError::Transient(why)),
            Err(StoreError::Denied(why)) => Err(CatalogError::Denied(why)),
            Err(error) => Err(CatalogError::Other(error.to_string())),
        }
    }

    /// The URI, if it is granted and no document of a table: these are the catalog's to write.
    async fn writable(&self, uri: &str) -> Result<ObjectUri, StoreError> {
        let uri = self.granted(uri, Reach::Objects).await?;
        if trust::is_document(&uri) {
            return Err(StoreError::Denied(format!(
                "{uri} has the name of a table's metadata, which is written by commits alone"
            )));
        }
        Ok(uri)
    }

    /// The URI, if it lies in a granted place: by its text, and by where links lead. A plugin
    /// can make no links; those that others made must not lead it out.
    async fn granted(&self, uri: &str, reach: Reach) -> Result<ObjectUri, StoreError> {
        let uri = ObjectUri::parse(uri)?;
        let within = self.places_of(&uri, reach);
        if within.is_empty() {
            return Err(StoreError::Denied(format!(
                "{uri} lies neither below {} nor in a table that was loaded",
                self.lake.warehouse()
            )));
        }
        if *uri.root() != Root::Disk {
            return Ok(uri);
        }
        let checked = tokio::task::spawn_blocking(move || {
            let real = uri.resolved().map_err(|e| io_error(&uri, &e))?;
            for place in &within {
                let root = place.resolved().map_err(|e| io_error(place, &e))?;
                if real.starts_with(&root) {
                    return Ok(uri);
                }
            }
            Err(StoreError::Denied(format!(
                "a link leads from {uri} out of what is granted"
            )))
        });
        checked
            .await
            .map_err(|e| StoreError::Other(format!("the grant could not be checked: {e}")))?
    }

    fn places_of(&self, uri: &ObjectUri, reach: Reach) -> Vec<ObjectUri> {
        let covers =
            |place: &ObjectUri| uri.is_below(place) || (reach == Reach::Folders && uri == place);
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        self.lake
            .root()
            .into_iter()
            .chain(loaded.values())
            .filter(|place| covers(place))
            .cloned()
            .collect()
    }
}

/// Whether the granted places themselves are meant too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Objects,
    Folders,
}

fn fits(bytes: u64) -> Result<(), StoreError> {
    if bytes > STORE_CHUNK_BYTES_MAX as u64 {
        return Err(StoreError::TooLarge(bytes));
    }
    Ok(())
}

fn document(what: &str, json: &str) -> Result<(), CatalogError> {
    if json.len() > DOCUMENT_BYTES_MAX {
        return Err(CatalogError::Other(format!(
            "{what} has {} bytes, at most {DOCUMENT_BYTES_MAX} are taken",
            json.len()
        )));
    }
    Ok(())
}
