//! Rows that are copied when they are first looked at, and then go their own way.

use super::super::error::CatalogError;
use super::super::ident::Ident;
use super::super::lake::Lake;
use super::super::rows::Rows;
use super::super::tables::Whereabouts;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct OverlayRows {
    base: Arc<Lake>,
    own: Mutex<BTreeMap<Ident, Row>>,
}

#[derive(Debug)]
struct Row {
    /// The document that the table is at here.
    at: String,
    /// Where the table was when the row was copied; none: it was made here.
    real: Option<Whereabouts>,
}

impl OverlayRows {
    pub(super) fn over(base: Arc<Lake>) -> Self {
        Self {
            base,
            own: Mutex::default(),
        }
    }

    /// The tables that were looked at or made.
    pub(super) fn idents(&self) -> Vec<Ident> {
        self.own().keys().cloned().collect()
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<Ident, Row>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Rows for Arc<OverlayRows> {
    async fn ready(&self) -> Result<(), CatalogError> {
        Ok(())
    }

    async fn location(&self, ident: &Ident) -> Result<Option<String>, CatalogError> {
        if let Some(own) = self.own().get(ident) {
            return Ok(Some(own.at.clone()));
        }
        let Some(real) = self.base.tables().location(ident).await? else {
            return Ok(None);
        };
        let mut own = self.own();
        let pinned = own.entry(ident.clone()).or_insert_with(|| Row {
            at: real.document.clone(),
            real: Some(real),
        });
        Ok(Some(pinned.at.clone()))
    }

    /// What a server said. Not of documents that were written here: they lie with their table.
    fn files(&self, ident: &Ident, document: &str) -> Option<String> {
        let own = self.own();
        let real = own.get(ident)?.real.as_ref()?;
        let files = real.files.clone();
        files.filter(|_| real.document == document)
    }

    async fn insert(&self, ident: &Ident, location: &str) -> Result<(), CatalogError> {
        if self.location(ident).await?.is_some() {
            return Err(CatalogError::Exists);
        }
        let row = Row {
            at: location.to_owned(),
            real: None,
        };
        self.own().insert(ident.clone(), row);
        Ok(())
    }

    async fn replace(&self, ident: &Ident, expected: &str, next: &str) -> Result<(), CatalogError> {
        let mut own = self.own();
        match own.get_mut(ident) {
            Some(row) if row.at == expected => {
                next.clone_into(&mut row.at);
                Ok(())
            }
            Some(Row { at, .. }) => Err(CatalogError::Conflict(format!(
                "{ident} is at {at}, no longer at {expected}"
            ))),
            None => Err(CatalogError::Conflict(format!("{ident} is gone"))),
        }
    }
}
