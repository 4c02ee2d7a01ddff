//! What a lake is made of.

use secrecy::SecretString;
use url::Url;

/// A catalog, and the place that its tables are created in.
#[derive(Debug, Clone)]
pub struct LakeConfig {
    /// The lake's name, which is its catalog's name too: `SqlCatalog("local", …)` in PyIceberg
    /// opens the lake `local`.
    pub name: String,
    /// What knows the tables.
    pub catalog: CatalogConfig,
    /// Where tables are created: `file:///…`.
    pub warehouse: Url,
}

/// What knows the tables of a lake.
#[derive(Debug, Clone)]
pub enum CatalogConfig {
    /// A SQL database, in the tables of PyIceberg's `SqlCatalog` and Java's `JdbcCatalog`.
    Sql {
        /// `sqlite:///absolute/path` or `postgres://…`; it may hold a password.
        uri: SecretString,
    },
}
