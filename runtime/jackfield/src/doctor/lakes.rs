//! Lakes: the catalog and the store of each.

use super::folder::Folder;
use super::reach::{self, Service};
use super::stores;
use super::verdict::{Area, Line};
use crate::lakes::lake_config;
use jackfield_config::{CatalogConfig, LakeConfig};
use jackfield_plugin::lake::{CatalogError, CatalogFound, Checkup};
use std::path::Path;
use url::Url;

/// PostgreSQL's own.
const POSTGRES_PORT: u16 = 5432;
/// What the libraries of the stores call the server's own URL.
const ENDPOINTS: [&str; 2] = ["endpoint", "base_url"];
/// What catalogs say where they know us not, or do not let us.
const REFUSALS: [&str; 8] = [
    "password",
    "authentication",
    "unauthorized",
    "denied",
    "credential",
    "invalid_client",
    "answers 401",
    "answers 403",
];
/// What they say where they answer, and nothing has that name.
const NO_SUCH_NAMES: [&str; 2] = ["does not exist", "answers 404"];

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
        } else if let Some(down) = self.endpoint(&name, warehouse.scheme()).await {
            return vec![down];
        }
        let checkup = self.checkup();
        let found = match self.write {
            true => checkup.write().await,
            false => checkup.list().await,
        };
        vec![stores::judge(&self.name, warehouse, self.write, found)]
    }

    /// A store of one's own, such as MinIO, is a service that may not run.
    async fn endpoint(&self, name: &str, scheme: &str) -> Option<Line> {
        let mut options = self.config.store.iter();
        let option = options.find(|it| ENDPOINTS.contains(&it.key))?;
        let url = Url::parse(option.value.expose()).ok()?;
        let (host, port) = host_and_port(&url)?;
        let why = reach::tcp(&host, port).await.err()?;
        let service = Service {
            area: Area::Stores,
            what: "the object store",
            name: &reach::shown(&url),
            key: &self.key(stores::section(scheme)),
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
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&REFUSALS) {
        let remedy = format!("check the user and its password or token in `{key}`");
        return Line::fail(Area::Catalogs, name, text, remedy);
    }
    if says(&NO_SUCH_NAMES) {
        let remedy = format!("{what} answers: is what `{key}` names there its right name?");
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

    /// A port may have the digits of a status in it.
    #[test]
    fn what_a_catalog_says_decides_what_to_do() {
        let remedy = |text: &str| {
            let error = CatalogError::Other(text.to_owned());
            let line = unusable("n".to_owned(), "the catalog", "lakes.a.catalog", &error);
            line.remedy.unwrap()
        };
        for (says, word) in [
            (
                "http://h:24013, asked for it, answers 401 Unauthorized: ",
                "token",
            ),
            ("password authentication failed for user \"me\"", "password"),
            ("database \"lakes\" does not exist", "right name"),
            (
                "http://h/x, asked for it, answers 404 Not Found: ",
                "right name",
            ),
            (
                "http://h:24013, asked for it, answers 501: ",
                "look at the log",
            ),
            (
                "http://h:40401, asked for it, answers 501: ",
                "look at the log",
            ),
        ] {
            let remedy = remedy(says);
            assert!(remedy.contains(word), "{says}: {remedy}");
        }
    }
}
