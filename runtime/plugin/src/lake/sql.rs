//! Rows in a SQL database, in the tables that PyIceberg's `SqlCatalog`, Java's `JdbcCatalog` and
//! Rust's `SqlCatalog` share.

use super::database::Database;
use super::error::CatalogError;
use super::ident::Ident;
use super::rows::Rows;
use super::sql_error::{self, Dialect, Intent};
use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, Executor, Row};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Longest wait for a statement. They touch one row; longer means a lock that is not given up or
/// a connection that is no more.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

const CREATE_TABLES: &str = "CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL,
    table_namespace VARCHAR(255) NOT NULL,
    table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000),
    previous_metadata_location VARCHAR(1000),
    iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name))";
const CREATE_NAMESPACES: &str = "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL,
    namespace VARCHAR(255) NOT NULL,
    property_key VARCHAR(255),
    property_value VARCHAR(1000),
    PRIMARY KEY (catalog_name, namespace, property_key))";

/// Whether rows tell tables from views: catalogs of older libraries know only tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Typed,
    TablesOnly,
}

impl Shape {
    fn only_tables(self) -> &'static str {
        match self {
            Self::Typed => " AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)",
            Self::TablesOnly => "",
        }
    }
}

/// A catalog of one name in a database.
#[derive(Debug)]
pub(crate) struct SqlRows {
    catalog: String,
    pool: AnyPool,
    /// Run on each connection that is taken.
    settings: &'static str,
    dialect: Dialect,
    /// The database, for texts.
    shown: String,
    shape: OnceCell<Shape>,
}

impl SqlRows {
    /// Connects when it is first needed: a database that is down now may be up by then.
    pub(crate) fn new(catalog: &str, database: &Database) -> Result<Self, String> {
        Ok(Self::over(catalog, database, database.pool()?))
    }

    /// The same for who only wants to know whether it is there.
    pub(crate) fn to_look(catalog: &str, database: &Database) -> Result<Self, String> {
        Ok(Self::over(catalog, database, database.pool_to_look()?))
    }

    fn over(catalog: &str, database: &Database, pool: AnyPool) -> Self {
        Self {
            catalog: catalog.to_owned(),
            pool,
            settings: database.settings(),
            dialect: match database {
                Database::Sqlite { .. } => Dialect::Sqlite,
                Database::Postgres { .. } => Dialect::Postgres,
            },
            shown: database.shown(),
            shape: OnceCell::new(),
        }
    }

    /// Whether the catalog's tables are there; none is made.
    pub(crate) async fn are_tables_there(&self) -> Result<bool, CatalogError> {
        let table = "SELECT metadata_location FROM iceberg_tables WHERE 1 = 0";
        self.exists(table).await
    }

    async fn shape(&self) -> Result<Shape, CatalogError> {
        self.shape.get_or_try_init(|| self.prepare()).await.copied()
    }

    /// Finds the tables, or makes them. Looked for first, since an account may be allowed to use
    /// them and not to make any.
    async fn prepare(&self) -> Result<Shape, CatalogError> {
        let typed = "SELECT iceberg_type FROM iceberg_tables WHERE 1 = 0";
        let untyped = "SELECT metadata_location FROM iceberg_tables WHERE 1 = 0";
        let namespaces = "SELECT property_key FROM iceberg_namespace_properties WHERE 1 = 0";
        let shape = if self.exists(typed).await? {
            Shape::Typed
        } else if self.exists(untyped).await? {
            Shape::TablesOnly
        } else {
            self.make(CREATE_TABLES, typed).await?;
            Shape::Typed
        };
        if !self.exists(namespaces).await? {
            self.make(CREATE_NAMESPACES, namespaces).await?;
        }
        Ok(shape)
    }

