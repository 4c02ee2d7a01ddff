//! A lake: one catalog and the store below it, shared by the connectors that are granted it.

use super::access::LakeAccess;
use super::buckets::Buckets;
use super::catalog::Catalog;
use super::config::{CatalogConfig, LakeConfig};
use super::database::Database;
use super::error::{CatalogError, LakeError};
use super::folders;
use super::http;
use super::rest::RestCatalog;
use super::rows::Rows;
use super::sql::SqlRows;
use super::store::Objects;
use super::tables::Tables;
use super::uri::ObjectUri;
use secrecy::ExposeSecret;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use url::Url;

/// A lake. What a connector may do with it, it does through an [`access`](Lake::access).
#[derive(Debug)]
pub struct Lake {
    name: String,
    /// None: whatever the catalog's tables are in.
    warehouse: Option<ObjectUri>,
    objects: Objects,
    tables: Tables,
}

impl Lake {
    /// Checks the configuration and makes the folders. The catalog is not asked yet: one that is
    /// down now is asked again by each call, and the connectors' retries bridge the time.
    ///
    /// # Errors
    /// The configuration makes no sense, or a folder can't be made.
    pub async fn open(config: LakeConfig) -> Result<Arc<Self>, LakeError> {
        let invalid = |reason: String| LakeError::Invalid {
            name: config.name.clone(),
            reason,
        };
        if config.name.is_empty() || config.name.len() > NAME_BYTES_MAX {
            return Err(invalid(format!(
                "its name must have 1 to {NAME_BYTES_MAX} bytes"
            )));
        }
        let (warehouse, objects) = match &config.warehouse {
            Some(uri) if uri.scheme() == "file" => {
                let folder = warehouse_folder(uri).map_err(invalid)?;
                make_folder(&config.name, &folder).await?;
                let folder = plain(folder).map_err(|e| invalid(e.to_string()))?;
                let warehouse = ObjectUri::of_path(&folder).map_err(|e| invalid(e.to_string()))?;
                (Some(warehouse), Objects::local())
            }
            other => {
                // What can't be taken apart may hold a key anywhere, so it is not shown.
                let unfit = "its warehouse is no `file:///folder`, `s3://bucket/prefix`, \
                     `gs://bucket/prefix` or `abfss://container@account.host/prefix`";
                let warehouse = other.as_ref().map(|it| ObjectUri::parse(it.as_str()));
                let warehouse = warehouse
                    .transpose()
                    .map_err(|_| invalid(unfit.to_owned()))?;
                let http = http::store_client().map_err(invalid)?;
                let buckets = Buckets::new(config.store, http).of_warehouse(warehouse.as_ref());
                (warehouse, Objects::Buckets(Arc::new(buckets)))
            }
        };
        let uri = match &config.catalog {
            CatalogConfig::Sql { uri } => uri,
            CatalogConfig::Rest(rest) => {
                let http = http::client().map_err(invalid)?;
                let catalog = RestCatalog::new(rest, http).map_err(invalid)?;
                if let Objects::Buckets(buckets) = &objects {
                    buckets.vended_by(Arc::new(catalog.clone()));
                }
                return Ok(Arc::new(Self {
                    tables: Tables::Rest {
                        catalog,
                        objects: objects.clone(),
                    },
                    name: config.name,
                    warehouse,
                    objects,
                }));
            }
        };
        let warehouse =
            warehouse.ok_or_else(|| invalid("its catalog needs a warehouse".to_owned()))?;
        let database = Database::parse(uri.expose_secret()).map_err(invalid)?;
        if let Database::Sqlite { file } = &database
            && let Some(folder) = file.parent()
        {
            make_folder(&config.name, folder).await?;
        }
        let rows = SqlRows::new(&config.name, &database).map_err(invalid)?;
        Ok(Self::of(config.name, warehouse, objects, Box::new(rows)))
    }

    /// A lake of parts.
    pub(crate) fn of(
        name: String,
        warehouse: ObjectUri,
        objects: Objects,
        rows: Box<dyn Rows>,
    ) -> Arc<Self> {
        Arc::new(Self {
            tables: Tables::Rows(Catalog::new(objects.clone(), rows, Some(warehouse.clone()))),
            name,
            warehouse: Some(warehouse),
            objects,
        })
    }

    /// The lake's name, which is its catalog's too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where tables are created, as Iceberg writes it.
    pub fn warehouse(&self) -> String {
        match &self.warehouse {
            Some(warehouse) => warehouse.to_string(),
            None => "where its catalog says".to_owned(),
        }
    }

    /// Connects to the catalog, and makes its own tables where they are missing. Calls of an
    /// access do it by themselves; this is for who wants to know now.
    ///
    /// # Errors
    /// The catalog can't be reached or used.
    pub async fn ready(&self) -> Result<(), CatalogError> {
        self.tables.ready().await
    }

    /// What one instance of a connector may do: objects below the warehouse, and below the
    /// locations of the tables that it loads.
    pub fn access(self: &Arc<Self>) -> LakeAccess {
        LakeAccess::new(Arc::clone(self))
    }

    /// A lake in the place of `base`, with other objects and another catalog.
    pub(crate) fn overlaid(base: &Self, objects: Objects, catalog: Catalog) -> Arc<Self> {
        Arc::new(Self {
            name: base.name.clone(),
            warehouse: base.warehouse.clone(),
            objects,
            tables: Tables::Rows(catalog),
        })
    }

    pub(crate) fn root(&self) -> Option<&ObjectUri> {
        self.warehouse.as_ref()
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }
}

/// As wide as the catalog's columns.
const NAME_BYTES_MAX: usize = 255;

async fn make_folder(name: &str, folder: &Path) -> Result<(), LakeError> {
    let failed = |reason: String| LakeError::Folder {
        name: name.to_owned(),
        path: folder.to_owned(),
        reason,
    };
    let path = folder.to_owned();
    tokio::task::spawn_blocking(move || folders::make(&path))
        .await
        .map_err(|e| failed(e.to_string()))?
        .map_err(|e| failed(e.to_string()))
}

fn warehouse_folder(uri: &Url) -> Result<PathBuf, String> {
    if uri.host().is_some() || uri.query().is_some() || uri.fragment().is_some() {
        return Err("its warehouse must be written `file:///folder`".to_owned());
    }
    let folder = uri
        .to_file_path()
        .map_err(|()| "its warehouse names no folder".to_owned())?;
    // Iceberg's paths are literal, and some readers cut a URI at these.
    if folder.to_string_lossy().contains(['?', '#', '%']) {
        return Err("a `?`, `#` or `%` in its warehouse's path misleads readers".to_owned());
    }
    Ok(folder)
}

/// Without `..`, and else as it was written: the path goes into every table's metadata.
fn plain(folder: PathBuf) -> std::io::Result<PathBuf> {
    if folder.components().any(|part| part == Component::ParentDir) {
        folder.canonicalize()
    } else {
        Ok(folder)
    }
}
