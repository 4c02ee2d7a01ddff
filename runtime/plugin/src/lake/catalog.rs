//! The catalog over its rows and the store: documents first, then the row, in one
//! compare-and-swap.

use super::access::DOCUMENT_BYTES_MAX;
use super::error::{CatalogError, StoreError};
use super::ident::Ident;
use super::metadata::{self, Change, Creation};
use super::rows::Rows;
use super::store::Objects;
use super::trust;
use super::uri::ObjectUri;
use iceberg::spec::TableMetadata;
use uuid::Uuid;

/// A table as of one metadata document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogTable {
    /// Where the document is.
    pub metadata_location: String,
    /// The document: JSON of the Iceberg specification.
    pub metadata: String,
    /// Where the table's files go.
    pub location: String,
}

/// The tables of a lake, with the host's own rights.
#[derive(Debug)]
pub(crate) struct Catalog {
    objects: Objects,
    rows: Box<dyn Rows>,
    /// None: the base's catalog decides where tables are.
    warehouse: Option<ObjectUri>,
}

impl Catalog {
    pub(crate) fn new(objects: Objects, rows: Box<dyn Rows>, warehouse: Option<ObjectUri>) -> Self {
        Self {
            objects,
            rows,
            warehouse,
        }
    }

    pub(crate) async fn ready(&self) -> Result<(), CatalogError> {
        self.rows.ready().await
    }

    /// Which document the table is at.
    pub(crate) async fn location(&self, ident: &Ident) -> Result<String, CatalogError> {
        self.rows
            .location(ident)
            .await?
            .ok_or(CatalogError::Missing)
    }

    /// The table as of a document.
    pub(crate) async fn read(
        &self,
        ident: &Ident,
        at: String,
    ) -> Result<CatalogTable, CatalogError> {
        let (text, metadata) = self.document(ident, &at).await?;
        Ok(CatalogTable {
            metadata_location: at,
            location: metadata.location().to_owned(),
            metadata: text,
        })
    }

    /// Where a table is created that does not say: in the folder of its name, or beside it unless
    /// that is known to be empty. A table that was renamed or dropped leaves its files there, and
    /// nobody could tell any more whose a file is.
    pub(crate) async fn default_location(&self, ident: &Ident) -> Result<String, CatalogError> {
        let warehouse = self.warehouse.as_ref().map(ToString::to_string);
        let location = format!("{}/{}", warehouse.unwrap_or_default(), ident.folders());
        let empty = match self.objects.is_empty(&reached(ident, &location)?).await {
            Ok(empty) => empty,
            // There is no such bucket: writing says it.
            Err(StoreError::Missing) => true,
            // Who may not list may write all the same.
            Err(StoreError::Denied(_) | StoreError::Other(_)) => false,
            Err(
                error @ (StoreError::Transient(_)
                | StoreError::Interrupted
                | StoreError::TooLarge(_)),
            ) => return Err(of_store(error)),
        };
        Ok(if empty {
            location
        } else {
            format!("{location}-{}", Uuid::new_v4().simple())
        })
    }

    pub(crate) async fn create(
        &self,
        ident: &Ident,
        creation: Creation,
        location: &str,
    ) -> Result<CatalogTable, CatalogError> {
        if self.rows.location(ident).await?.is_some() {
            return Err(CatalogError::Exists);
        }
        let metadata = creation.metadata(ident, location)?;
        let (table, document) = self.write(ident, &metadata, None).await?;
        let inserted = self.rows.insert(ident, &table.metadata_location).await;
        self.settle(document, table, inserted).await
    }

    /// Moves a table on from `expected`, or changes nothing. A crash before the row is changed
    /// leaves a document that nothing names.
    pub(crate) async fn commit(
        &self,
        ident: &Ident,
        expected: &str,
        change: Change,
    ) -> Result<CatalogTable, CatalogError> {
        let at = self.location(ident).await?;
        if at != expected {
            return Err(CatalogError::Conflict(format!(
                "{ident} is at {at}, no longer at {expected}"
            )));
        }
        let (_, current) = self.document(ident, &at).await?;
        let (owner, before) = (ident.clone(), at.clone());
        let next = blocking(move || change.apply(&owner, current, &before)).await??;
        let (table, document) = self.write(ident, &next.metadata, Some(&at)).await?;
        let replaced = self
            .rows
            .replace(ident, &at, &table.metadata_location)
            .await;
        let table = self.settle(document, table, replaced).await?;
        self.clean_up(&table, &next.outdated).await;
        Ok(table)
    }

    /// Deletes old documents of a table, after the commit that forgot them; what fails stays,
    /// and is only in the way.
    async fn clean_up(&self, table: &CatalogTable, outdated: &[String]) {
        // A history may have been written by anyone: nothing but documents of this table goes.
        let Ok(folder) = ObjectUri::parse(&format!("{}/metadata", table.location)) else {
            return;
        };
        for old in outdated {
            let Ok(document) = ObjectUri::parse(old) else {
                continue;
            };
            let is_document = document.is_below(&folder) && old.ends_with(".metadata.json");
            if is_document && let Err(error) = self.objects.delete(&document).await {
                tracing::debug!(%document, %error, "an outdated metadata document stays");
            }
        }
    }