    async fn exists(&self, probe: &str) -> Result<bool, CatalogError> {
        let mut connection = self.connection().await?;
        let ran = sqlx::query(probe).fetch_all(&mut *connection);
        match within(ran).await {
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) if sql_error::no_such_table(self.dialect, &error) => Ok(false),
            Some(Err(error)) => Err(self.failed(Intent::Read, &error)),
            None => Err(self.no_answer(connection, Intent::Read)),
        }
    }

    /// Another process may make the same table at the same moment, which some databases answer
    /// with an error: what counts is that it is there.
    async fn make(&self, create: &str, probe: &str) -> Result<(), CatalogError> {
        match self.change(create, &[]).await {
            Ok(_) => Ok(()),
            Err(_) if self.exists(probe).await? => Ok(()),
            // Making an empty table is no commit: it may be tried again.
            Err(Changed::Not(CatalogError::Unknown(why))) => Err(CatalogError::Transient(why)),
            Err(Changed::Not(error)) => Err(error),
            Err(Changed::Taken) => Err(CatalogError::Transient(format!(
                "the catalog, {}: its tables are being made",
                self.shown
            ))),
        }
    }

    async fn rows(&self, sql: &str, arguments: &[&str]) -> Result<Vec<AnyRow>, CatalogError> {
        let mut connection = self.connection().await?;
        let mut query = sqlx::query(sql);
        for argument in arguments {
            query = query.bind(*argument);
        }
        match within(query.fetch_all(&mut *connection)).await {
            Some(Ok(rows)) => Ok(rows),
            Some(Err(error)) => Err(self.failed(Intent::Read, &error)),
            None => Err(self.no_answer(connection, Intent::Read)),
        }
    }

    /// One statement, which is a transaction of its own. Tells how many rows it changed.
    async fn change(&self, sql: &str, arguments: &[&str]) -> Result<u64, Changed> {
        let mut connection = self.connection().await.map_err(Changed::Not)?;
        let mut query = sqlx::query(sql);
        for argument in arguments {
            query = query.bind(*argument);
        }
        match within(query.execute(&mut *connection)).await {
            Some(Ok(done)) => Ok(done.rows_affected()),
            Some(Err(sqlx::Error::Database(answer))) if answer.is_unique_violation() => {
                Err(Changed::Taken)
            }
            Some(Err(error)) => Err(Changed::Not(self.failed(Intent::Write, &error))),
            None => Err(Changed::Not(self.no_answer(connection, Intent::Write))),
        }
    }

    async fn connection(&self) -> Result<PoolConnection<Any>, CatalogError> {
        let failed = |e| sql_error::connecting(self.dialect, &self.shown, &e);
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        match within(connection.execute(self.settings)).await {
            Some(Ok(_)) => Ok(connection),
            Some(Err(error)) => {
                drop(connection.detach());
                Err(failed(error))
            }
            None => Err(self.no_answer(connection, Intent::Read)),
        }
    }

    fn failed(&self, intent: Intent, error: &sqlx::Error) -> CatalogError {
        sql_error::statement(self.dialect, intent, &self.shown, error)
    }

    /// The connection is not used again: its answer could come to the next statement.
    fn no_answer(&self, connection: PoolConnection<Any>, intent: Intent) -> CatalogError {
        drop(connection.detach());
        let text = format!(
            "the catalog, {}: no answer within {} s",
            self.shown,
            STATEMENT_TIMEOUT.as_secs()
        );
        match intent {
            Intent::Read => CatalogError::Transient(text),
            Intent::Write => CatalogError::Unknown(text),
        }
    }

    async fn ensure_namespace(&self, namespace: &str) -> Result<(), CatalogError> {
        let found = self
            .rows(
                "SELECT 1 FROM iceberg_namespace_properties
                 WHERE catalog_name = $1 AND namespace = $2 LIMIT 1",
                &[self.catalog.as_str(), namespace],
            )
            .await?;
        if !found.is_empty() {
            return Ok(());
        }
        // As the libraries write a namespace without properties.
        let inserted = self
            .change(
                "INSERT INTO iceberg_namespace_properties
                 (catalog_name, namespace, property_key, property_value)
                 VALUES ($1, $2, 'exists', 'true')",
                &[self.catalog.as_str(), namespace],
            )
            .await;
        match inserted {
            Ok(_) | Err(Changed::Taken) => Ok(()),
            // Whether it happened does not matter: it will be looked for again.
            Err(Changed::Not(CatalogError::Unknown(why))) => Err(CatalogError::Transient(why)),
            Err(Changed::Not(error)) => Err(error),
        }
    }
}

/// Why a change brought no count of rows.
enum Changed {
    /// A row of that key is there already.
    Taken,
    Not(CatalogError),
}

async fn within<T>(statement: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(STATEMENT_TIMEOUT, statement)
        .await
        .ok()
}

#[async_trait]
impl Rows for SqlRows {
    async fn ready(&self) -> Result<(), CatalogError> {
        self.shape().await.map(|_| ())
    }

    async fn location(&self, ident: &Ident) -> Result<Option<String>, CatalogError> {
        let sql = format!(
            "SELECT metadata_location FROM iceberg_tables
             WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3{}",
            self.shape().await?.only_tables()
        );
        let rows = self
            .rows(
                &sql,
                &[self.catalog.as_str(), ident.namespace(), ident.name()],
            )
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        row.try_get::<Option<String>, _>(0).map_err(|e| {
            CatalogError::Other(format!("the catalog's row of {ident} can't be read: {e}"))
        })
    }

    async fn insert(&self, ident: &Ident, location: &str) -> Result<(), CatalogError> {
        let sql = match self.shape().await? {
            Shape::Typed => {
                "INSERT INTO iceberg_tables
                 (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)
                 VALUES ($1, $2, $3, $4, 'TABLE')"
            }
            Shape::TablesOnly => {
                "INSERT INTO iceberg_tables
                 (catalog_name, table_namespace, table_name, metadata_location)
                 VALUES ($1, $2, $3, $4)"
            }
        };
        self.ensure_namespace(ident.namespace()).await?;
        let values = [
            self.catalog.as_str(),
            ident.namespace(),
            ident.name(),
            location,
        ];
        match self.change(sql, &values).await {
            Ok(_) => Ok(()),
            Err(Changed::Taken) => Err(CatalogError::Exists),
            Err(Changed::Not(error)) => Err(error),
        }
    }

    async fn replace(&self, ident: &Ident, expected: &str, next: &str) -> Result<(), CatalogError> {
        let sql = format!(
            "UPDATE iceberg_tables SET metadata_location = $1, previous_metadata_location = $2
             WHERE catalog_name = $3 AND table_namespace = $4 AND table_name = $5
             AND metadata_location = $6{}",
            self.shape().await?.only_tables()
        );
        let values = [
            next,
            expected,
            self.catalog.as_str(),
            ident.namespace(),
            ident.name(),
            expected,
        ];
        match self.change(&sql, &values).await {
            Ok(1) => Ok(()),
            Ok(_) => Err(CatalogError::Conflict(format!(
                "{ident} is no longer at {expected}"
            ))),
            Err(Changed::Taken) => Err(CatalogError::Other(format!(
                "the catalog refuses the row of {ident}"
            ))),
            Err(Changed::Not(error)) => Err(error),
        }
    }
}
