//! PostgreSQL, as Debian and its kin install it.

use jackfield_test_process::free_port;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A server that is stopped, and its data removed, when this is dropped.
pub struct PostgresServer {
    dir: TempDir,
    programs: PathBuf,
    port: u16,
}

impl PostgresServer {
    /// Starts it, and waits until it takes connections.
    ///
    /// # Panics
    /// It can't be started: what is missing is named.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("jackfield-pg-")
            .tempdir()
            .expect("a folder");
        let port = free_port();
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

    /// Starts it again after [`PostgresServer::kill`].
    ///
    /// # Panics
    /// It can't be started.
    pub fn resume(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
             -c fsync=off -c synchronous_commit=off",
            self.port
        );
        let log = self.dir.path().join("log");
        let log = log.to_str().expect("a temporary folder's name is text");
        run(&mut self.pg_ctl(&["start", "--wait", "--silent", "--log", log, "-o", &options]));
    }

    /// Stops it as a crash would.
    ///
    /// # Panics
    /// It can't be stopped.
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

    /// Where its database is, as its superuser, who needs no password.
    pub fn uri(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
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
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn run(command: &mut Command) {
    let output = command.output().expect("a program that was found runs");
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
        .map(|v| v.expect("a folder is listed").path().join("bin"))
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
