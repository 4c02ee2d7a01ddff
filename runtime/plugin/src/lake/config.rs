//! What a lake is made of.

use super::buckets::StoreOptions;
use secrecy::SecretString;
use std::collections::BTreeMap;
use url::Url;

/// A catalog, and the place that its tables are created in.
#[derive(Debug, Clone)]
pub struct LakeConfig {
    /// The lake's name, which is its catalog's name too: `SqlCatalog("local", …)` in PyIceberg
    /// opens the lake `local`.
    pub name: String,
    /// What knows the tables.
    pub catalog: CatalogConfig,
    /// Where tables are created: `file:///…`, `s3://bucket/prefix`, `gs://…` or `abfss://…`.
    /// None: a REST catalog says where each table is.
    pub warehouse: Option<Url>,
    /// How its bucket is reached, if it is in one.
    pub store: StoreOptions,
}

/// What knows the tables of a lake.
#[derive(Debug, Clone)]
pub enum CatalogConfig {
    /// A SQL database, in the tables of PyIceberg's `SqlCatalog` and Java's `JdbcCatalog`.
    Sql {
        /// `sqlite:///absolute/path` or `postgres://…`; it may hold a password.
        uri: SecretString,
    },
    /// A server that speaks Iceberg's REST protocol.
    Rest(Box<RestCatalogConfig>),
}

/// A REST catalog.
#[derive(Debug, Clone)]
pub struct RestCatalogConfig {
    /// Its base URL, without `/v1`.
    pub uri: Url,
    /// Which of the server's warehouses.
    pub warehouse: Option<String>,
    /// What stands between `/v1/` and the rest of each path, unless the server insists on another.
    pub prefix: Option<String>,
    /// What requests are let in by.
    pub auth: RestAuth,
    /// Sent with every request.
    pub headers: BTreeMap<String, SecretString>,
    /// Whether to ask for credentials of each table's files, and to use them.
    pub vended_credentials: bool,
}

/// What requests are let in by.
#[derive(Debug, Clone)]
pub enum RestAuth {
    /// Nothing, or a header.
    None,
    /// A bearer token.
    Token(SecretString),
    /// Tokens for client credentials, renewed before they expire.
    OAuth {
        /// Who asks.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
        /// Where tokens are given out. None: by the catalog itself.
        uri: Option<Url>,
        /// What the token is to be good for.
        scope: String,
    },
}
