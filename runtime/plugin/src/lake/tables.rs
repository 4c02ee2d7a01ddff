//! The tables of a lake, whatever kind of catalog knows them.

use super::catalog::{Catalog, CatalogTable};
use super::error::CatalogError;
use super::ident::Ident;
use super::metadata::{Change, Creation};
use super::rest::{RestCatalog, Told};
use super::store::Objects;

/// A lake's catalog.
#[derive(Debug)]
pub(crate) enum Tables {
    /// Rows that this host changes; it writes the documents.
    Rows(Catalog),
    /// A server that writes the documents.
    Rest {
        catalog: RestCatalog,
        objects: Objects,
    },
}

/// Where a table is, as its catalog says.
#[derive(Debug)]
pub(crate) struct Whereabouts {
    pub(crate) document: String,
    /// Where its files are; none: the document alone says it.
    pub(crate) files: Option<String>,
}

impl Tables {
    pub(crate) async fn ready(&self) -> Result<(), CatalogError> {
        match self {
            Self::Rows(catalog) => catalog.ready().await,
            Self::Rest { catalog, .. } => catalog.ready().await,
        }
    }

    /// Where the table is; none if there is no such table.
    pub(crate) async fn location(
        &self,
        ident: &Ident,
    ) -> Result<Option<Whereabouts>, CatalogError> {
        let at = match self {
            Self::Rows(catalog) => catalog.location(ident).await.map(|document| Whereabouts {
                document,
                files: None,
            }),
            Self::Rest { catalog, objects } => {
                let table = load(catalog, objects, ident).await;
                table.map(|it| Whereabouts {
                    document: it.metadata_location,
                    files: Some(it.location),
                })
            }
        };
        match at {
            Ok(at) => Ok(Some(at)),
            Err(CatalogError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The table; none if it still is at `known`.
    pub(crate) async fn load(
        &self,
        ident: &Ident,
        known: Option<&str>,
    ) -> Result<Option<CatalogTable>, CatalogError> {
        match self {
            Self::Rows(catalog) => {
                let at = catalog.location(ident).await?;
                if known == Some(at.as_str()) {
                    return Ok(None);
                }
                catalog.read(ident, at).await.map(Some)
            }
            Self::Rest { catalog, objects } => {
                let table = load(catalog, objects, ident).await?;
                Ok((known != Some(table.metadata_location.as_str())).then_some(table))
            }
        }
    }

    /// Creates a table. `location` has been granted; none: where the catalog puts it.
    pub(crate) async fn create(
        &self,
        ident: &Ident,
        json: &str,
        creation: Creation,
        location: Option<&str>,
    ) -> Result<CatalogTable, CatalogError> {
        match self {
            Self::Rows(catalog) => match location {
                Some(location) => catalog.create(ident, creation, location).await,
                None => {
                    let location = catalog.default_location(ident).await?;
                    catalog.create(ident, creation, &location).await
                }
            },
            Self::Rest { catalog, objects } => {
                Ok(take(objects, ident, catalog.create(ident, json).await?))
            }
        }
    }

    pub(crate) async fn commit(
        &self,
        ident: &Ident,
        expected: &str,
        change: Change,
        (requirements, updates): (&str, &str),
    ) -> Result<CatalogTable, CatalogError> {
        match self {
            Self::Rows(catalog) => catalog.commit(ident, expected, change).await,
            Self::Rest { catalog, objects } => {
                // A server compares what is required and no location: without this two
                // committers could both be let in.
                if change.moves_a_ref() && !change.requires_a_ref() {
                    return Err(CatalogError::Other(format!(
                        "a commit to {ident} that requires no snapshot could undo another"
                    )));
                }
                let told = catalog.commit(ident, requirements, updates).await?;
                Ok(take(objects, ident, told))
            }
        }
    }
}

async fn load(
    catalog: &RestCatalog,
    objects: &Objects,
    ident: &Ident,
) -> Result<CatalogTable, CatalogError> {
    let told = catalog.load(ident).await;
    if let (Objects::Buckets(buckets), Err(CatalogError::Missing)) = (objects, &told) {
        buckets.forget(ident);
    }
    Ok(take(objects, ident, told?))
}

fn take(objects: &Objects, ident: &Ident, told: Told) -> CatalogTable {
    if let (Objects::Buckets(buckets), Some(vended)) = (objects, told.vended) {
        buckets.take(ident, vended);
    }
    told.table
}
