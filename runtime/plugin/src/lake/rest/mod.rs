//! A catalog that speaks Iceberg's REST protocol. It writes the metadata documents itself, and
//! decides by the requirements of a commit.

mod answers;
mod credentials;
mod prefix;
mod session;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use session::RestSettings;

use super::catalog::CatalogTable;
use super::config::RestCatalogConfig;
use super::error::CatalogError;
use super::ident::Ident;
use super::vended::{Vending, Vendor};
use answers::{Asked, LoadedTable};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use session::Session;
use std::sync::Arc;
use std::time::SystemTime;

/// A table, and the credentials that came with it.
pub(crate) struct Told {
    pub(crate) table: CatalogTable,
    /// None: nothing was said of any.
    pub(crate) vended: Option<Vending>,
}

/// A catalog behind a server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RestCatalog {
    session: Arc<Session>,
}

impl RestCatalog {
    pub(crate) fn new(config: &RestCatalogConfig, http: reqwest::Client) -> Result<Self, String> {
        Ok(Self {
            session: Arc::new(Session::new(config, http)?),
        })
    }

    pub(crate) async fn ready(&self) -> Result<(), CatalogError> {
        self.session.settings().await.map(drop)
    }

    pub(crate) async fn load(&self, ident: &Ident) -> Result<Told, CatalogError> {
        let settings = self.session.settings().await?;
        let path = settings.table(ident);
        let answer = self
            .session
            .ask(Method::GET, &path, None, Asked::Load)
            .await?;
        self.told(ident, &answer)
    }

    /// Creates a table, and its namespace where that is missing.
    pub(crate) async fn create(&self, ident: &Ident, creation: &str) -> Result<Told, CatalogError> {
        let settings = self.session.settings().await?;
        let path = settings.tables(ident);
        let ask = || async {
            let body = Some(creation.to_owned());
            self.session
                .ask(Method::POST, &path, body, Asked::Create)
                .await
        };
        let answer = match ask().await {
            // A creation misses nothing but its namespace.
            Err(CatalogError::Missing) => {
                self.create_namespaces(settings, ident).await?;
                ask().await?
            }
            other => other?,
        };
        self.told(ident, &answer)
    }

    async fn create_namespaces(
        &self,
        settings: &RestSettings,
        ident: &Ident,
    ) -> Result<(), CatalogError> {
        let path = settings.namespaces();
        let levels: Vec<&str> = ident.namespace().split('.').collect();
        for depth in 1..=levels.len() {
            let body = json!({"namespace": &levels[..depth], "properties": {}}).to_string();
            let asked = self
                .session
                .ask(Method::POST, &path, Some(body), Asked::Namespace);
            match asked.await {
                Ok(_) | Err(CatalogError::Exists) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the table must be like is in the requirements: the server knows no locations.
    pub(crate) async fn commit(
        &self,
        ident: &Ident,
        requirements: &str,
        updates: &str,
    ) -> Result<Told, CatalogError> {
        let settings = self.session.settings().await?;
        let read = |what: &str, text: &str| {
            serde_json::from_str::<Value>(text)
                .map_err(|e| CatalogError::Other(format!("the {what} for {ident}: {e}")))
        };
        let namespace: Vec<&str> = ident.namespace().split('.').collect();
        let body = json!({
            "identifier": {"namespace": namespace, "name": ident.name()},
            "requirements": read("requirements", requirements)?,
            "updates": read("updates", updates)?,
        });
        let path = settings.table(ident);
        let answer = self
            .session
            .ask(Method::POST, &path, Some(body.to_string()), Asked::Commit)
            .await?;
        // It has happened: that its answer can't be read makes it unheard, not undone.
        let mut told = self
            .told(ident, &answer)
            .map_err(|error| CatalogError::Unknown(format!("{ident} was committed: {error}")))?;
        // The protocol has none in the answer to a commit: those of before go on.
        told.vended = told.vended.filter(|it| !it.credentials.is_empty());
        Ok(told)
    }

    fn told(&self, ident: &Ident, answer: &[u8]) -> Result<Told, CatalogError> {
        let loaded = LoadedTable::parse(answer).map_err(|why| {
            CatalogError::Other(format!("{ident}, as the catalog tells it: {why}"))
        })?;
        let vends = self.session.vends();
        let vended = vends.then(|| credentials::vended(&loaded, SystemTime::now()));
        let table = loaded
            .into_table()
            .ok_or_else(|| CatalogError::Other(format!("{ident} has no metadata location")))?;
        Ok(Told { table, vended })
    }
}

#[async_trait]
impl Vendor for RestCatalog {
    async fn vend(&self, table: &Ident) -> Result<Vending, CatalogError> {
        let told = self.load(table).await?;
        Ok(told.vended.unwrap_or_default())
    }
}
