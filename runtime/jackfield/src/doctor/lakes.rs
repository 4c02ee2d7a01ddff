//! Lakes: the catalog and the store of each.

use super::folder::Folder;
use super::reach::{self, Service};
use super::verdict::{Area, Line};
use crate::lakes::lake_config;
use jackfield_config::{CatalogConfig, LakeConfig};
use jackfield_plugin::lake::{CatalogError, CatalogFound, Checkup, StoreError, StoreFound};
use std::path::Path;
use url::Url;

/// PostgreSQL's own.
const POSTGRES_PORT: u16 = 5432;

/// Who answers for a lake, and whether it may be written.
pub(super) struct Lake {
    pub(super) name: String,
    pub(super) config: LakeConfig,
    /// Writes and removes things, where else it is only looked.
    pub(super) write: bool,
}

impl Lake {
    fn checkup(&self) -> Checkup {
        Checkup::new(lake_config(&self.name, &self.config))
    }

    fn key(&self, part: &str) -> String {
        format!("lakes.{}.{part}", self.name)
    }

    /// Its catalog.
    pub(super) async fn catalog(self) -> Vec<Line> {
        let key = self.key("catalog");
        let (what, name, server) = match &self.config.catalog {
            CatalogConfig::Sql {
                sqlite_file: Some(file),
                ..
            } => {
                let line = self.sqlite(file).await;
                return vec![line];
            }
            CatalogConfig::Sql { uri, .. } => postgres(uri.expose()),
            CatalogConfig::Rest(rest) => (
                "the REST catalog",
                reach::shown(&rest.uri),
                host_and_port(&rest.uri),
            ),
        };
        if let Some((host, port)) = server
            && let Err(why) = reach::tcp(&host, port).await
        {
            let service = Service {
                area: Area::Catalogs,
                what,
                name: &name,
                key: &key,
            };
            return vec![service.unreached(&why)];
        }
        vec![self.asked(name, what, &key).await]
    }

    async fn sqlite(&self, file: &Path) -> Line {
        let key = self.key("catalog.sql");
        let folder = Folder {
            area: Area::Catalogs,
            what: "the catalog's folder",
            path: file.parent().unwrap_or(file),
            key: &key,
            reserve_bytes: 0,
        };
        let mut line = folder.look();
        line.name = file.display().to_string();
        if line.level == super::verdict::Level::Fail {
            return line;
        }
        if file.exists()
            && let Err(error) = rustix::fs::access(file, rustix::fs::Access::WRITE_OK)
        {
            let why = format!("the catalog can't be written: {error}");
            let remedy = "give this user the right to write it";
            return Line::fail(Area::Catalogs, line.name, why, remedy);
        }
        self.asked(line.name, "the SQLite catalog", &key).await
    }

    async fn asked(&self, name: String, what: &str, key: &str) -> Line {
        let checkup = self.checkup();
        let found = match self.write {
            true => checkup.open().await.map(|()| CatalogFound::Ready),
            false => checkup.catalog().await,
        };
        match found {
            Ok(CatalogFound::Ready) => Line::ok(
                Area::Catalogs,
                name,
                format!("{what} answers, and lets us in"),
            ),
            Ok(CatalogFound::Empty) => Line::ok(
                Area::Catalogs,
                name,
                "nothing is in it yet: its tables are made when a pipeline starts",
            ),
            Err(error) => unusable(name, what, key, &error),
        }
    }

    /// Its store.
    pub(super) async fn store(self) -> Vec<Line> {
        let key = self.key("warehouse");
        let Some(warehouse) = &self.config.warehouse else {
            let message = "the catalog says where each table is: nothing to look at";
            return vec![Line::ok(Area::Stores, self.name, message)];
        };
        let name = reach::shown(warehouse);
        let folder = warehouse.to_file_path().ok();
        if let Some(folder) = folder.filter(|_| warehouse.scheme() == "file") {
            let line = Folder {
                area: Area::Stores,
                what: "the warehouse",
                path: &folder,
                key: &key,
                reserve_bytes: 0,
            }
            .look();
            if !self.write || line.level == super::verdict::Level::Fail {
                return vec![line];
            }
        } else if let Some(down) = self.endpoint(&name).await {
            return vec![down];
        }
        let checkup = self.checkup();
        let found = match self.write {
            true => checkup.write().await,
            false => checkup.list().await,
        };
        vec![stored(name, self.write, &key, found)]
    }

