//! A PostgreSQL server of the test's own, on a free port.

use crate::START_MAX;
use jackfield_test_process::{Process, free_port};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// How it runs. A killed one leaves nothing in shared memory that a file of its own folder can hold.
const SETTINGS: [&str; 5] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "synchronous_commit=off",
    "dynamic_shared_memory_type=mmap",
];

/// A server that is stopped, and its data removed, when this is dropped. It ends with the test's
/// process, however that ends.
pub struct PostgresServer {
    dir: TempDir,
    programs: PathBuf,
    port: u16,
    password: Option<String>,
    /// None while it is down.
    running: Mutex<Option<Process>>,
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
        let server = Self {
            dir,
            programs: programs(),
            port: free_port(),
            password: password.map(str::to_owned),
            running: Mutex::default(),
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

    /// Starts the server, after a [`kill`](Self::kill) too, and waits until it answers.
    ///
    /// # Panics
    /// It does not start, with the end of its log.
    pub fn resume(&self) {
        let mut arguments = Vec::new();
        if is_root() {
            // Becomes the server: what `runuser` starts is a child, which a kill would leave behind.
            let account = ["setpriv", "--reuid=postgres", "--regid=postgres"];
            arguments.extend(account.map(str::to_owned));
            arguments.push("--init-groups".to_owned());
        }
        arguments.push(self.programs.join("postgres").display().to_string());
        arguments.push("-D".to_owned());
        arguments.push(self.dir.path().join("data").display().to_string());
        arguments.extend(["-p".to_owned(), self.port.to_string()]);
        for setting in SETTINGS {
            arguments.extend(["-c".to_owned(), setting.to_owned()]);
        }
        let log = self.dir.path().join("log");
        let mut process = Process::start("env", arguments, self.dir.path(), &log);
        process.until(START_MAX, |_| self.answers());
        *self.lock() = Some(process);
    }

    fn answers(&self) -> bool {
        let port = self.port.to_string();
        let asked = Command::new(self.programs.join("pg_isready"))
            .args(["--quiet", "--host=127.0.0.1", "--port", &port])
            .arg("--username=postgres")
            .status();
        asked.expect("pg_isready is beside initdb").success()
    }

    /// As a crash would. Nothing that it wrote is lost, and its children go with it.
    pub fn kill(&self) {
        if let Some(running) = self.lock().take() {
            running.quit();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process id of the server.
    ///
    /// # Panics
    /// It is down.
    pub fn pid(&self) -> i32 {
        self.lock().as_ref().expect("the server runs").pid()
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
        self.uri_at(self.port)
    }

    /// The same through another port of 127.0.0.1, which passes it on.
    pub fn uri_at(&self, port: u16) -> String {
        let password = self.password.as_ref();
        let password = password.map_or(String::new(), |it| format!(":{it}"));
        format!("postgres://postgres{password}@127.0.0.1:{port}/postgres")
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
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
