//! The registry's process.

use crate::ask;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Longest that a start may take, on a machine that is busy with other tests.
const START_MAX: Duration = Duration::from_secs(180);
/// How often it is looked whether the registry answers.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Ports to choose from: below those that the kernel gives to clients, so that none of them takes
/// the registry's while it is down.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// Where the API lies.
const PATH: &str = "/apis/ccompat/v7";

/// Runs the registry, says its process id, and kills it when our end of its input is closed: so it
/// never outlives the test.
const WATCHED: &str = r#"exec 3<&0; java "$@" </dev/null >"$LOG" 2>&1 & p=$!; echo $p; (cat <&3 >/dev/null; kill -9 $p) 2>/dev/null >&2 & wait $p"#;

/// A registry, which runs unless it was killed. Its compatibility is BACKWARD, as Confluent's.
pub struct ApicurioRegistry {
    dir: TempDir,
    jar: PathBuf,
    port: u16,
    environment: Vec<(String, String)>,
    running: Option<Running>,
}

struct Running {
    child: Child,
    input: Option<ChildStdin>,
    pid: i32,
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
            jar: fetched(),
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
        if let Some(mut running) = self.running.take() {
            drop(running.input.take());
            running.child.wait().expect("the registry's process ends");
        }
    }

    /// Stops it with nothing left undone, and returns when it is gone.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // SAFETY: a signal to the process that was started here and was not waited for yet.
            unsafe { libc::kill(running.pid, libc::SIGTERM) };
            running.child.wait().expect("the registry's process ends");
        }
    }

    /// Starts it again at the same URL, empty, and waits until it answers.
    ///
    /// # Panics
    /// It does not start, with the end of its log.
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "the registry runs");
        let mut child = Command::new("sh")
            .args(["-c", WATCHED, "sh", "-Xmx256m", "-XX:+UseSerialGC"])
            .args(["-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"])
            .arg(format!("-Djava.io.tmpdir={}", self.dir.path().display()))
            .arg("-Dquarkus.http.host=127.0.0.1")
            .arg(format!("-Dquarkus.http.port={}", self.port))
            .arg("-jar")
            .arg(&self.jar)
            .current_dir(self.dir.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("LOG", self.log())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The shell would say that it was killed.
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let output = child.stdout.take().expect("the output is piped");
        let mut pid = String::new();
        BufReader::new(output)
            .read_line(&mut pid)
            .expect("the registry's process id");
        self.running = Some(Running {
            input: child.stdin.take(),
            child,
            pid: pid.trim().parse().expect("the registry's process id"),
        });
        let deadline = Instant::now() + START_MAX;
        self.until(deadline, "GET", "/subjects", "");
        // Its own default is NONE.
        let backward = r#"{"compatibility":"BACKWARD"}"#;
        self.until(deadline, "PUT", "/config", backward);
    }

    /// Asks until the answer is 200.
    fn until(&mut self, deadline: Instant, method: &str, path: &str, body: &str) {
        let path = format!("{PATH}{path}");
        while !ask::ok(self.port, method, &path, body) {
            let running = self.running.as_mut().expect("it was started");
            let ended = running.child.try_wait().expect("the registry's process");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the registry did not start: {}",
                self.log_end()
            );
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("registry.log")
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for ApicurioRegistry {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The jar that runs the registry, fetched when it is missing.
fn fetched() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(root.join("scripts/registry-fetch"))
        .stderr(Stdio::piped())
        .output()
        .expect("scripts/registry-fetch runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", errors.trim());
    let jar = String::from_utf8_lossy(&output.stdout);
    jar.trim().into()
}

fn free_port() -> u16 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut seed = nanos.map_or(0, |since| since.subsec_nanos()) ^ std::process::id();
    loop {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let port =
            PORTS.start + u16::try_from(seed >> 16).expect("16 bits") % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