    /// A store of one's own, such as MinIO, is a service that may not run.
    async fn endpoint(&self, name: &str) -> Option<Line> {
        let option = self.config.store.iter().find(|it| it.key == "endpoint")?;
        let url = Url::parse(option.value.expose()).ok()?;
        let (host, port) = host_and_port(&url)?;
        let why = reach::tcp(&host, port).await.err()?;
        let service = Service {
            area: Area::Stores,
            what: "the object store",
            name: &reach::shown(&url),
            key: &self.key("store"),
        };
        let mut line = service.unreached(&why);
        line.name = name.to_owned();
        Some(line)
    }
}

fn host_and_port(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}

/// What to call it, without credentials, and where it is unless it is a socket of this machine.
fn postgres(uri: &str) -> (&'static str, String, Option<(String, u16)>) {
    let url = Url::parse(uri).ok();
    let host = url.as_ref().and_then(Url::host_str);
    let server = host.map(|host| {
        let port = url.as_ref().and_then(Url::port);
        (host.to_owned(), port.unwrap_or(POSTGRES_PORT))
    });
    let database = url.as_ref().map(|it| it.path()).unwrap_or_default();
    let name = match &server {
        Some((host, port)) => format!("postgres://{host}:{port}{database}"),
        None => "PostgreSQL on this machine".to_owned(),
    };
    ("PostgreSQL", name, server)
}

fn unusable(name: String, what: &str, key: &str, error: &CatalogError) -> Line {
    let text = error.to_string();
    let lower = text.to_lowercase();
    let refused = ["password", "auth", "denied", "401", "403", "credential"];
    if refused.iter().any(|word| lower.contains(word)) {
        let remedy = format!("check the user and its password or token in `{key}`");
        return Line::fail(Area::Catalogs, name, text, remedy);
    }
    let line = Line::fail(
        Area::Catalogs,
        &name,
        text,
        format!("look at the log of {what}; `{key}` names it"),
    );
    match error {
        CatalogError::Transient(_) => line.down(format!("{what} ({name})")),
        CatalogError::Denied(_)
        | CatalogError::Missing
        | CatalogError::Exists
        | CatalogError::Conflict(_)
        | CatalogError::Unknown(_)
        | CatalogError::Interrupted
        | CatalogError::Other(_) => line,
    }
}

fn stored(name: String, wrote: bool, key: &str, found: Result<StoreFound, StoreError>) -> Line {
    match found {
        Ok(StoreFound::Unknown) => {
            Line::ok(Area::Stores, name, "the catalog says where tables are")
        }
        Ok(_) if wrote => Line::ok(
            Area::Stores,
            name,
            "an object was written, read back and removed",
        ),
        Ok(StoreFound::Listed { empty }) => {
            let holds = if empty { ": nothing is in it yet" } else { "" };
            let message = format!(
                "can be listed{holds}; whether it can be written, `jackfield doctor --write` tells"
            );
            Line::ok(Area::Stores, name, message)
        }
        Err(error) => {
            let remedy = match &error {
                StoreError::Transient(_) => {
                    "is it up? a store of one's own is named by `endpoint`".to_owned()
                }
                StoreError::Denied(_)
                | StoreError::Missing
                | StoreError::TooLarge(_)
                | StoreError::Interrupted
                | StoreError::Other(_) => format!(
                    "check the bucket in `{key}`, the keys and the region, and what they may do there"
                ),
            };
            Line::fail(Area::Stores, name, error.to_string(), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let (_, name, server) = postgres("postgres://me:secret@db.example/lake");
        assert_eq!(name, "postgres://db.example:5432/lake");
        assert_eq!(server, Some(("db.example".to_owned(), 5432)));
        let (_, name, server) = postgres("postgres:///lake?host=/run/postgresql");
        assert_eq!(
            (name.as_str(), server),
            ("PostgreSQL on this machine", None)
        );
    }
}
