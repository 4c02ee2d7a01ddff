//! The registry's process.

use crate::ask;
use jackfield_test_process::{Process, fetched, free_port};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// Longest that a start may take, on a machine that is busy with other tests.
const START_MAX: Duration = Duration::from_secs(180);
/// Where the API lies.
const PATH: &str = "/apis/ccompat/v7";

/// A registry, which runs unless it was killed. Its compatibility is BACKWARD, as Confluent's.
pub struct ApicurioRegistry {
    dir: TempDir,
    jar: PathBuf,
    port: u16,
    environment: Vec<(String, String)>,
    running: Option<Process>,
}

impl ApicurioRegistry {
    /// Starts a new one, and waits until it answers.
    ///
    /// # Panics
    /// It can't be started: what is missing is named.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same, with settings in its environment, as its image takes them.
    ///
    /// # Panics
    /// It can't be started: what is missing is named.
    pub fn with(environment: &[(String, String)]) -> Self {
        let mut registry = Self {
            dir: tempfile::tempdir().expect("a folder for the registry"),
            jar: fetched("registry-fetch"),
            port: free_port(),
            environment: environment.to_vec(),
            running: None,
        };
        registry.restart();
        registry
    }

    /// Where its API is; it lies under a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Kills it as `kill -9` does, and returns when it is gone, with all schemas. Does nothing when
    /// it is not running.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Stops it with nothing left undone, and returns when it is gone.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    /// Starts it again at the same URL, empty, and waits until it answers.
    ///
    /// # Panics
    /// It does not start, with the end of its log.
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "the registry runs");
        let folder = self.dir.path();
        let settings = self.environment.iter();
        let mut arguments: Vec<String> = settings
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let java = [
            "java",
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
        ];
        arguments.extend(java.map(str::to_owned));
        arguments.extend([
            "-XX:+ExitOnOutOfMemoryError".to_owned(),
            format!("-Djava.io.tmpdir={}", folder.display()),
            "-Dquarkus.http.host=127.0.0.1".to_owned(),
            format!("-Dquarkus.http.port={}", self.port),
            "-jar".to_owned(),
            self.jar.display().to_string(),
        ]);
        let log = folder.join("registry.log");
        let mut process = Process::start("env", arguments, folder, &log);
        let asked = |method: &str, path: &str, body: &str| {
            ask::ok(self.port, method, &format!("{PATH}{path}"), body)
        };
        process.until(START_MAX, |_| asked("GET", "/subjects", ""));
        // Its own default is NONE.
        let backward = r#"{"compatibility":"BACKWARD"}"#;
        process.until(START_MAX, |_| asked("PUT", "/config", backward));
        self.running = Some(process);
    }
}
