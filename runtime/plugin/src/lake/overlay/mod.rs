//! A lake whose writes are thrown away: reads fall through to the real one, what is written goes
//! to a scratch folder, and a commit moves a copy of the catalog's row.

mod objects;
mod rows;

use super::catalog::Catalog;
use super::error::CatalogError;
use super::ident::Ident;
use super::lake::Lake;
use super::metadata;
use super::store::Objects;
pub(crate) use objects::Overlay;
use rows::OverlayRows;
use std::path::Path;
use std::sync::Arc;

/// A lake that looks like another one and can't change it.
///
/// A table is seen as it was when it was first asked for; what others commit afterwards is not.
#[derive(Debug)]
pub struct LakeOverlay {
    base: Arc<Lake>,
    lake: Arc<Lake>,
    rows: Arc<OverlayRows>,
}

async fn schema(lake: &Lake, ident: &Ident) -> Result<Option<String>, CatalogError> {
    match lake.tables().load(ident, None).await {
        Ok(table) => Ok(table.and_then(|it| metadata::current_schema(&it.metadata))),
        Err(CatalogError::Missing) => Ok(None),
        Err(error) => Err(error),
    }
}

impl LakeOverlay {
    /// Over `base`. What is written goes below `scratch`, at most `bytes_max` of it; whoever made
    /// that folder removes it.
    pub fn over(base: &Arc<Lake>, scratch: &Path, bytes_max: u64) -> Self {
        let objects = Overlay::over(base.objects().clone(), scratch, bytes_max);
        let objects = Objects::Overlay(Arc::new(objects));
        let rows = Arc::new(OverlayRows::over(Arc::clone(base)));
        let catalog = Catalog::new(
            objects.clone(),
            Box::new(Arc::clone(&rows)),
            base.root().cloned(),
        );
        Self {
            base: Arc::clone(base),
            lake: Lake::overlaid(base, objects, catalog),
            rows,
        }
    }

    /// What a connector is granted instead of the real one.
    pub fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// The tables whose schema is not the real one's, with both as JSON: for people.
    ///
    /// # Errors
    /// A catalog or a document can't be read.
    pub async fn schema_differences(&self) -> Result<Vec<String>, CatalogError> {
        let mut differences = Vec::new();
        for ident in self.rows.idents() {
            let real = schema(&self.base, &ident).await?;
            let own = schema(&self.lake, &ident).await?;
            if real != own {
                let shown = |it: Option<String>| it.unwrap_or_else(|| "no table".to_owned());
                differences.push(format!(
                    "the schema of {ident}: {}, the running version has {}",
                    shown(own),
                    shown(real)
                ));
            }
        }
        Ok(differences)
    }
}
