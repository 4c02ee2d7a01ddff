//! Rows that are copied when they are first looked at, and then go their own way.

use super::super::error::CatalogError;
use super::super::ident::Ident;
use super::super::lake::Lake;
use super::super::rows::Rows;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct OverlayRows {
    base: Arc<Lake>,
    own: Mutex<BTreeMap<Ident, String>>,
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

    fn own(&self) -> MutexGuard<'_, BTreeMap<Ident, String>> {
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
            return Ok(Some(own.clone()));
        }
        let Some(real) = self.base.tables().location(ident).await? else {
            return Ok(None);
        };
        let mut own = self.own();
        let pinned = own.entry(ident.clone()).or_insert(real);
        Ok(Some(pinned.clone()))
    }

    async fn insert(&self, ident: &Ident, location: &str) -> Result<(), CatalogError> {
        if self.location(ident).await?.is_some() {
            return Err(CatalogError::Exists);
        }
        self.own().insert(ident.clone(), location.to_owned());
        Ok(())
    }

    async fn replace(&self, ident: &Ident, expected: &str, next: &str) -> Result<(), CatalogError> {
        let mut own = self.own();
        match own.get_mut(ident) {
            Some(at) if at == expected => {
                next.clone_into(at);
                Ok(())
            }
            Some(at) => Err(CatalogError::Conflict(format!(
                "{ident} is at {at}, no longer at {expected}"
            ))),
            None => Err(CatalogError::Conflict(format!("{ident} is gone"))),
        }
    }
}