    /// After the row: what was written for a change that certainly did not happen is removed.
    /// After any other outcome nothing is, since the row may point at it.
    async fn settle(
        &self,
        document: ObjectUri,
        table: CatalogTable,
        outcome: Result<(), CatalogError>,
    ) -> Result<CatalogTable, CatalogError> {
        let Err(error) = outcome else {
            return Ok(table);
        };
        if error.nothing_happened()
            && let Err(left) = self.objects.delete(&document).await
        {
            tracing::debug!(%document, error = %left, "an orphaned metadata document stays");
        }
        Err(error)
    }

    async fn document(
        &self,
        ident: &Ident,
        at: &str,
    ) -> Result<(String, TableMetadata), CatalogError> {
        let uri = reached(ident, at)?;
        let bytes = match self.objects.get(&uri, DOCUMENT_BYTES_MAX as u64).await {
            Ok(bytes) => bytes,
            Err(StoreError::Missing) => {
                return Err(CatalogError::Other(format!(
                    "{ident}: its metadata document {at} is not there"
                )));
            }
            Err(StoreError::TooLarge(bytes)) => return Err(too_large(ident, bytes)),
            Err(error) => return Err(of_store(error)),
        };
        let owner = ident.clone();
        let read = blocking(move || {
            let unread = |why: String| {
                CatalogError::Other(format!("{owner}: its metadata can't be read: {why}"))
            };
            let text = metadata::unpack(bytes.into(), DOCUMENT_BYTES_MAX as u64)
                .map_err(|e| unread(e.to_string()))?;
            let parsed = serde_json::from_str(&text).map_err(|e| unread(e.to_string()))?;
            Ok::<(String, TableMetadata), CatalogError>((text, parsed))
        });
        let (text, metadata) = read.await??;
        // Before a commit writes there, with the host's own rights.
        self.believed(ident, at, metadata.location())?;
        Ok((text, metadata))
    }

    /// Where the files of the table at `document` are, as that says, if it is believed: by what is
    /// said beside it, or else by where it lies.
    ///
    /// # Errors
    /// As [`trust::believed`].
    pub(crate) fn believed(
        &self,
        ident: &Ident,
        document: &str,
        location: &str,
    ) -> Result<ObjectUri, CatalogError> {
        let warehouse = self.warehouse.as_ref();
        let said = trust::said(warehouse, ident, location)?;
        let files = self.rows.files(ident, document);
        if files.is_some_and(|it| ObjectUri::parse(&it).is_ok_and(|it| it == said)) {
            return Ok(said);
        }
        trust::believed(warehouse, ident, document, location)
    }

    async fn write(
        &self,
        ident: &Ident,
        metadata: &TableMetadata,
        before: Option<&str>,
    ) -> Result<(CatalogTable, ObjectUri), CatalogError> {
        let at = metadata::location_of(metadata, before);
        let document = reached(ident, &at)?;
        let text = metadata::text(metadata)?;
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(too_large(ident, text.len() as u64));
        }
        let packed = metadata::pack(metadata, &text)
            .map_err(|e| CatalogError::Other(format!("{ident}: {e}")))?;
        self.objects
            .put(&document, packed)
            .await
            .map_err(of_store)?;
        let table = CatalogTable {
            metadata_location: at,
            location: metadata.location().to_owned(),
            metadata: text,
        };
        Ok((table, document))
    }
}

/// Documents of long histories take a while to parse: not on a thread that others wait for.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CatalogError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| CatalogError::Other(format!("the metadata could not be worked on: {e}")))
}

fn reached(ident: &Ident, at: &str) -> Result<ObjectUri, CatalogError> {
    ObjectUri::parse(at).map_err(|e| {
        CatalogError::Other(format!(
            "{ident}: its metadata is out of this lake's reach: {e}"
        ))
    })
}

fn too_large(ident: &Ident, bytes: u64) -> CatalogError {
    CatalogError::Other(format!(
        "{ident}: its metadata has {bytes} bytes, at most {DOCUMENT_BYTES_MAX} are taken: expire old snapshots"
    ))
}

/// Of a document: whatever the error, the row has not been touched.
fn of_store(error: StoreError) -> CatalogError {
    match error {
        // The catalog named the place, not the plugin.
        StoreError::Denied(why) => CatalogError::Other(why),
        StoreError::Transient(why) => CatalogError::Transient(why),
        StoreError::Missing
        | StoreError::TooLarge(_)
        | StoreError::Interrupted
        | StoreError::Other(_) => CatalogError::Other(error.to_string()),
    }
}
