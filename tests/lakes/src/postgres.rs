//! A PostgreSQL server of the test's own, on a free port.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A server that is stopped, and its data removed, when this is dropped.
pub struct PostgresServer {
    dir: TempDir,
    programs: PathBuf,
    port: u16,
    password: Option<String>,
}

impl PostgresServer {
    /// One that lets in whoever says that he is `postgres`.
    pub fn start() -> Self {
        Self::with(None)
    }

    /// One that asks `postgres` for this password.
    pub fn with_password(password: &str) -> Self {
        Self::with(Some(password))
    }

    fn with(password: Option<&str>) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("jackfield-pg-")
            .tempdir()
            .expect("a server can be started");
        let port = TcpListener::bind("127.0.0.1:0")
            .expect("a server can be started")
            .local_addr()
            .expect("a server can be started")
            .port();
        let server = Self {
            dir,
            programs: programs(),
            port,
            password: password.map(str::to_owned),
        };
        let secret = server.dir.path().join("password");
        std::fs::write(&secret, password.unwrap_or("none")).expect("a new folder can be written");
        if is_root() {
            // The server refuses to run as root.
            run(Command::new("chown")
                .args(["-R", "postgres"])
                .arg(server.dir.path()));
        }
        let data = server.dir.path().join("data");
        run(server
            .program("initdb")
            .args([
                match password {
                    None => "--auth=trust",
                    Some(_) => "--auth=scram-sha-256",
                },
                "--username=postgres",
                "--no-sync",
                "--no-locale",
            ])
            .arg("--pwfile")
            .arg(&secret)
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

    /// After a [`kill`](Self::kill).
    pub fn resume(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
             -c fsync=off -c synchronous_commit=off",
            self.port
        );
        let log = self.dir.path().join("log");
        let log = log.to_str().expect("a server can be started");
        run(&mut self.pg_ctl(&["start", "--wait", "--silent", "--log", log, "-o", &options]));
    }

    /// As a crash would.
    pub fn kill(&self) {
        run(&mut self.pg_ctl(&["stop", "--mode=immediate", "--silent"]));
    }

    /// The port, at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs a statement as its superuser.
    ///
    /// # Panics
    /// It fails.
    pub fn execute(&self, statement: &str) {
        let mut psql = self.program("psql");
        psql.args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--command", statement, &self.uri()]);
        run(&mut psql);
    }

    /// The URI of its database, with the password.
    pub fn uri(&self) -> String {
        let password = self.password.as_ref();
        let password = password.map_or(String::new(), |it| format!(":{it}"));
        format!(
            "postgres://postgres{password}@127.0.0.1:{}/postgres",
            self.port
        )
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // It may be stopped already.
        let _ = self
            .pg_ctl(&["stop", "--mode=immediate", "--silent"])
            .output();
    }
}

fn is_root() -> bool {
    let own = std::fs::metadata("/proc/self").expect("a process is there");
    own.uid() == 0
}

fn run(command: &mut Command) {
    let output = command.output().expect("a server can be started");
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
    let mut found: Vec<PathBuf> = versions
        .map(|v| v.expect("a server can be started").path().join("bin"))
        .collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.sort();
    found.reverse();
    found.extend(std::env::split_paths(&path));
    found
        .into_iter()
        .find(|folder: &PathBuf| Path::new(&folder.join("initdb")).is_file())
        .expect("this test needs a PostgreSQL server: apt-get install -y postgresql")
}
