//! Lakes: catalogs, and the stores below them.

use crate::secret::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use url::Url;

/// A place to write tables to: a catalog and the store below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeConfig {
    /// Knows the tables.
    pub catalog: CatalogConfig,
    /// Where tables are created: an absolute URI (`file:`, `s3:`, `gs:` or `abfss:`), without a
    /// slash at its end. `None`: a REST catalog says it.
    pub warehouse: Option<Url>,
    /// How buckets are reached, in the words of the store's library. Empty: as the environment
    /// and the machine say.
    pub store: Vec<StoreOption>,
}

/// One thing that is said of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOption {
    /// Such as `access_key_id`.
    pub key: &'static str,
    /// Its value, which may be a secret.
    pub value: Secret,
}

/// What knows the tables of a lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogConfig {
    /// A SQL database, in the tables of PyIceberg's `SqlCatalog` and Java's `JdbcCatalog`.
    Sql {
        /// `sqlite:///<absolute path>` or `postgres://…`; it may hold a password.
        uri: Secret,
        /// The path of the SQLite file, if it is one.
        sqlite_file: Option<PathBuf>,
    },
    /// A server that speaks Iceberg's REST protocol.
    Rest(Box<RestConfig>),
}

/// A REST catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestConfig {
    /// Its base URL.
    pub uri: Url,
    /// Which of the server's warehouses.
    pub warehouse: Option<String>,
    /// What stands between `/v1/` and the rest of each path; `None`: as the server says.
    pub prefix: Option<String>,
    /// A bearer token. Not together with `oauth`.
    pub token: Option<Secret>,
    /// OAuth2 with client credentials.
    pub oauth: Option<OAuthConfig>,
    /// Sent with every request; names in lower case.
    pub headers: BTreeMap<String, Secret>,
    /// Whether to ask the catalog for credentials of each table's files.
    pub vended_credentials: bool,
}

/// OAuth2 with client credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthConfig {
    /// Who asks.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Where tokens are given out; `None`: the catalog's own.
    pub uri: Option<Url>,
    /// What the token is to be good for.
    pub scope: String,
}
