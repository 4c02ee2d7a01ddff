//! A server's process.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// How often it is looked whether a server answers.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Lines of a server's log that are shown when it does not start.
const LOG_LINES_SHOWN: usize = 20;

/// Runs a program, says its process id, and kills it when our end of its input is closed: so it
/// never outlives the test, however that ends. Nothing is killed once the program has ended, since
/// its id may be another's then.
const WATCHED: &str = r#"exec 3<&0; "$@" </dev/null >"$LOG" 2>&1 3<&- & p=$!; echo $p; (cat <&3 >/dev/null; kill -9 $p) 2>/dev/null >&2 & w=$!; wait $p; e=$?; kill $w; exit $e"#;

/// A program that runs until it ends, or until this value does.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    pid: i32,
    log: PathBuf,
}

impl Process {
    /// Starts a program in a folder; what it says goes to the file `log`.
    ///
    /// # Panics
    /// There is no shell.
    pub fn start(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        folder: &Path,
        log: &Path,
    ) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", WATCHED, "sh"])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .env("LOG", log)
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
            .expect("the process id");
        Self {
            input: child.stdin.take(),
            child,
            pid: pid.trim().parse().expect("the process id"),
            log: log.to_owned(),
        }
    }

    /// Waits until `ready` holds, which is asked again and again.
    ///
    /// # Panics
    /// The program ends first, or `within` passes: with the end of what it said.
    pub fn until(&mut self, within: Duration, mut ready: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + within;
        while !ready(self) {
            let ended = self.child.try_wait().expect("the process can be asked");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "it does not start ({ended:?}): {}",
                self.said_last()
            );
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn said_last(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    /// Kills it as `kill -9` does, and returns when it is gone.
    pub fn kill(self) {
        drop(self);
    }

    /// Stops it with nothing left undone, and returns when it is gone.
    pub fn stop(self) {
        self.end(libc::SIGTERM);
    }

    /// Ends it by SIGQUIT, and returns when it is gone: for one that takes its children along then.
    pub fn quit(self) {
        self.end(libc::SIGQUIT);
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    fn end(mut self, signal: i32) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // SAFETY: a signal to the process that was started here and was not waited for yet.
            unsafe { libc::kill(self.pid, signal) };
        }
        self.wait();
    }

    fn wait(&mut self) {
        // It has been told; that it can't be waited for changes nothing.
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        self.wait();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn runs(pid: i32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn it_is_gone_when_its_value_is() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = ["-c", "echo here; exec sleep 600"];
        let mut process = Process::start("sh", script, dir.path(), &log);
        process.until(Duration::from_secs(60), |it| it.said().contains("here"));
        let pid = process.pid;
        assert!(runs(pid));
        drop(process);
        assert!(!runs(pid));
    }

    #[test]
    #[should_panic(expected = "no such setting")]
    fn what_it_said_last_is_shown_when_it_does_not_start() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = ["-c", "echo no such setting; exit 1"];
        let mut process = Process::start("sh", script, dir.path(), &log);
        process.until(Duration::from_secs(60), |_| false);
    }

    #[test]
    fn stopping_lets_it_end_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = [
            "-c",
            "trap 'echo ended; exit 0' TERM; echo here; while :; do sleep 0.01; done",
        ];
        let mut process = Process::start("sh", script, dir.path(), &log);
        process.until(Duration::from_secs(60), |it| it.said().contains("here"));
        process.stop();
        assert!(std::fs::read_to_string(&log).unwrap().contains("ended"));
    }
}
