//! The same over PostgreSQL: a server of the test's own, on a free port.

use super::super::CatalogError;
use super::{Lake, LakeAccess, Place, commit, create, crowd, load, race};
use sqlx::{Connection, Executor, PgConnection};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A server that is stopped, and its data removed, when this is dropped.
struct Server {
    dir: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("jackfield-pg-")
            .tempdir()
            .unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = Self {
            dir,
            programs: programs(),
            port,
        };
        if is_root() {
            // The server refuses to run as root.
            run(Command::new("chown").arg("postgres").arg(server.dir.path()));
        }
        let data = server.dir.path().join("data");
        run(server
            .program("initdb")
            .args([
                "--auth=trust",
                "--username=postgres",
                "--no-sync",
                "--no-locale",
            ])
            .args(["--encoding=UTF8", "--pgdata"])
            .arg(&data));
        server.resume();
        server
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.dir.path());
        command
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Command {
        let mut command = self.program("pg_ctl");
        command
            .arg("--pgdata")
            .arg(self.dir.path().join("data"))
            .args(arguments);
        command
    }

    fn resume(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
             -c fsync=off -c synchronous_commit=off",
            self.port
        );
        let log = self.dir.path().join("log");
        let log = log.to_str().unwrap();
        run(&mut self.pg_ctl(&["start", "--wait", "--silent", "--log", log, "-o", &options]));
    }

    /// As a crash would.
    fn kill(&self) {
        run(&mut self.pg_ctl(&["stop", "--mode=immediate", "--silent"]));
    }

    fn uri(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    async fn access(&self, place: &Place) -> LakeAccess {
        Lake::open(place.config(&self.uri()))
            .await
            .unwrap()
            .access()
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.uri()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be stopped already.
        let _ = self
            .pg_ctl(&["stop", "--mode=immediate", "--silent"])
            .output();
    }
}

fn is_root() -> bool {
    // SAFETY: it has no preconditions and can't fail.
    unsafe { libc::geteuid() == 0 }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Where Debian and its kin put each version; else what is in the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<PathBuf> = versions.map(|v| v.unwrap().path().join("bin")).collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.sort();
    found.reverse();
    found.extend(std::env::split_paths(&path));
    found
        .into_iter()
        .find(|folder: &PathBuf| Path::new(&folder.join("initdb")).is_file())
        .expect("this test needs a PostgreSQL server: apt-get install -y postgresql")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_commits_at_once_exactly_one_wins() {
    let (server, place) = (Server::start(), Place::new());
    let mut accesses = Vec::new();
    for _ in 0..4 {
        accesses.push(server.access(&place).await);
    }
    race(&accesses, 25).await;
    assert_eq!(
        place.files("w").len(),
        26,
        "losers take their documents with them"
    );
    let mut db = server.connect().await;
    db.execute("DROP TABLE iceberg_tables").await.unwrap();
    let outcome = accesses[0].load(super::TRADES, None).await;
    assert!(
        matches!(outcome, Err(CatalogError::Other(_))),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_crowd_of_committers_none_is_lost() {
    let (server, place) = (Server::start(), Place::new());
    let mut accesses = Vec::new();
    for _ in 0..4 {
        accesses.push(server.access(&place).await);
    }
    // The first of them makes the catalog's own tables while the others do so too.
    let missing = accesses
        .iter()
        .map(|access| access.load(super::TRADES, None));
    for outcome in futures::future::join_all(missing).await {
        assert_eq!(outcome, Err(CatalogError::Missing));
    }
    crowd(accesses, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_in_the_middle_of_the_change_is_unknown() {
    let (server, place) = (Server::start(), Place::new());
    let lake = server.access(&place).await;
    let at = create(&lake).await.metadata_location;

    let mut blocker = server.connect().await;
    let mut held = blocker.begin().await.unwrap();
    held.execute("SELECT * FROM iceberg_tables FOR UPDATE")
        .await
        .unwrap();
    let (cut, base) = (server.access(&place).await, at.clone());
    let under_way = tokio::spawn(async move { commit(&cut, &base, "id-1").await });
    let mut watcher = server.connect().await;
    let waiting = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE iceberg_tables%'";
    while watcher.fetch_all(waiting).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let outcome = under_way.await.unwrap();
    assert!(
        matches!(outcome, Err(CatalogError::Unknown(_))),
        "{outcome:?}"
    );
    held.rollback().await.unwrap();
    assert_eq!(
        place.files("w").len(),
        2,
        "nothing is deleted after an ambiguous error"
    );
    assert_eq!(load(&lake).await.metadata_location, at);
    commit(&lake, &at, "id-1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_waited_for_and_keeps_what_it_said() {
    let (server, place) = (Server::start(), Place::new());
    let lake = server.access(&place).await;
    let at = create(&lake).await.metadata_location;
    let kept = commit(&lake, &at, "kept").await.unwrap();
    server.kill();
    let outcome = commit(&lake, &kept.metadata_location, "down").await;
    assert!(
        matches!(outcome, Err(CatalogError::Transient(_))),
        "{outcome:?}"
    );
    server.resume();
    // Commits are on disk though the server's default is not to wait for that.
    assert_eq!(load(&lake).await, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_make_no_tables_uses_those_that_are_there() {
    let (server, place) = (Server::start(), Place::new());
    create(&server.access(&place).await).await;
    let mut db = server.connect().await;
    db.execute(
        "CREATE ROLE small LOGIN; REVOKE CREATE ON SCHEMA public FROM public;
         GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO small",
    )
    .await
    .unwrap();
    let uri = server.uri().replace("postgres@", "small@");
    let lake = Lake::open(place.config(&uri)).await.unwrap().access();
    let at = load(&lake).await.metadata_location;
    commit(&lake, &at, "x").await.unwrap();
    db.execute("REVOKE UPDATE ON iceberg_tables FROM small")
        .await
        .unwrap();
    let at = load(&lake).await.metadata_location;
    let outcome = commit(&lake, &at, "y").await;
    assert!(
        matches!(outcome, Err(CatalogError::Other(_))),
        "{outcome:?}"
    );
    db.execute("DROP TABLE iceberg_namespace_properties")
        .await
        .unwrap();
    let lake = Lake::open(place.config(&uri)).await.unwrap();
    let outcome = lake.ready().await;
    assert!(
        matches!(outcome, Err(CatalogError::Other(_))),
        "{outcome:?}"
    );
}
