//! The database behind an SQL catalog: its URI, checked, and how to connect to it.

use sqlx::AnyPool;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use url::Url;

/// Connections kept for one lake: a committer an interval, and a load here and there.
const CONNECTIONS_MAX: u32 = 4;
/// Longest wait for a connection, refused ones retried meanwhile: a restart of the database
/// takes less.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle connection is closed after so long: commits are seconds apart.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// A transaction is on disk when it is said to be committed. In SQLite's rollback journal that
/// takes `EXTRA`, which also syncs the folder that the journal is removed from; in write-ahead
/// mode it is the same as `FULL`. The journal mode is left as the file has it: the default keeps
/// all in one file, which any reader can open after a kill, also one that may not write.
const SQLITE_SETTINGS: &str = "PRAGMA synchronous = EXTRA";
/// The same for a server whose default trades commits for speed; a stricter one is kept.
const POSTGRES_SETTINGS: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'";

/// A database as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// A file of this machine.
    Sqlite { file: PathBuf },
    /// A server; the URI holds a password and is never shown.
    Postgres { uri: String },
}

impl Database {
    /// Parses `sqlite:///absolute/path` and `postgres://…`. SQLAlchemy's four slashes are the
    /// same absolute path.
    pub(crate) fn parse(uri: &str) -> Result<Self, String> {
        if let Some(rest) = uri.strip_prefix("sqlite:") {
            return sqlite_file(rest).map(|file| Self::Sqlite { file });
        }
        let scheme = uri.split("://").next().unwrap_or_default();
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err("its catalog is neither `sqlite://…` nor `postgres://…`".to_owned());
        }
        match Url::parse(uri) {
            Ok(parsed) if parsed.host().is_some() || parsed.query().is_some() => {
                Ok(Self::Postgres {
                    uri: uri.to_owned(),
                })
            }
            Ok(_) | Err(_) => Err("its catalog is no PostgreSQL URI".to_owned()),
        }
    }

    /// What to call it in a text for people: no secrets.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Sqlite { file } => file.display().to_string(),
            Self::Postgres { uri } => {
                let parsed = Url::parse(uri).ok();
                let host = parsed
                    .as_ref()
                    .and_then(Url::host_str)
                    .unwrap_or("this machine");
                format!("PostgreSQL at {host}")
            }
        }
    }

    /// A pool that connects when it is first asked to, and makes a file that is missing.
    pub(crate) fn pool(&self) -> Result<AnyPool, String> {
        self.pool_in("rwc")
    }

    /// The same, making and changing nothing of a file.
    pub(crate) fn pool_to_look(&self) -> Result<AnyPool, String> {
        self.pool_in("ro")
    }

    fn pool_in(&self, mode: &str) -> Result<AnyPool, String> {
        install_default_drivers();
        let uri = match self {
            Self::Sqlite { file } => {
                let url = Url::from_file_path(file)
                    .map_err(|()| format!("{} is not absolute", file.display()))?;
                format!("sqlite://{}?mode={mode}", url.path())
            }
            Self::Postgres { uri } => uri.clone(),
        };
        let options = AnyConnectOptions::from_str(&uri)
            .map_err(|_| "its catalog's URI can't be used".to_owned())?;
        Ok(AnyPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            .connect_lazy_with(options))
    }

    /// What makes a connection's commits durable. To be run on each connection that is taken from
    /// the pool; in a hook of the pool its failures would be hidden.
    pub(crate) fn settings(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => SQLITE_SETTINGS,
            Self::Postgres { .. } => POSTGRES_SETTINGS,
        }
    }
}

fn sqlite_file(rest: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if !matches!(query, "" | "mode=rwc" | "mode=rw") {
        return Err("options after `?` of a SQLite URI are not taken".to_owned());
    }
    if !path.starts_with('/') {
        return Err("the path of its SQLite catalog must be absolute".to_owned());
    }
    let path = path.trim_start_matches('/');
    let file = Url::parse(&format!("file:///{path}"))
        .ok()
        .and_then(|url| url.to_file_path().ok())
        .filter(|file| !path.ends_with('/') && file.file_name().is_some());
    file.ok_or_else(|| "the path of its SQLite catalog names no file".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(uri: &str) -> Option<String> {
        match Database::parse(uri) {
            Ok(Database::Sqlite { file }) => file.to_str().map(str::to_owned),
            _ => None,
        }
    }

    #[test]
    fn sqlite_paths_are_absolute_in_either_way_of_writing() {
        for uri in [
            "sqlite:///d/catalog.db",
            "sqlite:////d/catalog.db",
            "sqlite:/d/catalog.db",
            "sqlite:///d/catalog.db?mode=rwc",
        ] {
            assert_eq!(file(uri).as_deref(), Some("/d/catalog.db"), "{uri}");
        }
        assert_eq!(
            file("sqlite:///a%20b/c%3Fd%25.db").as_deref(),
            Some("/a b/c?d%.db")
        );
        for bad in [
            "sqlite://d/catalog.db",
            "sqlite::memory:",
            "sqlite://",
            "sqlite:///",
            "sqlite:///d/",
            "sqlite:///d/x.db?mode=memory",
            "sqlite:///d/x.db?immutable=1",
            "mysql://h/d",
            "postgres:",
        ] {
            assert!(Database::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let database = Database::parse("postgres://u:secret@db.example:5432/lake").unwrap();
        assert_eq!(database.shown(), "PostgreSQL at db.example");
    }
}
